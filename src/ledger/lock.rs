//! Allows one coordinator at a time: advisory locks (`flock`) on the run directory itself and on
//! `ledger.lock`, which names the holder. The operating system releases them when their process
//! ends, so that a dead holder never blocks others, and no timeout is needed.
//!
//! Removing a file does not defeat the lock on the directory. Network file systems emulate `flock`
//! and refuse it on directories: there the file alone is the lock, and its removal is noticed at
//! the next commit. The ledger's own file is not locked here: on such file systems that would be
//! the same kind of lock as SQLite's own.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connection;
use super::error::{Gone, LedgerError};
use super::holder::Holder;
use super::place::{FileId, Place, ledger_path};
use crate::files;

/// Name of the lock file in a run directory.
pub(super) const LOCK_FILE: &str = "ledger.lock";
/// Number of attempts to take a lock: a reader that asks for the holder takes it for an instant.
const MAX_ATTEMPTS: u32 = 5;
/// Delay between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(40);

/// The exclusive right to write into a run directory; released when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Lock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    /// The run directory, as an absolute path.
    dir: PathBuf,
    /// The same, open and locked; None if the file system cannot lock directories.
    _folder: Option<File>,
    /// The lock file; a new one after the first was removed.
    file: Mutex<File>,
    content: Mutex<Content>,
}

/// The content of the lock file: the holder, and how much it, or its predecessor, has recorded. A
/// ledger that has less has lost something.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    holder: Holder,
    #[serde(default)]
    noted: Option<Noted>,
}

/// What a session has noted in the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Its number; 0 before it has one.
    pub session: i64,
    /// The place of its ledger.
    pub place: String,
    /// Number of transactions that it has committed. Written with leading zeros, so that it always
    /// has the same length.
    #[serde(with = "fixed_width")]
    pub commits: u64,
}

impl Lock {
    /// Takes the lock of a run directory and writes `me` into it. Also returns what the last
    /// session noted there.
    ///
    /// # Errors
    /// `LedgerError::Held` if another coordinator has it; `Io` if the file cannot be created or is
    /// not a plain file.
    pub(super) fn take(dir: &Path, me: &Holder) -> Result<(Self, LastNote), LedgerError> {
        let path = dir.join(LOCK_FILE);
        let mut file = lock_file(dir, &path)?;
        let folder = files::open_folder(dir).map_err(io_error("cannot open", dir))?;
        let folder = match try_lock(&folder) {
            Ok(true) => Some(folder),
            Ok(false) => {
                return Err(LedgerError::Held {
                    dir: dir.to_owned(),
                    holder: holder_of(dir, Some(&mut file)),
                });
            }
            Err(error) => {
                tracing::debug!("the file system cannot lock folders: {error}");
                None
            }
        };

        // What the last session noted stays until this one has recorded something.
        let last = LastNote::of(&mut file);
        let noted = if last.was_held {
            last.noted.clone()
        } else {
            Some(Noted {
                session: 0,
                place: String::new(),
                commits: 0,
            })
        };

        let content = Content {
            holder: me.clone(),
            noted,
        };
        write_content(&file, &content).map_err(io_error("cannot write", &path))?;

        let absolute = ledger_path(dir)
            .parent()
            .map_or_else(|| dir.to_owned(), Path::to_owned);
        let held = Arc::new(Held {
            dir: absolute,
            _folder: folder,
            file: Mutex::new(file),
            content: Mutex::new(content),
        });
        Ok((Self { held }, last))
    }

    /// Notes the session that holds the lock, and the place of its ledger.
    ///
    /// # Errors
    /// `LedgerError::Io`.
    pub(super) fn note_session(&self, session: i64, place: &Place) -> Result<(), LedgerError> {
        let mut content = lock(&self.held.content);
        content.noted = Some(Noted {
            session,
            place: place.to_string(),
            commits: 0,
        });
        let path = self.held.dir.join(LOCK_FILE);
        write_content(&lock(&self.held.file), &content).map_err(io_error("cannot write", &path))
    }

    /// Notes the number of transactions that the session has committed.
    pub(super) fn note_commits(&self, commits: u64) {
        let mut content = lock(&self.held.content);
        if let Some(noted) = &mut content.noted {
            noted.commits = commits;
        }

        // Without the note a loss may go unnoticed, which is no reason to stop.
        if let Err(error) = overwrite(&lock(&self.held.file), &content) {
            tracing::debug!("cannot note the number of commits: {error}");
        }
    }

    /// Checks that the run directory and the ledger are still those that were opened, and that the
    /// lock is still held.
    ///
    /// # Errors
    /// `LedgerError::Gone`.
    pub(super) fn check(&self, place: &Place) -> Result<(), LedgerError> {
        let dir = &self.held.dir;
        let what = if !place.folder.is_at(dir) {
            current_name(&place.folder).map_or(Gone::Removed, Gone::Moved)
        } else if !place.file.is_at(&ledger_path(dir)) {
            current_name(&place.file).map_or(Gone::LedgerRemoved, Gone::LedgerMoved)
        } else {
            self.restore_file();
            return Ok(());
        };

        Err(LedgerError::Gone {
            dir: dir.clone(),
            what,
        })
    }

    /// Writes the lock file again if it was removed.
    fn restore_file(&self) {
        let path = self.held.dir.join(LOCK_FILE);
        let mut held = lock(&self.held.file);
        let own = held
            .metadata()
            .map(|metadata| FileId::from_metadata(&metadata));
        if own.is_ok_and(|own| own.is_at(&path)) {
            return;
        }

        // If another process has locked it, that is a reader, or a coordinator that the lock of the
        // folder refuses. A coordinator that was let in has a later session in the ledger, which
        // the writer notices.
        if let Ok(file) = files::open_to_write(&path)
            && file.try_lock().is_ok()
        {
            if let Err(error) = write_content(&file, &lock(&self.held.content)) {
                tracing::debug!("cannot write {}: {error}", path.display());
            }
            *held = file;
        }
    }

    /// Returns the coordinator that holds a run directory at this moment, if there is one.
    pub fn holder(dir: &Path) -> Option<Holder> {
        let mut file = files::open(&dir.join(LOCK_FILE)).ok();
        let is_held = file.as_ref().is_some_and(is_locked)
            || files::open_folder(dir).is_ok_and(|folder| is_locked(&folder));
        is_held.then(|| holder_of(dir, file.as_mut()))
    }
}

/// What the last session has left in the lock file.
#[derive(Clone, Debug, Default)]
pub(super) struct LastNote {
    /// Whether there was a holder before.
    pub was_held: bool,
    /// What it noted; None if it was of an earlier version.
    pub noted: Option<Noted>,
}

impl LastNote {
    /// Reads the file without taking the lock.
    pub(crate) fn read(dir: &Path) -> Self {
        files::open(&dir.join(LOCK_FILE))
            .map_or_else(|_| Self::default(), |mut file| Self::of(&mut file))
    }

    fn of(file: &mut File) -> Self {
        read_content(file).map_or_else(Self::default, |content| Self {
            was_held: true,
            noted: content.noted,
        })
    }

    /// Whether a session had begun.
    pub(crate) fn had_session(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.session > 0)
    }
}

/// Returns a function that makes an error of the operating system into one of the ledger.
fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> LedgerError + 'a {
    move |source| LedgerError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Opens and locks the lock file of a run directory.
fn lock_file(dir: &Path, path: &Path) -> Result<File, LedgerError> {
    loop {
        let mut file = files::open_to_write(path).map_err(io_error("cannot open", path))?;
        if !try_lock(&file).map_err(io_error("cannot lock", path))? {
            return Err(LedgerError::Held {
                dir: dir.to_owned(),
                holder: holder_of(dir, Some(&mut file)),
            });
        }

        // Another process may have removed the file between opening and locking it.
        let locked = file
            .metadata()
            .map(|metadata| FileId::from_metadata(&metadata))
            .map_err(io_error("cannot read", path))?;
        if locked.is_at(path) {
            return Ok(file);
        }
    }
}

/// Tries to lock a file for a short time. Returns whether it is locked.
fn try_lock(file: &File) -> std::io::Result<bool> {
    for attempt in 1..=MAX_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if attempt < MAX_ATTEMPTS => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether another process has locked a file.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Returns the holder that the lock file names or, if the file was removed, the last session of the
/// ledger.
fn holder_of(dir: &Path, file: Option<&mut File>) -> Holder {
    let named = file.and_then(read_content).map(|content| content.holder);
    named
        .or_else(|| connection::last_holder(&ledger_path(dir)))
        // The holder has locked the file, but has not written its name into it yet.
        .unwrap_or_else(|| Holder {
            host: "this host".into(),
            pid: 0,
            since: "just now".into(),
        })
}

fn read_content(file: &mut File) -> Option<Content> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_content(file: &File, content: &Content) -> std::io::Result<()> {
    file.set_len(0)?;
    overwrite(file, content)
}

/// Writes content over content of the same length.
fn overwrite(file: &File, content: &Content) -> std::io::Result<()> {
    let text = serde_json::to_string(content)? + "\n";
    file.write_all_at(text.as_bytes(), 0)
}

/// Returns the present name of a file that this process has open; None if it was removed.
fn current_name(id: &FileId) -> Option<PathBuf> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    let found = open.map(|entry| entry.path()).find(|path| id.is_at(path))?;
    let name = std::fs::read_link(found).ok()?;

    // The kernel adds " (deleted)" to the name of a removed file.
    id.is_at(&name).then_some(name)
}

/// Locks a mutex, even after a panic: nothing that may panic happens while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number as text of twenty digits.
mod fixed_width {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:020}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::schema::FILE_NAME;

    fn me() -> Holder {
        Holder {
            host: "here".into(),
            pid: 7,
            since: "2026-01-01T00:00:00Z".into(),
        }
    }

    fn take(dir: &Path, pid: u32) -> Result<(Lock, LastNote), LedgerError> {
        Lock::take(dir, &Holder { pid, ..me() })
    }

    #[test]
    fn a_second_coordinator_is_refused_until_the_first_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()), None);
        let (first, last) = take(dir.path(), 7).unwrap();
        assert!(!last.was_held);
        assert_eq!(Lock::holder(dir.path()), Some(me()));
        let refusal = take(dir.path(), 8).unwrap_err();
        assert!(
            matches!(refusal, LedgerError::Held { ref holder, .. } if *holder == me()),
            "{refusal}"
        );
        drop(first);
        assert_eq!(Lock::holder(dir.path()), None);
        assert!(take(dir.path(), 7).unwrap().1.was_held);
    }

    #[test]
    fn a_removed_lock_file_does_not_release_the_lock_and_is_restored() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = take(dir.path(), 7).unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "").unwrap();
        let place = Place::of(dir.path()).unwrap();
        first.note_session(3, &place).unwrap();
        first.note_commits(12);
        std::fs::remove_file(dir.path().join(LOCK_FILE)).unwrap();
        assert!(Lock::holder(dir.path()).is_some());
        assert!(matches!(
            take(dir.path(), 8).unwrap_err(),
            LedgerError::Held { .. }
        ));
        first.check(&place).unwrap();
        assert_eq!(Lock::holder(dir.path()), Some(me()));
        drop(first);
        let noted = take(dir.path(), 8).unwrap().1.noted.unwrap();
        assert_eq!(
            noted,
            Noted {
                session: 3,
                place: place.to_string(),
                commits: 12
            }
        );
    }

    #[test]
    fn a_removed_moved_or_replaced_directory_is_noticed() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        let dir = base.join("a");
        let ledger = dir.join(FILE_NAME);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(&ledger, "").unwrap();
        let open = File::open(&ledger).unwrap();
        let (lock, _) = take(&dir, 7).unwrap();
        let place = Place::of(&dir).unwrap();
        lock.check(&place).unwrap();
        let what = || match lock.check(&place) {
            Err(LedgerError::Gone { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        std::fs::rename(&dir, base.join("b")).unwrap();
        assert_eq!(what(), Gone::Moved(base.join("b")));
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(what(), Gone::Moved(base.join("b")));
        std::fs::remove_dir(&dir).unwrap();
        std::fs::rename(base.join("b"), &dir).unwrap();
        lock.check(&place).unwrap();
        std::fs::rename(&ledger, dir.join("other")).unwrap();
        assert_eq!(what(), Gone::LedgerMoved(dir.join("other")));
        std::fs::write(&ledger, "").unwrap();
        std::fs::remove_file(dir.join("other")).unwrap();
        assert_eq!(what(), Gone::LedgerRemoved);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(what(), Gone::Removed);
        drop(open);
    }

    #[test]
    fn the_file_is_compatible_with_earlier_versions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_FILE);
        std::fs::write(&path, serde_json::to_string(&me()).unwrap() + "\n").unwrap();
        let last = LastNote::read(dir.path());
        assert_eq!(
            (last.was_held, last.noted.is_none(), last.had_session()),
            (true, true, false)
        );
        let _lock = take(dir.path(), 7).unwrap();
        let holder: Holder =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(holder, me());
    }
}
