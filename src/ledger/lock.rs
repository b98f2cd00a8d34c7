//! One coordinator at a time: advisory locks (`flock`) on the run directory itself and on
//! `ledger.lock`, which names the holder. The operating system drops them with their process, so a
//! dead holder never blocks anybody and no timer is needed.
//!
//! The lock on the directory cannot be got around by removing a file. Network file systems emulate
//! `flock` and refuse it on directories: there the file alone is the lock, and its removal is
//! noticed at the next commit. The ledger's own file is not locked here: on such file systems that
//! would be the same kind of lock as SQLite's own.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Gone, LedgerError};
use super::place::{FileId, Place, ledger_path};
use super::schema;
use crate::files;

/// Name of the lock file in a run directory.
pub(super) const LOCK_FILE: &str = "ledger.lock";
/// How often a lock that is held is tried again: a reader that asks who holds it takes it for an
/// instant.
const RETRIES: u32 = 5;
/// How long to wait between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(40);

/// The exclusive right to write a run directory, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Lock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    /// The run directory, as an absolute path.
    dir: PathBuf,
    /// The same, open and locked; None where the file system locks no directories.
    _folder: Option<File>,
    /// The lock file. It is another one after the first was removed.
    file: Mutex<File>,
    content: Mutex<Content>,
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

/// What the lock file says: the holder, and how much this one, or the last one, has recorded. A
/// ledger that holds less has lost something.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    holder: Holder,
    #[serde(default)]
    noted: Option<Noted>,
}

/// What a session has noted beside the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Its number; 0 before it has one.
    pub session: i64,
    /// The ledger that it was noted of.
    pub place: String,
    /// How many transactions it has committed. Written with leading zeros, so that it always takes
    /// the same room.
    #[serde(with = "fixed_width")]
    pub commits: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} on {}, since {}",
            self.pid, self.host, self.since
        )
    }
}

impl Lock {
    /// Takes the lock of a run directory and writes `me` into it. Also returns what the last
    /// session noted there.
    ///
    /// # Errors
    /// `LedgerError::Held` if another coordinator has it; `Io` if the file cannot be made or is no
    /// plain file.
    pub(super) fn take(dir: &Path, me: &Holder) -> Result<(Self, LastNote), LedgerError> {
        let path = dir.join(LOCK_FILE);
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::Io { what, path, source }
        };
        let mut file = loop {
            let mut file = files::open_to_write(&path).map_err(io("cannot open", &path))?;
            if !try_lock(&file).map_err(io("cannot lock", &path))? {
                return Err(LedgerError::Held {
                    dir: dir.to_owned(),
                    holder: holder_of(dir, Some(&mut file)),
                });
            }
            // Another one may have removed it since.
            let locked = file
                .metadata()
                .map(|metadata| FileId::from_metadata(&metadata))
                .map_err(io("cannot read", &path))?;
            if FileId::of(&path).is_ok_and(|there| there.is(&locked)) {
                break file;
            }
        };
        let folder = files::open_folder(dir).map_err(io("cannot open", dir))?;
        let folder = match try_lock(&folder) {
            Ok(true) => Some(folder),
            Ok(false) => {
                return Err(LedgerError::Held {
                    dir: dir.to_owned(),
                    holder: holder_of(dir, Some(&mut file)),
                });
            }
            Err(error) => {
                tracing::debug!("the file system locks no folders: {error}");
                None
            }
        };
        let last = LastNote::of(&mut file);
        // What the last session noted stays until this one has recorded something itself.
        let noted = match last.was_held {
            true => last.noted.clone(),
            false => Some(Noted {
                session: 0,
                place: String::new(),
                commits: 0,
            }),
        };
        let content = Content {
            holder: me.clone(),
            noted,
        };
        write_content(&file, &content).map_err(io("cannot write", &path))?;
        let dir = ledger_path(dir)
            .parent()
            .map_or_else(|| dir.to_owned(), Path::to_owned);
        let held = Held {
            dir,
            _folder: folder,
            file: Mutex::new(file),
            content: Mutex::new(content),
        };
        Ok((
            Self {
                held: Arc::new(held),
            },
            last,
        ))
    }

    /// Notes which session holds the lock, and of which ledger.
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
        write_content(&lock(&self.held.file), &content).map_err(|source| LedgerError::Io {
            what: "cannot write",
            path: self.held.dir.join(LOCK_FILE),
            source,
        })
    }

    /// Notes how many transactions the session has committed.
    pub(super) fn note_commits(&self, commits: u64) {
        let mut content = lock(&self.held.content);
        if let Some(noted) = &mut content.noted {
            noted.commits = commits;
        }
        // Without it a loss would only be noticed less surely: no reason to stop.
        if let Err(error) = overwrite(&lock(&self.held.file), &content) {
            tracing::debug!("cannot note the number of commits: {error}");
        }
    }

    /// Makes sure that the run directory and the ledger are still those that were opened, and the
    /// lock is still held.
    ///
    /// # Errors
    /// `LedgerError::Gone`.
    pub(super) fn check(&self, place: &Place) -> Result<(), LedgerError> {
        let dir = &self.held.dir;
        let gone = |what| {
            Err(LedgerError::Gone {
                dir: dir.clone(),
                what,
            })
        };
        if !FileId::of(dir).is_ok_and(|there| there.is(&place.folder)) {
            return gone(match whereabouts(&place.folder) {
                Some(to) => Gone::Moved(to),
                None => Gone::Removed,
            });
        }
        if !FileId::of(&ledger_path(dir)).is_ok_and(|there| there.is(&place.file)) {
            return gone(match whereabouts(&place.file) {
                Some(to) => Gone::LedgerMoved(to),
                None => Gone::LedgerRemoved,
            });
        }
        self.keep_file();
        Ok(())
    }

    /// Puts the lock file back if it was removed.
    fn keep_file(&self) {
        let path = self.held.dir.join(LOCK_FILE);
        let mut held = lock(&self.held.file);
        let own = held
            .metadata()
            .map(|metadata| FileId::from_metadata(&metadata));
        if own.is_ok_and(|own| FileId::of(&path).is_ok_and(|there| there.is(&own))) {
            return;
        }
        // If somebody else has it, it is one who only looks, or who is turned away by the lock of
        // the folder; a coordinator that was let in has a later session in the ledger, which is
        // noticed there.
        if let Ok(file) = files::open_to_write(&path)
            && file.try_lock().is_ok()
        {
            if let Err(error) = write_content(&file, &lock(&self.held.content)) {
                tracing::debug!("cannot write {}: {error}", path.display());
            }
            *held = file;
        }
    }

    /// Who holds a run directory at this moment, if anybody does.
    pub fn holder(dir: &Path) -> Option<Holder> {
        let mut file = files::open(&dir.join(LOCK_FILE)).ok();
        let is_held = |file: &File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let held = file.as_ref().is_some_and(is_held)
            || files::open_folder(dir).is_ok_and(|folder| is_held(&folder));
        held.then(|| holder_of(dir, file.as_mut()))
    }
}

/// What the last session left in the lock file.
#[derive(Clone, Debug, Default)]
pub(super) struct LastNote {
    /// Whether there was a holder before.
    pub was_held: bool,
    /// What it noted; None: it was of an earlier version.
    pub noted: Option<Noted>,
}

impl LastNote {
    /// Reads it without taking the lock.
    pub fn read(dir: &Path) -> Self {
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
    pub fn had_session(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.session > 0)
    }
}

/// Tries to lock a file, for a moment. Says whether it worked.
fn try_lock(file: &File) -> std::io::Result<bool> {
    for retry in 0..RETRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if retry + 1 < RETRIES => {
                std::thread::sleep(RETRY_INTERVAL)
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// The holder's name: by the lock file, or where that was removed by the last session of the
/// ledger.
fn holder_of(dir: &Path, file: Option<&mut File>) -> Holder {
    let named = file.and_then(read_content).map(|content| content.holder);
    // Between taking the lock and writing its name a holder is nameless for an instant.
    let unknown = || Holder {
        host: "this host".into(),
        pid: 0,
        since: "just now".into(),
    };
    named
        .or_else(|| schema::last_holder(&ledger_path(dir)))
        .unwrap_or_else(unknown)
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

/// Writes the content where one of the same length stood.
fn overwrite(file: &File, content: &Content) -> std::io::Result<()> {
    let text = serde_json::to_string(content)? + "\n";
    file.write_all_at(text.as_bytes(), 0)
}

/// What a file that this process has open is called now. None: it was removed.
fn whereabouts(id: &FileId) -> Option<PathBuf> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    let found = open
        .map(|entry| entry.path())
        .find(|path| FileId::of(path).is_ok_and(|there| there.is(id)))?;
    let name = std::fs::read_link(found).ok()?;
    // The kernel adds " (deleted)" to a name that is none any more.
    FileId::of(&name)
        .is_ok_and(|there| there.is(id))
        .then_some(name)
}

/// The value, even after a panic: nothing that may panic is done while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number as text of twenty digits.
mod fixed_width {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:020}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_second_is_told_who_has_it_and_gets_it_when_the_first_is_gone() {
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
    fn without_its_file_it_is_held_all_the_same_and_the_file_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = take(dir.path(), 7).unwrap();
        std::fs::write(dir.path().join(schema::FILE_NAME), "").unwrap();
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
    fn a_directory_that_is_gone_moved_or_another_one_is_noticed() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        let (dir, ledger) = (base.join("a"), base.join("a").join(schema::FILE_NAME));
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
    fn what_an_earlier_version_wrote_is_read_and_can_be_read_by_it() {
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
