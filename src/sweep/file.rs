//! Reading a sweep file from the disk, no more of it than may be there.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::SweepError;
use crate::ledger::Reader;
use crate::spec::{self, Diagnosis, Spec};

/// A sweep file that was read and found valid.
#[derive(Debug)]
pub struct SweepFile {
    /// Its text, byte for byte.
    pub text: String,
    /// What it says.
    pub spec: Spec,
}

/// Reads a sweep file. `dir` is the run directory, where one is named: a sweep without a name is
/// called as it is.
///
/// # Errors
/// `SweepError::Refused` if it cannot be read, `SweepError::Spec` if it is not a valid spec.
pub fn read(path: &Path, dir: Option<&Path>) -> Result<SweepFile, SweepError> {
    let name = path.display().to_string();
    let fail =
        |source: std::io::Error| SweepError::Refused(format!("cannot read {name}: {source}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(spec::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() > spec::MAX_BYTES {
        let size = std::fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(SweepError::Spec(Box::new(Diagnosis::too_large(
            &name, size,
        ))));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(text, &name, dir),
        Err(error) => Err(SweepError::Spec(Box::new(Diagnosis::not_utf8(
            &name,
            error.as_bytes(),
        )))),
    }
}

/// The spec in force in a run directory.
///
/// # Errors
/// As the ledger; `SweepError::Spec` if this version of the program does not accept the spec any
/// more.
pub(crate) fn from_ledger(ledger: &Reader, dir: &Path) -> Result<SweepFile, SweepError> {
    parse(
        ledger.spec_text()?,
        &dir.join("spec.yaml").display().to_string(),
        Some(dir),
    )
}

fn parse(text: String, name: &str, dir: Option<&Path>) -> Result<SweepFile, SweepError> {
    match spec::read_named(&text, name, dir.map(name_of).as_deref()) {
        Ok(spec) => Ok(SweepFile { text, spec }),
        Err(diagnosis) => Err(SweepError::Spec(Box::new(diagnosis))),
    }
}

/// The name of a folder, also of one that is given as `.` or `..`.
fn name_of(dir: &Path) -> String {
    let known = dir.file_name().map(ToOwned::to_owned);
    let found = known.or_else(|| Some(dir.canonicalize().ok()?.file_name()?.to_owned()));
    found.unwrap_or_default().to_string_lossy().into_owned()
}

/// The run directory of a sweep, where none is named.
pub fn default_run_dir(spec: &Spec) -> PathBuf {
    Path::new("runs").join(&spec.name)
}
