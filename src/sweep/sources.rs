//! The code around a program, as its fingerprint counts it: the files of the git repositories that
//! the program and its working folder lie in, or the source files of these folders where there is
//! none. Files count as they are on the disk: a commit of exactly these changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::counted_files::CountedFiles;
use super::git::git;
use crate::ledger::FILE_NAME;
use crate::plan::Sources;

/// Endings of programs' texts.
const PROGRAMS: &[&str] = &[
    "py", "pyx", "pyi", "ipynb", "sh", "bash", "c", "cc", "cpp", "cu", "cuh", "h", "hpp", "rs",
    "go", "java", "jl", "r", "R", "m", "lua", "js", "mjs", "ts", "rb", "pl", "f90", "scala", "kt",
    "swift", "ml", "hs", "sql", "proto",
];
/// Endings of files that configure programs.
const CONFIGURATION: &[&str] = &[
    "toml", "yaml", "yml", "cfg", "conf", "ini", "nml", "jinja", "j2",
];
/// How the names of JSON files begin that configure programs; others may be results.
const JSON_CONFIGURATION: &[&str] = &["config", "conf", "params", "hparams", "settings"];
/// Endings of tracked files that no training reads.
const DOCUMENTS: &[&str] = &["md", "rst", "tex", "pdf", "png", "svg", "jpg"];
/// Folders of results and of other people's code, where git does not track them.
const PASSED_OVER: &[&str] = &[
    "runs",
    "reports",
    "exports",
    "outputs",
    "multirun",
    "wandb",
    "mlruns",
    "lightning_logs",
    "site-packages",
    "node_modules",
    "__pycache__",
    "venv",
    "env",
    "build",
    "dist",
    "target",
    "logs",
    "checkpoints",
    "data",
];
/// Files that mark a folder as one that pentagrid wrote: a run directory, a report, an export.
const OWN_MARKS: &[&str] = &[FILE_NAME, "provenance.json", ".run-directory"];
/// Maximum number of source files of a folder without git; one with more is not a project.
const MAX_SOURCE_FILES: usize = 2000;
/// Maximum number of entries that are looked at in a folder without git.
const MAX_ENTRIES: usize = 20_000;
/// Maximum size of a sweep file in bytes.
const MAX_SWEEP_FILE_BYTES: u64 = 1 << 20;
/// Maximum number of files whose hashes are kept; of more only their common hash is.
const MAX_KEPT_FILES: usize = 2000;

/// Returns the code around a program and around the folder that it is started in. What lies in the
/// run directory, a canonical path, is no code. Each file that is read is added to `read`. None:
/// there is no code, or it is not a project.
pub(crate) fn around(
    program: Option<&Path>,
    workdir: &Path,
    run_dir: &Path,
    read: &mut CountedFiles,
) -> Option<Sources> {
    let mut listings: Vec<Listing> = Vec::new();
    for folder in [program.and_then(Path::parent), Some(workdir)] {
        let listing = folder.and_then(|folder| {
            of_repository(folder, run_dir).or_else(|| of_folder(folder, run_dir))
        });
        listings.extend(listing);
    }
    // A folder without git that lies in the other one adds nothing.
    if let [first, second] = listings.as_slice() {
        if second.commit.is_none() && second.root.starts_with(&first.root) {
            listings.pop();
        } else if first.commit.is_none() && first.root.starts_with(&second.root) {
            listings.remove(0);
        }
    }

    let mut listings = listings.into_iter();
    let mut all = listings.next()?;
    for other in listings {
        all.uncommitted |= other.uncommitted;
        for path in other.paths {
            let whole = other.root.join(&path);
            let path = match whole.strip_prefix(&all.root) {
                Ok(below) => below.to_owned(),
                Err(_) => whole,
            };
            all.paths.insert(path);
        }
    }
    hashed(all, read)
}

/// The files that count, before they are read.
struct Listing {
    /// The repository's top folder, or the folder; canonical.
    root: PathBuf,
    /// The commit that is checked out; None without git.
    commit: Option<String>,
    /// Whether files differ from it.
    uncommitted: bool,
    /// The files, relative to the root or absolute.
    paths: BTreeSet<PathBuf>,
}

/// Lists the repository that a folder lies in: the files that git tracks, also those of submodules;
/// source files that it does not know yet, or that it ignores one by one; and the source files of
/// repositories inside that it does not track.
fn of_repository(folder: &Path, run_dir: &Path) -> Option<Listing> {
    let root = git(folder, &["rev-parse", "--show-toplevel"])?;
    let root = PathBuf::from(root.trim_end_matches('\n'));
    let root = root.canonicalize().unwrap_or(root);
    let tracked = git(&root, &["ls-files", "-z", "--recurse-submodules"])
        .or_else(|| git(&root, &["ls-files", "-z"]))?;
    let untracked = git(&root, &["ls-files", "-z", "--others", "--exclude-standard"])?;
    // Folders that are ignored as a whole hold results and environments, and are not looked into.
    let ignored = git(
        &root,
        &[
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
        ],
    )
    .unwrap_or_default();

    let mut paths = BTreeSet::new();
    for path in entries(&tracked) {
        if root.join(path).is_dir() {
            // A link to a folder elsewhere; a submodule that is not checked out is empty.
            paths.extend(source_files(&root, path, run_dir).unwrap_or_default());
        } else if !has_ending(path, DOCUMENTS) {
            paths.insert(path.to_owned());
        }
    }
    for path in entries(&untracked) {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            paths.extend(source_files(&root, path, run_dir).unwrap_or_default());
        } else if is_code(path) {
            paths.insert(path.to_owned());
        }
    }
    let ignored_programs = entries(&ignored).filter(|path| {
        has_ending(path, PROGRAMS) && !path.as_os_str().as_encoded_bytes().ends_with(b"/")
    });
    paths.extend(ignored_programs.map(Path::to_owned));

    // Other sweeps' reports may be tracked, and are written while sweeps run.
    let reports: Vec<PathBuf> = paths
        .iter()
        .filter(|path| path.ends_with("provenance.json"))
        .filter_map(|path| Some(path.parent()?.to_owned()))
        .collect();
    paths.retain(|path| {
        let whole = root.join(path);
        !whole.starts_with(run_dir)
            && !is_sweep_file(&whole)
            && !reports.iter().any(|report| path.starts_with(report))
    });

    let commit = git(&root, &["rev-parse", "--verify", "HEAD"]);
    let commit = commit.map_or("none yet".to_owned(), |commit| commit.trim().to_owned());
    let differing = git(&root, &["diff-index", "--name-only", "-z", "HEAD"]).unwrap_or_default();
    // An edited sweep file is no change of the code.
    let uncommitted = entries(&differing)
        .chain(entries(&untracked))
        .any(|path| paths.contains(path) || !root.join(path).exists());
    Some(Listing {
        root,
        commit: Some(commit),
        uncommitted,
        paths,
    })
}

/// The paths in what git prints with `-z`.
fn entries(list: &str) -> impl Iterator<Item = &Path> {
    list.split_terminator('\0').map(Path::new)
}

/// Lists the source files of a folder without git.
fn of_folder(folder: &Path, run_dir: &Path) -> Option<Listing> {
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let paths = source_files(&root, Path::new(""), run_dir)?;
    Some(Listing {
        root,
        commit: None,
        uncommitted: false,
        paths,
    })
}

/// Lists the source files in the folder `below` of a root, relative to the root. Where it has too
/// many entries to be a project, only those of the folder itself and of Python packages in it. None:
/// these are too many, too.
fn source_files(root: &Path, below: &Path, run_dir: &Path) -> Option<BTreeSet<PathBuf>> {
    walk(root, below, run_dir, false).or_else(|| walk(root, below, run_dir, true))
}

/// As `source_files`; `packages`: goes into Python packages only. None: there are too many entries.
fn walk(root: &Path, below: &Path, run_dir: &Path, packages: bool) -> Option<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut looked_at = 0;
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root.join(&folder));
        for entry in entries.into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MAX_ENTRIES || files.len() > MAX_SOURCE_FILES {
                return None;
            }
            let path = folder.join(entry.file_name());
            let whole = entry.path();
            let kind = entry.file_type().ok();
            if kind.is_some_and(|kind| kind.is_dir()) {
                let wanted = !packages || whole.join("__init__.py").is_file();
                let inside = path.strip_prefix(below).unwrap_or(&path);
                if wanted && !is_passed_over(inside) && whole != run_dir && !is_our_output(&whole) {
                    folders.push(path);
                }
            } else if whole.is_file() && is_code_name(&path) && !is_sweep_file(&whole) {
                files.insert(path);
            }
        }
    }
    Some(files)
}

/// Whether pentagrid wrote a folder: a run directory, a report or an export.
fn is_our_output(folder: &Path) -> bool {
    OWN_MARKS.iter().any(|mark| folder.join(mark).exists())
}

/// Reads the files of a listing. What is gone is left out. None: there are none.
fn hashed(listing: Listing, read: &mut CountedFiles) -> Option<Sources> {
    let mut files = BTreeMap::new();
    for path in &listing.paths {
        if let Some(hash) = read.hash(&listing.root.join(path)) {
            files.insert(path.display().to_string(), hash);
        }
    }

    if files.is_empty() {
        return None;
    }

    let mut hasher = blake3::Hasher::new();
    for (path, hash) in &files {
        hasher.update(format!("{path}\0{hash}\0").as_bytes());
    }
    let digest = hasher.finalize().to_hex()[..16].to_owned();
    if files.len() > MAX_KEPT_FILES {
        files.clear();
    }
    Some(Sources {
        root: listing.root.display().to_string(),
        commit: listing.commit,
        uncommitted: listing.uncommitted,
        digest,
        files,
    })
}

/// Whether a YAML file is a sweep file, this sweep's or another's: what of it is trained is
/// compared for itself.
fn is_sweep_file(path: &Path) -> bool {
    if !has_ending(path, &["yaml", "yml"])
        || std::fs::metadata(path).is_ok_and(|file| file.len() > MAX_SWEEP_FILE_BYTES)
    {
        return false;
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("metric:") && (has("parameters:") || has("arms:"))
}

fn is_code(path: &Path) -> bool {
    is_code_name(path) && !path.parent().is_some_and(is_passed_over)
}

/// Whether a file is code, by its name.
fn is_code_name(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let configures = JSON_CONFIGURATION
        .iter()
        .any(|prefix| name.starts_with(prefix));
    has_ending(path, PROGRAMS)
        || has_ending(path, CONFIGURATION)
        || (has_ending(path, &["json"]) && configures)
        || name == "Makefile"
}

fn is_passed_over(folder: &Path) -> bool {
    folder.components().any(|part| match part {
        Component::Normal(name) => name
            .to_str()
            .is_none_or(|name| name.starts_with('.') || PASSED_OVER.contains(&name)),
        _ => false,
    })
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| endings.contains(&ending))
}

#[cfg(test)]
mod tests;
