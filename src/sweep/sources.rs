//! The code around a program, as its fingerprint counts it: the files of the git repository that it
//! lies in, or the source files of its folder where there is none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::fingerprint::hash_file;
use crate::plan::Sources;

/// Endings of files that are code though git does not track them.
const CODE: &[&str] = &[
    "py", "pyx", "pyi", "sh", "bash", "c", "cc", "cpp", "cu", "cuh", "h", "hpp", "rs", "go",
    "java", "jl", "r", "R", "m", "lua", "js", "ts", "rb", "pl", "f90", "scala", "kt", "swift",
    "ml", "hs", "toml", "yaml", "yml", "cfg", "ini",
];
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
/// Without git, a folder with more source files or entries is not a project: nothing is said of it.
const MAX_SOURCE_FILES: usize = 2000;
/// See `MAX_SOURCE_FILES`.
const MAX_ENTRIES: usize = 20_000;
/// A larger file is no sweep file.
const MAX_SWEEP_FILE_BYTES: u64 = 1 << 20;
/// Of more files only their common hash is kept.
const MAX_KEPT_FILES: usize = 2000;

/// The code around a program, or around the folder that it is started in. What lies in the run
/// directory, a canonical path, is no code.
pub fn around(program: Option<&Path>, workdir: &Path, run_dir: &Path) -> Option<Sources> {
    let folders = [program.and_then(Path::parent), Some(workdir)];
    let mut folders = folders.into_iter().flatten();
    folders
        .find_map(|folder| of_repository(folder, run_dir))
        .or_else(|| of_folder(program?.parent()?, run_dir))
}

/// What git prints for these arguments; None if it fails or is not there.
fn git(folder: &Path, arguments: &[&str], input: Option<&str>) -> Option<String> {
    let mut command = Command::new("git");
    // It must not take the index's lock while the user works with it.
    command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut child = command.spawn().ok()?;

    // Written by a thread: git answers while it reads.
    let feed = match (child.stdin.take(), input) {
        (Some(mut pipe), Some(text)) => {
            let text = text.to_owned();
            let write = move || drop(pipe.write_all(text.as_bytes()));
            match std::thread::Builder::new().spawn(write) {
                Ok(feed) => Some(feed),
                // No thread to be had: as without git, nothing is known of the code. The pipe is closed.
                Err(_) => {
                    drop(child.wait_with_output());
                    return None;
                }
            }
        }
        _ => None,
    };
    let output = child.wait_with_output().ok()?;
    if let Some(feed) = feed {
        drop(feed.join());
    }

    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The files of a repository as they are on the disk: those that git tracks, and source files that
/// it does not know yet. A commit of exactly these therefore changes nothing.
fn of_repository(folder: &Path, run_dir: &Path) -> Option<Sources> {
    let root = git(folder, &["rev-parse", "--show-toplevel"], None)?;
    let root = PathBuf::from(root.trim_end_matches('\n'));
    let mut files = BTreeMap::new();
    for entry in git(&root, &["ls-files", "-s", "-z"], None)?.split_terminator('\0') {
        // `mode hash stage<TAB>path`
        let (head, path) = entry.split_once('\t')?;
        files.insert(path.to_owned(), head.split(' ').nth(1)?.to_owned());
    }
    let lists = [
        git(&root, &["diff-files", "--name-only", "-z"], None)?,
        untracked(&root)?,
    ];
    let changed: Vec<&str> = lists
        .iter()
        .flat_map(|list| list.split_terminator('\0'))
        .collect();
    hash_changed(&root, &changed, &mut files);

    // Other sweeps' reports may be tracked, and are written while sweeps run.
    let reports: Vec<String> = files
        .keys()
        .filter_map(|path| Some(format!("{}/", path.strip_suffix("/provenance.json")?)))
        .collect();
    let canonical = root.canonicalize().unwrap_or(root.clone());
    files.retain(|path, _| {
        let whole = canonical.join(path);
        !has_ending(Path::new(path), DOCUMENTS)
            && !whole.starts_with(run_dir)
            && !is_sweep_file(&whole)
            && !reports
                .iter()
                .any(|report| path.starts_with(report.as_str()))
    });

    let commit =
        git(&root, &["rev-parse", "--verify", "HEAD"], None).map(|commit| commit.trim().to_owned());
    let differing =
        git(&root, &["diff-index", "--name-only", "-z", "HEAD"], None).unwrap_or_default();
    let mut beyond = differing
        .split_terminator('\0')
        .chain(lists[1].split_terminator('\0'));
    // An edited sweep file is no change of the code.
    let uncommitted = beyond.any(|path| files.contains_key(path) || !root.join(path).exists());
    Some(finish(
        &canonical,
        commit.or_else(|| Some("none yet".to_owned())),
        uncommitted,
        files,
    ))
}

/// Source files that git neither tracks nor ignores, each followed by a NUL.
fn untracked(root: &Path) -> Option<String> {
    let all = git(
        root,
        &["ls-files", "--others", "--exclude-standard", "-z"],
        None,
    )?;
    let code = all
        .split_terminator('\0')
        .filter(|path| is_code(Path::new(path)));
    Some(code.map(|path| format!("{path}\0")).collect())
}

/// Puts the hashes that git would give to changed files; removes those that are gone.
fn hash_changed(root: &Path, changed: &[&str], files: &mut BTreeMap<String, String>) {
    // Of a line break in a path git's list of paths knows nothing; a submodule is a folder.
    let (there, gone): (Vec<&str>, Vec<&str>) =
        changed.iter().partition(|path| root.join(path).exists());
    for path in gone {
        files.remove(path);
    }
    let plain: Vec<&str> = there
        .into_iter()
        .filter(|path| root.join(path).is_file() && !path.contains('\n'))
        .collect();
    let paths: String = plain.iter().map(|path| format!("{path}\n")).collect();
    let hashes = git(root, &["hash-object", "--stdin-paths"], Some(&paths)).unwrap_or_default();
    let hashes: Vec<&str> = hashes.lines().collect();
    for (place, path) in plain.iter().enumerate() {
        let hash = hashes
            .get(place)
            .filter(|_| hashes.len() == plain.len())
            .map(|hash| (*hash).to_owned());
        files.insert(
            (*path).to_owned(),
            hash.or_else(|| hash_file(&root.join(path)))
                .unwrap_or_default(),
        );
    }
}

/// The source files of a folder, and of the Python packages in it.
fn of_folder(root: &Path, run_dir: &Path) -> Option<Sources> {
    let mut files = BTreeMap::new();
    let mut entries = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MAX_ENTRIES || files.len() > MAX_SOURCE_FILES {
                return None;
            }
            let (path, kind) = (entry.path(), entry.file_type().ok());
            let below = path.strip_prefix(root).unwrap_or(&path);
            if kind.is_some_and(|kind| kind.is_dir()) {
                let is_package =
                    path.join("__init__.py").is_file() && !is_passed_over(below) && path != run_dir;
                folders.extend(is_package.then_some(path));
            } else if kind.is_some_and(|kind| kind.is_file())
                && is_code(below)
                && !is_sweep_file(&path)
            {
                let name = below.display().to_string();
                files.insert(name, hash_file(&path)?);
            }
        }
    }
    Some(finish(root, None, false, files))
}

fn finish(
    root: &Path,
    commit: Option<String>,
    uncommitted: bool,
    files: BTreeMap<String, String>,
) -> Sources {
    let mut hasher = blake3::Hasher::new();
    for (path, hash) in &files {
        hasher.update(format!("{path}\0{hash}\0").as_bytes());
    }
    let digest = hasher.finalize().to_hex()[..16].to_owned();
    let short = |hash: String| hash.chars().take(16).collect::<String>();
    let files = match files.len() > MAX_KEPT_FILES {
        true => BTreeMap::new(),
        false => files
            .into_iter()
            .map(|(path, hash)| (path, short(hash)))
            .collect(),
    };
    Sources {
        root: root.display().to_string(),
        commit,
        uncommitted,
        digest,
        files,
    }
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
    has_ending(path, CODE) && !path.parent().is_some_and(is_passed_over)
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
mod tests {
    use super::*;

    const SWEEP: &str = "metric: {name: m, goal: minimize}\nparameters:\n  x: {value: 1}\n";

    /// A repository with a program, in a temporary folder.
    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Option<Self> {
            let repository = Self(tempfile::tempdir().unwrap());
            git(repository.0.path(), &["init", "-q"], None)?;
            repository.write("train.py", "1");
            repository.write("model.py", "1");
            repository.write("sweep.yaml", SWEEP);
            repository.commit();
            Some(repository)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn commit(&self) {
            git(self.0.path(), &["add", "-A"], None).unwrap();
            let who = [
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ];
            git(
                self.0.path(),
                &[&who[..], &["commit", "-q", "-m", "x"]].concat(),
                None,
            )
            .unwrap();
        }

        fn look(&self) -> Sources {
            let root = self.0.path().canonicalize().unwrap();
            around(Some(&root.join("train.py")), &root, &root.join("runs/t")).unwrap()
        }
    }

    #[test]
    fn what_is_on_the_disk_counts_whether_it_is_committed_or_not() {
        let Some(repository) = Repository::new() else {
            return;
        };
        let first = repository.look();
        assert!(first.commit.is_some() && !first.uncommitted);
        repository.write("model.py", "2");
        let edited = repository.look();
        assert_ne!(edited.digest, first.digest);
        assert!(edited.uncommitted);
        repository.commit();
        let committed = repository.look();
        assert_eq!(committed.digest, edited.digest, "the same files");
        assert_ne!(committed.commit, edited.commit);
        repository.write("new.py", "1");
        let untracked = repository.look();
        assert_ne!(untracked.digest, committed.digest);
        repository.commit();
        assert_eq!(repository.look().digest, untracked.digest);
        std::fs::remove_file(repository.0.path().join("new.py")).unwrap();
        assert_eq!(repository.look().digest, committed.digest);
    }

    #[test]
    fn what_sweeps_write_and_the_sweep_file_do_not_count() {
        let Some(repository) = Repository::new() else {
            return;
        };
        repository.write("reports/t/provenance.json", "1");
        repository.write("README.md", "1");
        repository.commit();
        let first = repository.look();
        let changed = [
            "README.md",
            "reports/t/provenance.json",
            "reports/t/points.csv",
            "runs/t/trials/a/model.py",
            "wandb/run/train.py",
            "checkpoint.bin",
        ];
        changed.iter().for_each(|name| repository.write(name, "2"));
        repository.write("sweep.yaml", &format!("{SWEEP}# edited\n"));
        repository.write("other.yaml", SWEEP);
        let second = repository.look();
        assert_eq!(second.digest, first.digest);
        assert!(
            !second.uncommitted,
            "an edited sweep file is no change of the code"
        );
    }

    #[test]
    fn a_repository_without_a_commit_is_one() {
        let folder = tempfile::tempdir().unwrap();
        if git(folder.path(), &["init", "-q"], None).is_none() {
            return;
        }
        std::fs::write(folder.path().join("a.py"), "1").unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert_eq!(
            around(Some(&root.join("a.py")), &root, &root.join("runs/t"))
                .unwrap()
                .files
                .len(),
            1
        );
    }

    #[test]
    fn a_folder_that_is_no_project_is_not_read_through() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MAX_SOURCE_FILES + 1 {
            std::fs::write(folder.path().join(format!("{number}.py")), "").unwrap();
        }
        assert_eq!(of_folder(folder.path(), Path::new("/runs")), None);
    }
}
