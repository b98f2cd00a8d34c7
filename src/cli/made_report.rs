//! What a run directory notes of the report that was last made of it, so that a command with
//! nothing left to run need not make the same report again: of a hundred thousand trials that takes
//! longer than all else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::report::Written;
use crate::files;
use crate::ledger::Reader;

/// The file in a run directory.
const FILE: &str = "report.json";

/// A report that was made.
#[derive(Serialize, Deserialize)]
struct Made {
    from: From,
    /// Each of its files, with size and time of change: one that was removed or edited is made
    /// again.
    files: BTreeMap<String, (u64, u128)>,
    /// What the terminal showed of it.
    text: String,
}

/// All that a report depends on.
#[derive(PartialEq, Serialize, Deserialize)]
struct From {
    /// Size and time of the program: another build may write another report.
    program: (u64, u128),
    /// The run directory, as the report names it; and where the report is.
    run: PathBuf,
    out: PathBuf,
    /// State of the ledger, see `Reader::state`.
    ledger: [i64; 3],
}

impl From {
    fn now(ledger: &Reader, dir: &Path, out: &Path) -> Result<Self, CliError> {
        let program = std::env::current_exe()
            .ok()
            .and_then(|path| stamp(&path))
            .unwrap_or_default();
        // Terminals show the folders as they were given: the same from elsewhere is another.
        let here = std::env::current_dir().unwrap_or_default();
        Ok(Self {
            program,
            run: here.join(dir),
            out: here.join(out),
            ledger: ledger.state()?,
        })
    }
}

/// What the terminal showed of the report of a run directory, if it is there as it was made and
/// would be the same again.
///
/// # Errors
/// The ledger's.
pub fn find(dir: &Path, out: &Path) -> Result<Option<String>, CliError> {
    let Some(made) = files::read(&dir.join(FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Made>(&bytes).ok())
    else {
        return Ok(None);
    };
    let same = made.from == From::now(&Reader::open(dir)?, dir, out)?
        && made
            .files
            .iter()
            .all(|(name, stamped)| stamp(&out.join(name)).as_ref() == Some(stamped));
    Ok(same.then_some(made.text))
}

/// Notes a report that was made. `ledger` is the reader, still frozen, that it was made by. That it
/// cannot be noted is no error: then it is made again the next time.
///
/// # Errors
/// The ledger's.
pub fn note(ledger: &Reader, dir: &Path, out: &Path, written: &Written) -> Result<(), CliError> {
    let mut files = BTreeMap::new();
    list(out, "", &mut files);
    let made = Made {
        from: From::now(ledger, dir, out)?,
        files,
        text: written.text.clone(),
    };
    let path = dir.join(FILE);
    let text =
        serde_json::to_string(&made).map_err(|error| CliError::Unexpected(error.to_string()))?;
    if let Err(error) = files::replace(&path, text.as_bytes()) {
        tracing::info!("cannot write {}: {error}", path.display());
    }
    Ok(())
}

/// The files of a folder and of those in it.
fn list(folder: &Path, prefix: &str, files: &mut BTreeMap<String, (u64, u128)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => list(&entry.path(), &format!("{name}/"), files),
            false => files.extend(stamp(&entry.path()).map(|stamp| (name, stamp))),
        }
    }
}

/// A file's size, and when it was changed, in nanoseconds.
fn stamp(path: &Path) -> Option<(u64, u128)> {
    let metadata = std::fs::metadata(path).ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((metadata.len(), changed.as_nanos()))
}
