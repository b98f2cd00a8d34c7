//! Which files count as code, in repositories and folders of a temporary directory.

use super::*;

const SWEEP: &str = "metric: {name: m, goal: minimize}\nparameters:\n  x: {value: 1}\n";

/// A repository with a program, in a temporary folder.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Option<Self> {
        let repository = Self(tempfile::tempdir().unwrap());
        git(repository.0.path(), &["init", "-q"])?;
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
        git(self.0.path(), &["add", "-A"]).unwrap();
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
        )
        .unwrap();
    }

    fn look(&self) -> Sources {
        let root = self.0.path().canonicalize().unwrap();
        look_around(Some(&root.join("train.py")), &root, &root.join("runs/t")).unwrap()
    }
}

fn look_around(program: Option<&Path>, workdir: &Path, run_dir: &Path) -> Option<Sources> {
    around(program, workdir, run_dir, &mut CountedFiles::default())
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

/// A change that must be noticed: what it is, and the files to write before and after.
fn noticed(what: &str, prepare: impl Fn(&Repository), change: impl Fn(&Repository)) {
    let Some(repository) = Repository::new() else {
        return;
    };
    prepare(&repository);
    let first = repository.look();
    change(&repository);
    assert_ne!(repository.look().digest, first.digest, "{what}");
}

#[test]
fn code_that_git_does_not_watch_counts_too() {
    noticed(
        "an ignored module",
        |repository| {
            repository.write(".gitignore", "helper.py\nresults/\n");
            repository.write("helper.py", "1");
        },
        |repository| repository.write("helper.py", "2"),
    );
    noticed(
        "a file that git was told to take for unchanged",
        |repository| {
            let path = repository.0.path();
            git(path, &["update-index", "--assume-unchanged", "model.py"]).unwrap();
        },
        |repository| repository.write("model.py", "2"),
    );
    noticed(
        "a repository inside that git does not track",
        |repository| {
            repository.write("library/helper.py", "1");
            git(&repository.0.path().join("library"), &["init", "-q"]).unwrap();
        },
        |repository| repository.write("library/helper.py", "2"),
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("helper.py");
    noticed(
        "tracked links to a file and a folder elsewhere",
        |repository| {
            std::fs::write(&outside, "1").unwrap();
            let path = repository.0.path();
            std::os::unix::fs::symlink(elsewhere.path(), path.join("folder")).unwrap();
            repository.commit();
        },
        |_| std::fs::write(&outside, "2").unwrap(),
    );
}

#[test]
fn a_submodule_counts_by_its_files() {
    let Some(library) = Repository::new() else {
        return;
    };
    let url = library.0.path().display().to_string();
    noticed(
        "a file of a submodule",
        |repository| {
            let path = repository.0.path();
            let allowed = "protocol.file.allow=always";
            let add = [
                "-c",
                allowed,
                "submodule",
                "--quiet",
                "add",
                &url,
                "library",
            ];
            git(path, &add).unwrap();
            repository.commit();
        },
        |repository| repository.write("library/model.py", "2"),
    );
}

#[test]
fn the_repositories_of_the_program_and_of_its_folder_count() {
    let (Some(a), Some(b)) = (Repository::new(), Repository::new()) else {
        return;
    };
    let root_of_a = a.0.path().canonicalize().unwrap();
    let root_of_b = b.0.path().canonicalize().unwrap();
    let look = || {
        let program = root_of_a.join("train.py");
        look_around(Some(&program), &root_of_b, Path::new("/runs")).unwrap()
    };
    let first = look();
    b.write("model.py", "2");
    let second = look();
    assert_ne!(second.digest, first.digest);
    a.write("model.py", "2");
    assert_ne!(look().digest, second.digest);
}

#[test]
fn without_git_the_source_files_below_both_folders_count() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let look = || {
        look_around(
            Some(&root.join("src/train.py")),
            &root,
            &root.join("runs/t"),
        )
    };
    write("src/train.py", "1");
    let mut last = look().unwrap();
    for name in [
        "helper.py",
        "lib/helper.py",
        "conf/c.yaml",
        "config.json",
        "Makefile",
    ] {
        for text in ["1", "2"] {
            write(name, text);
            let now = look().unwrap();
            assert_ne!(now.digest, last.digest, "{name}");
            last = now;
        }
    }
    for name in [
        "results.json",
        "results.csv",
        "data/a.py",
        "elsewhere/ledger.sqlite",
        "elsewhere/trials/a.py",
    ] {
        write(name, "1");
    }
    assert_eq!(look().unwrap().digest, last.digest);
}

#[test]
fn a_repository_without_a_commit_is_one() {
    let folder = tempfile::tempdir().unwrap();
    if git(folder.path(), &["init", "-q"]).is_none() {
        return;
    }
    std::fs::write(folder.path().join("a.py"), "1").unwrap();
    let root = folder.path().canonicalize().unwrap();
    assert_eq!(
        look_around(Some(&root.join("a.py")), &root, &root.join("runs/t"))
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
    assert!(of_folder(folder.path(), Path::new("/runs")).is_none());
}
