//! One coordinator at a time: an advisory lock on `ledger.lock`, which names its holder. The operating system
//! drops the lock with its process, so a dead holder never blocks anybody and no timer is needed.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::LedgerError;

/// Name of the lock file in a run directory.
const FILE_NAME: &str = "ledger.lock";

/// The exclusive right to write a run directory, until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds a run directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Since when, as an ISO 8601 time.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}, since {}", self.pid, self.host, self.since)
    }
}

impl Lock {
    /// Takes the lock of a run directory and writes `me` into it.
    ///
    /// # Errors
    /// `LedgerError::Held` if another coordinator has it; `Io` if the file cannot be made.
    pub fn take(dir: &Path, me: &Holder) -> Result<Self, LedgerError> {
        let path = dir.join(FILE_NAME);
        let io = |what| {
            let path = path.clone();
            move |source| LedgerError::Io { what, path, source }
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io("cannot open"))?;
        // A reader that asks who holds the lock takes it for an instant: that must not look like a coordinator.
        for patience in (0..5).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if patience > 0 => std::thread::sleep(Duration::from_millis(40)),
                Err(TryLockError::WouldBlock) => {
                    return Err(LedgerError::Held { dir: dir.to_owned(), holder: read_holder(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(io("cannot lock")(source)),
            }
        }
        let text = serde_json::to_string(me).expect("a holder is plain text and a number");
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{text}")).map_err(io("cannot write"))?;
        Ok(Self { _file: file })
    }

    /// Who holds a run directory at this moment, if anybody does.
    pub fn holder(dir: &Path) -> Option<Holder> {
        let path: PathBuf = dir.join(FILE_NAME);
        let mut file = File::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(4096).read_to_string(&mut text));
    let known = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    // Between taking the lock and writing its name a holder is nameless for an instant.
    known.unwrap_or_else(|| Holder { host: "this host".into(), pid: 0, since: "just now".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Holder {
        Holder { host: "here".into(), pid: 7, since: "2026-01-01T00:00:00Z".into() }
    }

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_when_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()), None);
        let first = Lock::take(dir.path(), &me()).unwrap();
        assert_eq!(Lock::holder(dir.path()), Some(me()));
        let refusal = Lock::take(dir.path(), &Holder { pid: 8, ..me() }).unwrap_err();
        assert!(matches!(refusal, LedgerError::Held { ref holder, .. } if *holder == me()), "{refusal}");
        drop(first);
        assert_eq!(Lock::holder(dir.path()), None);
        Lock::take(dir.path(), &me()).unwrap();
    }
}
