//! Reads the end of a part of a log file, in bounded memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::files;
use crate::printable;

/// Returns the last `limit` bytes of a log between `begin` and `end` (None: the end of the file),
/// from the start of a line, as a terminal would show them, but without control sequences.
///
/// # Errors
/// The operating system's, if the file cannot be read.
pub fn log_end(path: &Path, begin: u64, end: Option<u64>, limit: u64) -> std::io::Result<String> {
    log_end_of(&files::open(path)?, begin, end, limit)
}

/// The same for a log that is open for reading. The file's position does not change: the writer of
/// the log may share it.
///
/// # Errors
/// The operating system's, if the file cannot be read.
pub(crate) fn log_end_of(
    file: &File,
    begin: u64,
    end: Option<u64>,
    limit: u64,
) -> std::io::Result<String> {
    let size = file.metadata()?.len();
    let end = end.unwrap_or(size).min(size);
    let from = begin.max(end.saturating_sub(limit)).min(end);

    let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], from + filled as u64)? {
            0 => break,
            length => filled += length,
        }
    }
    bytes.truncate(filled);

    let text = printable::log(&String::from_utf8_lossy(&bytes)).into_owned();
    if from == begin.min(end) {
        return Ok(text);
    }
    Ok(match text.split_once('\n') {
        Some((_, whole_lines)) => format!("…\n{whole_lines}"),
        None => format!("…{text}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_begins_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(
            log_end(&path, 0, None, 1000).unwrap(),
            "first\nsecond\nthird\n"
        );
        assert_eq!(log_end(&path, 0, None, 10).unwrap(), "…\nthird\n");
        assert_eq!(log_end(&path, 6, Some(13), 1000).unwrap(), "second\n");
        // A sparse file: 10 GiB of zeros, and a line.
        let mut file = File::options().append(true).open(&path).unwrap();
        file.set_len(10 << 30).unwrap();
        std::io::Write::write_all(&mut file, b"\nthe end\n").unwrap();
        assert_eq!(log_end(&path, 0, None, 12).unwrap(), "…\nthe end\n");
        file.set_len(20).unwrap();
        assert_eq!(
            log_end(&path, 50, Some(60), 1000).unwrap(),
            "",
            "a log that was truncated"
        );
    }
}
