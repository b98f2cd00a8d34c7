//! Identifies a run directory by its folder and its file, independent of its path. Distinguishes a
//! directory that was moved from one that was copied, and refuses paths that cannot be those of a
//! run directory.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::UNIX_EPOCH;

use super::error::LedgerError;
use super::schema::FILE_NAME;
use crate::text::count;

/// Maximum length of a ledger's path in bytes. SQLite opens paths of up to 512 bytes, including the
/// terminator and the ending of its journal (`MAX_PATHNAME` in its `os_unix.c`).
const MAX_LEDGER_PATH: usize = 504;

/// Identifies a file or a folder on this machine, independent of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    /// When it was created, in nanoseconds since 1970; 0 if the file system does not tell. It
    /// differs for a copy that got the inode number of a file that was removed.
    created: u64,
}

impl FileId {
    /// Returns the id of what is at a path now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self::from_metadata(&std::fs::metadata(path)?))
    }

    /// Returns the id in the metadata of an open file.
    pub(crate) fn from_metadata(metadata: &std::fs::Metadata) -> Self {
        let created = metadata
            .created()
            .ok()
            .and_then(|created| created.duration_since(UNIX_EPOCH).ok())
            .and_then(|created| u64::try_from(created.as_nanos()).ok())
            .unwrap_or(0);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            created,
        }
    }

    /// Whether two ids are of one file, if it has been open since the first was taken: its number
    /// cannot have been given to another file.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }

    /// Whether the file, which this process has open, is still at a path.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|there| there.is(self))
    }

    /// Whether this is probably the same file as an earlier one that has not been open since.
    /// Device numbers change with a reboot or another mount, and differ between hosts.
    fn is_still(&self, earlier: &Self) -> bool {
        if self.created == 0 || earlier.created == 0 {
            return self.is(earlier);
        }
        self.inode == earlier.inode && self.created == earlier.created
    }
}

/// The folder and the file of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The run directory.
    pub folder: FileId,
    /// The ledger in it.
    pub file: FileId,
}

impl Place {
    /// Returns the present place of a run directory.
    ///
    /// # Errors
    /// The operating system's, if the folder or the file is not there.
    pub(crate) fn of(dir: &Path) -> std::io::Result<Self> {
        Ok(Self {
            folder: FileId::of(dir)?,
            file: FileId::of(&dir.join(FILE_NAME))?,
        })
    }

    /// Whether a run directory is the one that an earlier session noted, and neither a copy nor one
    /// that was restored. `same_devices` says whether device numbers mean the same as then.
    pub(crate) fn is_still(&self, earlier: &Self, same_devices: bool) -> bool {
        let mut earlier = *earlier;
        if !same_devices {
            earlier.folder.device = self.folder.device;
            earlier.file.device = self.file.device;
        }
        self.folder.is_still(&earlier.folder) && self.file.is_still(&earlier.file)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.folder, self.file)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.device, self.inode, self.created)
    }
}

impl FromStr for FileId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers: Vec<u64> = text
            .split(':')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(drop)?;
        match numbers[..] {
            [device, inode, created] => Ok(Self {
                device,
                inode,
                created,
            }),
            _ => Err(()),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (folder, file) = text.split_once(' ').ok_or(())?;
        Ok(Self {
            folder: folder.parse()?,
            file: file.parse()?,
        })
    }
}

/// Returns the path by which SQLite opens a ledger. It is absolute, so that SQLite takes no name
/// for a URI or for a database in memory.
pub(crate) fn ledger_path(dir: &Path) -> PathBuf {
    // If the current folder was removed, no relative path can be opened anyway.
    std::path::absolute(dir)
        .unwrap_or_else(|_| Path::new("./").join(dir))
        .join(FILE_NAME)
}

/// Refuses a path that cannot be that of a run directory, before it is used.
///
/// # Errors
/// `LedgerError::Path`, with the reason.
pub fn check_path(dir: &Path) -> Result<(), LedgerError> {
    match why_impossible(dir) {
        Some(reason) => Err(LedgerError::Path {
            dir: dir.to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Why a path cannot be that of a run directory; None if it can.
fn why_impossible(dir: &Path) -> Option<String> {
    if dir.as_os_str().is_empty() {
        return Some("it is empty".to_owned());
    }

    let real = real_path(dir);

    for path in [ledger_path(dir).as_path(), &real] {
        if path.to_str().is_none() {
            return Some(format!(
                "its path is not UTF-8 ({}): rename the folder, or choose another one",
                path.display()
            ));
        }
    }

    let length = real.join(FILE_NAME).as_os_str().len();

    (length > MAX_LEDGER_PATH).then(|| {
        format!(
            "the path of its ledger has {length} bytes, but SQLite opens paths of up to \
             {MAX_LEDGER_PATH} bytes: choose one that is {} shorter",
            count(length - MAX_LEDGER_PATH, "byte")
        )
    })
}

/// Resolves the links in a path, as far as it exists.
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
    use crate::ledger::connection::open_writable;
    use std::os::unix::ffi::OsStrExt;

    fn make(dir: &Path) {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join(FILE_NAME), "x").unwrap();
    }

    #[test]
    fn a_moved_directory_is_the_same_and_a_copy_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|name| dir.path().join(name));
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

        // It was removed and restored, perhaps with the same numbers.
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
    fn reused_inode_numbers_and_changed_devices_are_recognised() {
        let id = |device, inode, created| FileId {
            device,
            inode,
            created,
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
    fn sqlite_opens_the_longest_accepted_path_but_no_longer_one() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        let of_length = |length: usize| {
            let mut dir = base.clone();
            while dir.join(FILE_NAME).as_os_str().len() < length {
                let left = length - dir.join(FILE_NAME).as_os_str().len() - 1;

                // Leave room for more than a slash.
                dir.push("x".repeat(if left > 200 { 100 } else { left.min(200) }));
            }
            std::fs::create_dir_all(&dir).unwrap();
            assert_eq!(dir.join(FILE_NAME).as_os_str().len(), length);
            dir
        };
        let longest = of_length(MAX_LEDGER_PATH);
        let longer = of_length(MAX_LEDGER_PATH + 1);
        check_path(&longest).unwrap();
        open_writable(&longest.join(FILE_NAME), None).unwrap();
        let said = check_path(&longer).unwrap_err().to_string();
        assert!(said.contains("505 bytes") && said.contains("504"), "{said}");
        assert!(open_writable(&longer.join(FILE_NAME), None).is_err());

        // A short link to a long path, and a folder that does not exist yet.
        let link = base.join("link");
        std::os::unix::fs::symlink(&longer, &link).unwrap();
        assert!(check_path(&link).is_err());
        assert!(check_path(&base.join("a".repeat(600))).is_err());
        assert!(check_path(&base.join("new/one")).is_ok());
    }

    #[test]
    fn empty_and_non_utf8_paths_are_refused() {
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
