//! Finds the program that has a ledger locked, in the kernel's list of locks.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bytes that SQLite locks in a ledger (`PENDING_BYTE` in its `os.h`).
const MAIN_LOCKS: std::ops::Range<u64> = 0x4000_0000..0x4000_0200;
/// The byte that a writer locks in the index of the write-ahead log (`WAL_WRITE_LOCK` in its
/// `wal.c`).
const WRITE_LOCK: u64 = 120;

/// Finds the program that has a ledger locked in the kernel's list of locks (`/proc/locks`,
/// proc(5)). The ledger is not opened, because closing it would drop every lock that this process
/// has on it.
pub(super) fn locked_by(path: &Path) -> Option<String> {
    let main = inode(path, "")?;
    let index = inode(path, "-shm");
    let locks: Vec<KernelLock> = std::fs::read_to_string("/proc/locks")
        .ok()?
        .lines()
        .filter_map(KernelLock::parse)
        .filter(|lock| lock.pid > 1 && lock.pid != std::process::id())
        .collect();

    let writer = locks
        .iter()
        .find(|lock| Some(lock.inode) == index && lock.exclusive && lock.covers(WRITE_LOCK));
    let found = writer
        .or_else(|| find_main_lock(&locks, main, true))
        .or_else(|| match index {
            None => find_main_lock(&locks, main, false),
            // With a write-ahead log every connection has a shared lock on the file, which blocks
            // no writer.
            Some(_) => None,
        })?;
    Some(describe_process(found.pid))
}

/// Finds a lock on the ledger itself.
fn find_main_lock(locks: &[KernelLock], inode: u64, exclusive: bool) -> Option<&KernelLock> {
    locks.iter().find(|lock| {
        lock.inode == inode && MAIN_LOCKS.contains(&lock.start) && lock.exclusive == exclusive
    })
}

/// The inode number of the ledger, or of a file beside it.
fn inode(path: &Path, suffix: &str) -> Option<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    Some(std::fs::metadata(name).ok()?.ino())
}

/// `process 1234 (sqlite3)`.
fn describe_process(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    if name.is_empty() {
        format!("process {pid}")
    } else {
        format!("process {pid} ({name})")
    }
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
    /// Parses `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120`. None for other kinds of locks,
    /// and for a process that waits for a lock.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next()? != "POSIX" {
            return None;
        }

        let _advisory = words.next()?;
        Some(Self {
            exclusive: words.next()? == "WRITE",
            pid: words.next()?.parse().ok()?,
            inode: words.next()?.rsplit(':').next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            // `EOF`, or a number.
            end: words.next()?.parse().unwrap_or(u64::MAX),
        })
    }

    fn covers(&self, byte: u64) -> bool {
        (self.start..=self.end).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_locks_is_parsed() {
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
}
