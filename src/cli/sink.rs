//! Where output goes: a function that writes some bytes, and a loop that writes all of them.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time between two attempts to write to a terminal or pipe that is set not to block.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Writes some bytes, as `write(2)` does.
pub(super) type Sink = Arc<dyn Fn(&[u8]) -> io::Result<usize> + Send + Sync>;

/// Writes all bytes, for as long as the other side takes: also if it is set not to block, and
/// across signals. Counts each write in `progress`.
///
/// # Errors
/// The operating system's; `WriteZero` if nothing is accepted any more.
pub(super) fn write_all(sink: &Sink, mut bytes: &[u8], progress: &AtomicU64) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
