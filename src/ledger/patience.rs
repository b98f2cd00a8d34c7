//! Waiting for other programs that have the ledger locked: for as long as it takes, told every half
//! minute, and with the name of the program where the system knows it.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::LedgerError;

/// When a wait is told of for the first time.
const FIRST_MESSAGE: Duration = Duration::from_secs(4);
/// How often it is told of after that.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait between two tries, besides SQLite's own waiting.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The first byte that SQLite locks in a ledger, and how many (`PENDING_BYTE` in its `os.h`).
const MAIN_LOCKS: std::ops::Range<u64> = 0x4000_0000..0x4000_0200;
/// The byte that a writer locks in the index of the write-ahead log (`WAL_WRITE_LOCK` in its
/// `wal.c`).
const WRITE_LOCK: u64 = 120;

/// A ledger that is locked by another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The ledger.
    pub path: PathBuf,
    /// For how long it has been waited for.
    pub time: Duration,
    /// Who has it locked, if that can be known: a program on another machine cannot.
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

/// How long to wait, and whom to tell.
pub(super) struct Patience<'a> {
    /// The ledger, as it is named to the user.
    pub path: &'a Path,
    /// Is told of a wait that takes long.
    pub tell: &'a dyn Fn(Waiting),
    /// Whether nobody wants to wait any longer.
    pub is_over: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    /// Does something again and again until no other program keeps it from being done.
    ///
    /// # Errors
    /// What it fails with, if that is something else, or if the wait is over.
    pub fn until_free<T, E: Busy>(&self, mut act: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        let began = Instant::now();
        let mut next_message = FIRST_MESSAGE;
        loop {
            let done = act();
            match &done {
                Err(error) if error.is_busy() && !(self.is_over)() => {}
                _ => return done,
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

/// An error that may mean that another program has the ledger locked.
pub(super) trait Busy {
    /// Whether it means that.
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

/// The program that has a ledger locked, by the kernel's list of locks (proc(5), `/proc/locks`).
/// Nothing is opened for that: closing a file drops every lock that a process has on it.
pub(super) fn locked_by(path: &Path) -> Option<String> {
    let inode = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Some(std::fs::metadata(name).ok()?.ino())
    };
    let (main, index) = (inode("")?, inode("-shm"));
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let all: Vec<KernelLock> = locks.lines().filter_map(KernelLock::parse).collect();
    let others = || {
        all.iter()
            .filter(|lock| lock.pid > 1 && lock.pid != std::process::id())
    };
    let writes = others()
        .find(|lock| Some(lock.inode) == index && lock.exclusive && lock.covers(WRITE_LOCK));
    let on_main = |exclusive: bool| {
        others().find(|lock| {
            lock.inode == main && MAIN_LOCKS.contains(&lock.start) && lock.exclusive == exclusive
        })
    };
    // With a write-ahead log every connection has a shared lock on the file, which keeps nobody
    // from writing.
    let found = writes
        .or_else(|| on_main(true))
        .or_else(|| on_main(false).filter(|_| index.is_none()))?;
    let name = std::fs::read_to_string(format!("/proc/{}/comm", found.pid)).unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    Some(if name.is_empty() {
        format!("process {}", found.pid)
    } else {
        format!("process {} ({name})", found.pid)
    })
}

/// A line of `/proc/locks`.
#[derive(Debug, PartialEq, Eq)]
struct KernelLock {
    exclusive: bool,
    pid: u32,
    inode: u64,
    start: u64,
    /// The last byte.
    end: u64,
}

impl KernelLock {
    /// `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120`; None for other kinds of locks and for
    /// who waits for one.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        (words.next()? == "POSIX").then_some(())?;
        let mut word = || words.next();
        word()?;
        let exclusive = word()? == "WRITE";
        let pid = word()?.parse().ok()?;
        let inode = word()?.rsplit(':').next()?.parse().ok()?;
        let (start, end) = (word()?.parse().ok()?, word()?);
        Some(Self {
            exclusive,
            pid,
            inode,
            start,
            end: end.parse().unwrap_or(u64::MAX),
        })
    }

    fn covers(&self, byte: u64) -> bool {
        (self.start..=self.end).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn the_kernels_list_of_locks_is_read() {
        let lock = KernelLock::parse("1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 EOF").unwrap();
        assert_eq!(
            lock,
            KernelLock {
                exclusive: true,
                pid: 1234,
                inode: 5678,
                start: 120,
                end: u64::MAX
            }
        );
        assert!(lock.covers(120) && !lock.covers(119));
        for line in [
            "",
            "2: FLOCK  ADVISORY  WRITE 7 08:01:5678 0 EOF",
            "3: -> POSIX  ADVISORY  WRITE 7 08:01:1 0 0",
            "4: POSIX",
        ] {
            assert_eq!(KernelLock::parse(line), None, "{line}");
        }
    }

    #[test]
    fn it_waits_until_the_other_is_gone_or_nobody_wants_to_wait() {
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
