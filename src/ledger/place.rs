//! Where a run directory really is: not what it is called, but which folder and which file it is.
//! Tells a directory that was moved from one that was copied, and what can be no run directory at
//! all.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::UNIX_EPOCH;

use super::error::LedgerError;
use super::schema::FILE_NAME;

/// The longest path that SQLite opens is 512 bytes, with its end and the name of its journal
/// (`MAX_PATHNAME` in its `os_unix.c`).
const MAX_LEDGER_PATH: usize = 504;

/// What identifies a file or a folder on this machine, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
    /// When it was made, in nanoseconds since 1970; 0 where the file system does not tell. A copy
    /// has another one even where it got the inode number of what was removed before.
    born: u64,
}

impl FileId {
    /// That of what is there now.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self::from_metadata(&std::fs::metadata(path)?))
    }

    /// That of a file that is open, by what is known of it.
    pub fn from_metadata(metadata: &std::fs::Metadata) -> Self {
        let born = metadata
            .created()
            .ok()
            .and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = born
            .and_then(|born| u64::try_from(born.as_nanos()).ok())
            .unwrap_or(0);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            born,
        }
    }

    /// Whether it is the same as one that is or was open, at this moment: its number cannot have
    /// been given to another.
    pub fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it is probably the same as an earlier one, of which nothing was held open since.
    /// Device numbers change with a reboot or another mount, and differ from host to host.
    fn is_still(&self, earlier: &Self) -> bool {
        match (self.born, earlier.born) {
            (0, _) | (_, 0) => self.is(earlier),
            (now, then) => (self.inode, now) == (earlier.inode, then),
        }
    }
}

/// The folder and the file of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run directory.
    pub folder: FileId,
    /// The ledger in it.
    pub file: FileId,
}

impl Place {
    /// That of the run directory `dir` now.
    ///
    /// # Errors
    /// The operating system's, if one of both is not there.
    pub fn of(dir: &Path) -> std::io::Result<Self> {
        Ok(Self {
            folder: FileId::of(dir)?,
            file: FileId::of(&dir.join(FILE_NAME))?,
        })
    }

    /// Whether a run directory is the one that an earlier session noted, and neither a copy nor one
    /// that was restored. `same_devices` tells whether device numbers mean the same as then.
    pub fn is_still(&self, earlier: &Self, same_devices: bool) -> bool {
        let is_still = |now: &FileId, then: &FileId| match same_devices {
            true => now.is_still(then),
            false => now.is_still(&FileId {
                device: now.device,
                ..*then
            }),
        };
        is_still(&self.folder, &earlier.folder) && is_still(&self.file, &earlier.file)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: &FileId| format!("{}:{}:{}", id.device, id.inode, id.born);
        write!(f, "{} {}", id(&self.folder), id(&self.file))
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = |text: &str| {
            let mut numbers = text.split(':').map(str::parse::<u64>);
            let mut next = || numbers.next()?.ok();
            Some(FileId {
                device: next()?,
                inode: next()?,
                born: next()?,
            })
        };
        let (folder, file) = text.split_once(' ').ok_or(())?;
        Ok(Self {
            folder: id(folder).ok_or(())?,
            file: id(file).ok_or(())?,
        })
    }
}

/// The path by which SQLite opens a ledger: absolute, so that it takes no name for a URI or for a
/// database in memory.
pub fn ledger_path(dir: &Path) -> PathBuf {
    // Where the current folder is gone nothing relative can be opened anyhow.
    std::path::absolute(dir)
        .unwrap_or_else(|_| Path::new("./").join(dir))
        .join(FILE_NAME)
}

/// Refuses a path that cannot be one of a run directory, before anything is done with it.
///
/// # Errors
/// `LedgerError::Path`, which says why.
pub fn check_path(dir: &Path) -> Result<(), LedgerError> {
    let refuse = |reason: String| {
        Err(LedgerError::Path {
            dir: dir.to_owned(),
            reason,
        })
    };
    if dir.as_os_str().is_empty() {
        return refuse("it is empty".to_owned());
    }
    let whole = real_path(dir);
    for path in [ledger_path(dir).as_path(), &whole] {
        if path.to_str().is_none() {
            return refuse(format!(
                "its path is not UTF-8 ({}): rename the folder, or choose another one",
                path.display()
            ));
        }
    }
    let length = whole.join(FILE_NAME).as_os_str().len();
    if length > MAX_LEDGER_PATH {
        return refuse(format!(
            "the path of its ledger has {length} bytes, and SQLite opens none of more than {MAX_LEDGER_PATH}: choose a shorter one by {}",
            length - MAX_LEDGER_PATH
        ));
    }
    Ok(())
}

/// A path without links, as far as there is something at it.
fn real_path(dir: &Path) -> PathBuf {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut rest = Vec::new();
    let mut there = whole.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return rest.iter().rev().fold(real, |path, name| path.join(name));
        }
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
            return whole;
        };
        rest.push(name.to_owned());
        there = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::schema::open_writable;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_was_moved_is_the_same_and_a_copy_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|name| dir.path().join(name));
        let make = |dir: &Path| {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join(FILE_NAME), "x").unwrap();
        };
        make(&one);
        let noted: Place = Place::of(&one).unwrap().to_string().parse().unwrap();
        assert_eq!(noted, Place::of(&one).unwrap());
        std::fs::rename(&one, &two).unwrap();
        make(&three);
        for same_devices in [true, false] {
            assert!(
                Place::of(&two).unwrap().is_still(&noted, same_devices),
                "moved"
            );
            assert!(
                !Place::of(&three).unwrap().is_still(&noted, same_devices),
                "a copy"
            );
        }
        // One that was removed and restored, perhaps with the same numbers.
        std::fs::remove_dir_all(&two).unwrap();
        std::fs::rename(&three, &two).unwrap();
        assert!(!Place::of(&two).unwrap().is_still(&noted, true), "restored");
        assert!(Place::of(&one).is_err());
        assert_eq!(
            ["", "1:2:3", "1:2 3:4", "a:b:c d:e:f"].map(Place::from_str),
            [Err(()); 4]
        );
    }

    #[test]
    fn inode_numbers_that_are_used_again_and_devices_that_change() {
        let id = |device, inode, born| FileId {
            device,
            inode,
            born,
        };
        let place = |folder, file| Place { folder, file };
        let noted = place(id(1, 5, 100), id(1, 6, 101));
        assert!(
            place(id(2, 5, 100), id(2, 6, 101)).is_still(&noted, true),
            "mounted again"
        );
        assert!(
            !place(id(1, 5, 200), id(1, 6, 201)).is_still(&noted, true),
            "restored to the same numbers"
        );
        let unknown = place(id(1, 5, 0), id(1, 6, 0));
        assert!(unknown.is_still(&noted, true));
        let elsewhere = place(id(3, 5, 0), id(3, 6, 0));
        assert_eq!(
            [true, false].map(|same| elsewhere.is_still(&noted, same)),
            [false, true]
        );
    }

    /// The limit is SQLite's own.
    #[test]
    fn the_longest_path_that_is_accepted_can_be_opened_and_no_longer_one() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        let of_length = |length: usize| {
            let mut dir = base.clone();
            while dir.join(FILE_NAME).as_os_str().len() < length {
                let left = length - dir.join(FILE_NAME).as_os_str().len() - 1;
                // Never so much that a slash alone would be left.
                dir.push("x".repeat(if left > 200 { 100 } else { left.min(200) }));
            }
            std::fs::create_dir_all(&dir).unwrap();
            assert_eq!(dir.join(FILE_NAME).as_os_str().len(), length);
            dir
        };
        let (longest, longer) = (of_length(MAX_LEDGER_PATH), of_length(MAX_LEDGER_PATH + 1));
        check_path(&longest).unwrap();
        open_writable(&longest.join(FILE_NAME), None).unwrap();
        let said = check_path(&longer).unwrap_err().to_string();
        assert!(said.contains("505 bytes") && said.contains("504"), "{said}");
        assert!(open_writable(&longer.join(FILE_NAME), None).is_err());
        // A short way to a long path, and a folder that is not there yet.
        let link = base.join("link");
        std::os::unix::fs::symlink(&longer, &link).unwrap();
        assert!(check_path(&link).is_err());
        assert!(check_path(&base.join("a".repeat(600))).is_err());
        assert!(check_path(&base.join("new/one")).is_ok());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        assert!(
            check_path(Path::new(""))
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff\xfe"));
        assert!(
            check_path(odd)
                .unwrap_err()
                .to_string()
                .contains("not UTF-8")
        );
        for name in [
            "file:x",
            ":memory:",
            "a?b",
            "a#b",
            "a%20b",
            "file:x?mode=memory",
        ] {
            check_path(Path::new(name)).unwrap();
        }
    }
}
