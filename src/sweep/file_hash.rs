//! Hashes the contents of a file, for fingerprints.

use std::fs::File;
use std::path::Path;

/// Maximum size of a file that is hashed. Reading a larger one would delay every start.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// Returns a hash of a file's contents; of a larger file its size. None if it is no plain file or
/// cannot be read.
pub(super) fn hash_file(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    if metadata.len() > MAX_HASHED_BYTES {
        return Some(format!("{} bytes", metadata.len()));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).ok()?).ok()?;
    Some(hasher.finalize().to_hex()[..16].to_owned())
}
