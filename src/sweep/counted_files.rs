//! The files that a fingerprint counts: their contents' hashes, and when each was last written, so
//! that an edit is seen while trials run even if it is taken back.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Maximum size of a file that is hashed. Reading a larger one would delay every start.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// Files as they were when they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct CountedFiles {
    /// None: the file was not there.
    files: BTreeMap<PathBuf, Option<Stamp>>,
}

impl CountedFiles {
    /// Returns a hash of a file's contents; of a large file its size. None if it is no plain file or
    /// cannot be read.
    pub(crate) fn hash(&mut self, path: &Path) -> Option<String> {
        // Before it is read: a write in between must be seen later.
        let metadata = std::fs::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)?;
        let stamp = Stamp::of(&metadata);
        self.files.insert(path.to_owned(), Some(stamp));

        if metadata.len() > MAX_HASHED_BYTES {
            return Some(format!("{} bytes", metadata.len()));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path).ok()?).ok()?;
        Some(hasher.finalize().to_hex()[..16].to_owned())
    }

    /// Whether all files are as they were when they were read, and none was written since.
    pub(crate) fn are_untouched(&self) -> bool {
        self.files.iter().all(|(path, stamp)| {
            let now = std::fs::metadata(path).ok();
            now.as_ref().map(Stamp::of) == *stamp
        })
    }

    /// Adds the files of an earlier reading that are away now, so that their return is seen.
    pub(crate) fn add_missing(&mut self, earlier: &Self) {
        for path in earlier.files.keys() {
            self.files.entry(path.clone()).or_insert(None);
        }
    }
}

/// What differs after a file was written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    /// Time of the last change in seconds and nanoseconds. Unlike the time of modification no
    /// program can set it back.
    changed: [i64; 2],
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: [metadata.ctime(), metadata.ctime_nsec()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_was_taken_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.py");
        std::fs::write(&path, "a").unwrap();
        let mut files = CountedFiles::default();
        let hash = files.hash(&path);
        assert!(files.are_untouched());

        // A coarse clock may give two writes in a row the same time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "b").unwrap();
        std::fs::write(&path, "a").unwrap();
        assert!(!files.are_untouched());
        assert_eq!(files.hash(&path), hash);
    }

    #[test]
    fn a_file_that_goes_away_and_comes_back_was_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.py");
        std::fs::write(&path, "a").unwrap();
        let mut files = CountedFiles::default();
        files.hash(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(!files.are_untouched());

        let mut later = CountedFiles::default();
        later.add_missing(&files);
        assert!(later.are_untouched());
        std::fs::write(&path, "a").unwrap();
        assert!(!later.are_untouched());
    }
}
