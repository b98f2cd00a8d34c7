//! The folder of a report or an export. Each file is written atomically: it appears complete or not
//! at all.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::error::ReportError;
use crate::aggregate::ParquetError;
use crate::files;
use crate::ledger::LedgerError;
use crate::report::CsvError;

/// Why a file with rows of the ledger could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// CSV could not be made.
    Csv(CsvError),
    /// The ledger could not be read.
    Ledger(LedgerError),
    /// The file could not be written.
    Io(std::io::Error),
}

impl From<CsvError> for WriteError {
    fn from(error: CsvError) -> Self {
        Self::Csv(error)
    }
}

impl From<LedgerError> for WriteError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        Self::Io(std::io::Error::other(error))
    }
}

impl WriteError {
    /// The error for a file of a report.
    fn at(self, path: PathBuf) -> ReportError {
        let source = match self {
            Self::Ledger(error) => return error.into(),
            Self::Csv(error) => std::io::Error::other(error),
            Self::Io(error) => error,
        };
        ReportError::File {
            what: "cannot write",
            path,
            source,
        }
    }
}

/// A folder of a report or an export.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The files that were written.
    written: RefCell<Vec<String>>,
}

impl Folder {
    /// Creates the folder, if it does not exist yet.
    pub fn make(path: &Path) -> Result<Self, ReportError> {
        std::fs::create_dir_all(path).map_err(|source| ReportError::File {
            what: "cannot create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            written: RefCell::default(),
        })
    }

    /// Writes a file.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), WriteError>,
    ) -> Result<(), ReportError> {
        // Another process may be writing the same report: each has its own partial file, and the
        // last one to finish wins.
        let path = self.path.join(name);
        let partial = self
            .path
            .join(format!(".{name}.{}.partial", std::process::id()));
        let result = write_file(&partial, write)
            .and_then(|()| std::fs::rename(&partial, &path).map_err(WriteError::Io));
        if let Err(error) = result {
            // If the partial file cannot be removed either, the error itself says more.
            let _ = std::fs::remove_file(&partial);
            return Err(error.at(path));
        }
        self.written.borrow_mut().push(name.to_owned());
        Ok(())
    }

    /// The names of the files that were written, in order.
    pub fn written(&self) -> Vec<String> {
        self.written.borrow().clone()
    }

    /// Removes a file, if it exists.
    pub fn remove(&self, name: &str) -> Result<(), ReportError> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(ReportError::File {
                    what: "cannot remove",
                    path,
                    source,
                })
            }
            _ => Ok(()),
        }
    }

    /// Writes a file that `written` does not list.
    pub fn note(&self, name: &str, text: &str) -> Result<(), ReportError> {
        self.text(name, text)?;
        self.written.borrow_mut().pop();
        Ok(())
    }

    /// Writes a file of text.
    pub fn text(&self, name: &str, text: &str) -> Result<(), ReportError> {
        self.write(name, |to| Ok(to.write_all(text.as_bytes())?))
    }

    /// Writes a file of CSV.
    pub fn csv(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), CsvError>,
    ) -> Result<(), ReportError> {
        self.write(name, |to| Ok(write(to)?))
    }
}

/// Creates a file and writes it. An existing file, left by an earlier process or created by another
/// user, is replaced and never written to.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let _ = std::fs::remove_file(path);
    let mut to = BufWriter::new(files::create(path)?);
    write(&mut to)?;
    Ok(to.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn files_of_other_processes_stay_and_failed_ones_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path()).unwrap();
        let others = dir.path().join(".a.txt.partial");
        std::fs::write(&others, "half").unwrap();
        folder.text("a.txt", "whole").unwrap();
        assert_eq!(std::fs::read_to_string(&others).unwrap(), "half");
        std::fs::remove_file(others).unwrap();
        let failed = folder.write("a.txt", |to| {
            to.write_all(b"half").and_then(|()| to.flush())?;
            assert!(files(dir.path()).contains(&format!(".a.txt.{}.partial", std::process::id())));
            Err(WriteError::Io(std::io::Error::other("disk full")))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(
            (
                files(dir.path()),
                std::fs::read_to_string(dir.path().join("a.txt")).unwrap()
            ),
            (vec!["a.txt".into()], "whole".into())
        );
    }
}
