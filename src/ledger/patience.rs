//! Waits for other programs that have the ledger locked, without a limit. A message every half
//! minute names the program, if the system knows it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::LedgerError;
use super::kernel_locks::locked_by;

/// How long to wait before the first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(4);
/// Time between two messages after that.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(30);
/// Delay between two attempts, in addition to SQLite's own waiting.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// A ledger that is locked by another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The ledger.
    pub path: PathBuf,
    /// How long the wait has lasted.
    pub time: Duration,
    /// The program that has it locked, if it is known: one on another machine is not.
    pub by: Option<String>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.as_deref().unwrap_or("another program");
        write!(
            f,
            "{} has been locked by {by} for {} s",
            self.path.display(),
            self.time.as_secs()
        )
    }
}

/// How to wait for a ledger.
pub(super) struct Patience<'a> {
    /// The ledger, as the user knows it.
    pub path: &'a Path,
    /// Called about a long wait.
    pub tell: &'a dyn Fn(Waiting),
    /// Whether to stop waiting.
    pub is_over: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    /// Repeats an action until no other program has the ledger locked.
    ///
    /// # Errors
    /// The action's, if it is another one, or if the wait is over.
    pub(crate) fn until_free<T, E: Busy>(
        &self,
        mut act: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let mut next_message = FIRST_MESSAGE;
        loop {
            let result = act();
            match &result {
                Err(error) if error.is_busy() && !(self.is_over)() => {}
                _ => return result,
            }

            let time = began.elapsed();
            if time >= next_message {
                next_message = time + MESSAGE_INTERVAL;
                (self.tell)(Waiting {
                    path: self.path.to_owned(),
                    time,
                    by: locked_by(self.path),
                });
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
    }
}

/// An error that can mean that another program has the ledger locked.
pub(super) trait Busy {
    /// Whether another program has the ledger locked.
    fn is_busy(&self) -> bool;
}

impl Busy for LedgerError {
    fn is_busy(&self) -> bool {
        LedgerError::is_busy(self)
    }
}

impl Busy for rusqlite::Error {
    fn is_busy(&self) -> bool {
        super::error::is_busy(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn waiting_ends_when_the_ledger_is_free_or_the_wait_is_over() {
        let path = Path::new("/no/ledger");
        let busy = || {
            rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                None,
            )
        };
        let tries = Cell::new(0);
        let told = RefCell::new(Vec::new());
        let tell = |waiting: Waiting| told.borrow_mut().push(waiting);
        let patience = Patience {
            path,
            tell: &tell,
            is_over: &|| tries.get() >= 5,
        };
        let act = |succeeds_at: i32| {
            tries.set(tries.get() + 1);
            if tries.get() < succeeds_at {
                Err(busy())
            } else {
                Ok(tries.get())
            }
        };
        assert_eq!(patience.until_free(|| act(3)).unwrap(), 3);
        tries.set(0);
        assert!(patience.until_free(|| act(100)).unwrap_err().is_busy());
        assert_eq!(tries.get(), 5);
        let other = patience.until_free(|| Err::<(), _>(rusqlite::Error::InvalidQuery));
        assert!(!other.unwrap_err().is_busy());
    }
}
