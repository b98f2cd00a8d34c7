//! The trainer's two outputs: messages to the coordinator, and text for people on stderr. Nothing
//! else in the trainer writes to a file descriptor or ends the process.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use pentagrid_protocol::{FromWorker, encode_line};

/// Sends messages to the coordinator. Threads share it; each message is one whole line.
pub(crate) struct Channel(Mutex<Box<dyn Write + Send>>);

impl Channel {
    /// Takes stdout over: the channel gets a private descriptor, and descriptor 1 becomes stderr,
    /// so that nothing that a library prints can get between the messages.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn take_stdout() -> io::Result<Self> {
        let private = io::stdout().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdout(io::stderr())?;
        Ok(Self::new(File::from(private)))
    }

    /// A channel into that writer.
    fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(writer)))
    }

    /// Sends a message. If it cannot be sent, the coordinator is gone, and the process ends.
    pub(crate) fn send(&self, message: &FromWorker) {
        let line = encode_line(message);
        // A thread that panicked while it held the lock has written its line or failed; either way
        // the next line may follow.
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = writer
            .write_all(line.as_bytes())
            .and_then(|()| writer.flush());
        match outcome {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => exit_now(0),
            Err(error) => {
                log(format_args!("cannot write to the coordinator: {error}"));
                exit_now(1)
            }
        }
    }
}

/// Writes a line to stderr.
pub(crate) fn log(message: impl Display) {
    // If stderr is closed, there is nowhere to report that.
    let _ = writeln!(io::stderr(), "pentagrid-trainer: {message}");
}

/// Ends the process at once. Unlike `std::process::exit` it runs no destructors: libtorch's would
/// free what a thread that is computing still uses.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number, touches none of our memory and does not return.
    unsafe { nix::libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // In small pieces, as a pipe may take them.
            let taken = bytes.len().min(3);
            self.0.lock().unwrap().extend(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_several_threads_stay_whole() {
        let sink = Sink::default();
        let channel = Channel::new(sink.clone());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| channel.send(&FromWorker::Heartbeat)));
            }
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 200);
        assert!(text.lines().all(|line| line == r#"{"type":"heartbeat"}"#));
    }
}
