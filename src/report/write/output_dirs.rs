//! The folders of reports and exports without `--out`: beside each other, named like their run
//! directories. A folder with the output of another run directory is not overwritten.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::error::ReportError;
use super::folder::Folder;
use crate::ledger::FILE_NAME;
use crate::spec::Spec;

/// The file in a report's or an export's folder that names the run directory, relative to the
/// folder.
const MARK: &str = ".run-directory";
/// Maximum length of that file in bytes.
const MAX_MARK: u64 = 8192;

/// The folder of a run directory's reports.
pub fn default_report_dir(dir: &Path, spec: &Spec) -> PathBuf {
    Path::new("reports").join(name_of(dir, spec))
}

/// The folder of its exports.
pub fn default_export_dir(dir: &Path, spec: &Spec) -> PathBuf {
    Path::new("exports").join(name_of(dir, spec))
}

/// The last part of a run directory's path; the sweep's name where there is none, as of `/`.
fn name_of(dir: &Path, spec: &Spec) -> OsString {
    if let Some(name) = dir.file_name() {
        return name.to_owned();
    }
    // Paths such as `.` and `..` have to be resolved first.
    let resolved = dir.canonicalize().ok();
    let name = resolved.as_deref().and_then(Path::file_name);
    name.map_or_else(|| spec.name.clone().into(), OsString::from)
}

/// Refuses a folder that holds the output of another run directory which still exists: the output
/// would be lost.
///
/// # Errors
/// `ReportError::OtherRun`.
pub fn refuse_other_run(out: &Path, dir: &Path) -> Result<(), ReportError> {
    let Some(other) = marked(out) else {
        return Ok(());
    };
    if dir.canonicalize().is_ok_and(|own| own == other) || !other.join(FILE_NAME).exists() {
        return Ok(());
    }
    Err(ReportError::OtherRun {
        out: out.to_owned(),
        other,
    })
}

/// Refuses a folder that a report could not be written to, before anything is run for it. Makes
/// nothing.
///
/// # Errors
/// `ReportError::Out`.
pub fn check_output_dir(out: &Path) -> Result<(), ReportError> {
    let refuse = |reason: String| {
        Err(ReportError::Out {
            out: out.to_owned(),
            reason,
        })
    };
    if out.to_str().is_none() {
        return refuse("the name is not UTF-8".to_owned());
    }

    // What is there already, of the folder or of those that it lies in.
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    for folder in absolute.ancestors() {
        match std::fs::metadata(folder) {
            Ok(metadata) if !metadata.is_dir() => {
                return refuse(format!("{} is not a folder", folder.display()));
            }
            Ok(_) => {
                return match access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
                    Ok(()) => Ok(()),
                    Err(error) => refuse(format!("{}: {}", folder.display(), error.desc())),
                };
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if std::fs::symlink_metadata(folder).is_ok() {
                    return refuse(format!(
                        "{} is a symbolic link to nothing",
                        folder.display()
                    ));
                }
            }
            // Of a name below a file: the next round finds the file.
            Err(error) if error.kind() == ErrorKind::NotADirectory => {}
            Err(error) => return refuse(error.to_string()),
        }
    }
    Ok(())
}

/// The existing run directory that a folder's mark names, if there is one.
fn marked(out: &Path) -> Option<PathBuf> {
    let path = out.join(MARK);
    let metadata = std::fs::symlink_metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_MARK {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    out.join(text.trim_end_matches('\n')).canonicalize().ok()
}

/// Marks a folder with its run directory. The path is relative, so that it stays valid if both are
/// moved together.
pub fn mark_run_directory(folder: &Folder, out: &Path, dir: &Path) -> Result<(), ReportError> {
    let (Ok(out), Ok(dir)) = (out.canonicalize(), dir.canonicalize()) else {
        return Ok(());
    };
    match relative(&out, &dir).to_str() {
        Some(path) => folder.note(MARK, &format!("{path}\n")),
        // A path that is not text cannot be recorded, so the folder stays unmarked.
        None => Ok(()),
    }
}

/// The relative path from one folder to another; both are absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let from: Vec<Component<'_>> = from.components().collect();
    let to: Vec<Component<'_>> = to.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_between_two_folders() {
        let way = |from: &str, to: &str| {
            relative(Path::new(from), Path::new(to))
                .display()
                .to_string()
        };
        assert_eq!(way("/a/reports/x", "/a/runs/x"), "../../runs/x");
        assert_eq!(way("/a", "/a/b"), "b");
        assert_eq!(way("/tmp/r", "/home/me/runs/x"), "../../home/me/runs/x");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_and_nothing_is_made() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        check_output_dir(root.path()).unwrap();
        check_output_dir(&path("a/b/c")).unwrap();
        assert!(!path("a").exists());

        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("nothing"), path("link")).unwrap();
        let long = path(&"x".repeat(300));
        let odd = path("").join(std::ffi::OsStr::from_bytes(b"r\xff"));
        for (out, reason) in [
            (path("file"), "is not a folder"),
            (path("file/below"), "is not a folder"),
            (path("link"), "is a symbolic link to nothing"),
            (long, "too long"),
            (odd, "not UTF-8"),
            ("/proc/report".into(), "/proc"),
        ] {
            let refused = check_output_dir(&out).map_err(|error| error.to_string());
            // The superuser is told of /proc only when it writes there.
            if let Err(error) = refused {
                assert!(error.contains(reason) && error.contains("--out"), "{error}");
            } else {
                assert_eq!(reason, "/proc");
            }
        }
    }

    #[test]
    fn output_of_another_run_directory_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for dir in ["runs/a", "runs/b"] {
            std::fs::create_dir_all(path(dir)).unwrap();
            std::fs::write(path(dir).join(FILE_NAME), "").unwrap();
        }
        let out = path("reports/a");
        let folder = Folder::make(&out).unwrap();
        refuse_other_run(&out, &path("runs/b")).unwrap();
        mark_run_directory(&folder, &out, &path("runs/a")).unwrap();
        refuse_other_run(&out, &path("runs/a")).unwrap();
        let error = refuse_other_run(&out, &path("runs/b")).unwrap_err();
        assert!(error.to_string().contains("--out"), "{error}");
        assert!(
            refuse_other_run(&out, &path("runs/new")).is_err(),
            "a run directory that does not exist yet is another one, too"
        );
        // After a common move the mark still holds, and nothing is lost of a run directory that no
        // longer exists.
        std::fs::rename(path("runs"), path("old")).unwrap();
        refuse_other_run(&out, &path("old/b")).unwrap();
        // A FIFO or a link in its place does not block.
        std::fs::remove_file(out.join(MARK)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", out.join(MARK)).unwrap();
        refuse_other_run(&out, &path("old/b")).unwrap();
    }
}
