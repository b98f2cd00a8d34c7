//! The fingerprint of what is trained: all that a result depends on beside its point and seed.
//! It is computed once a run; the ledger keeps one for each version, and a new run compares its own
//! with the last one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Maximum number of changed files to name in a line.
const MAX_NAMED_FILES: usize = 5;

/// What is trained, at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The command line with its macros: without hyper-parameters, seed and values of variables.
    pub command: String,
    /// Keyed hashes of the variables that the sweep file sets or names; the values may be secrets.
    pub env: BTreeMap<String, String>,
    /// The folder that programs are started in; None for the built-in task, which needs none.
    pub folder: Option<String>,
    /// Content hashes of the files that the command names, by their names in the command.
    pub files: BTreeMap<String, String>,
    /// The code around those files.
    pub sources: Option<Sources>,
    /// What changed while trials ran, so that their code is not known exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited: Vec<String>,
}

/// The code around a program: the files of its git repository, or the source files of its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The repository's top folder, or the program's folder.
    pub root: String,
    /// The commit that is checked out; None outside a repository. Not compared, since to commit the
    /// changes that were trained changes nothing.
    pub commit: Option<String>,
    /// Whether there are changes beyond that commit.
    pub uncommitted: bool,
    /// Hash of all paths and contents.
    pub digest: String,
    /// Content hashes by path, where there are few enough to keep.
    pub files: BTreeMap<String, String>,
}

/// How what is trained differs from what was trained before, one line for each difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Differences in the sweep file or on the command line.
    pub settings: Vec<String>,
    /// Differences in the code.
    pub code: Vec<String>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.code.is_empty()
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.settings.iter().chain(&self.code)
    }
}

impl Fingerprint {
    /// Whether everything that a result depends on is the same, as far as both fingerprints know
    /// it.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_sources = match (&self.sources, &other.sources) {
            (Some(ours), Some(theirs)) => ours.is_same(theirs),
            // Without git, or in a folder with too many files, the code is unknown.
            _ => true,
        };
        same_sources
            && self.command == other.command
            && self.env == other.env
            && self.folder == other.folder
            && self.files == other.files
            && self.edited == other.edited
    }

    /// Returns how `self` differs from an earlier fingerprint.
    pub fn since(&self, earlier: &Self) -> Difference {
        Difference {
            settings: self.changed_settings(earlier),
            code: self.changed_code(earlier),
        }
    }

    fn changed_settings(&self, earlier: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.command != earlier.command {
            lines.push(format!(
                "command: `{}` instead of `{}`",
                self.command, earlier.command
            ));
        }
        lines.extend(changed_variables(&earlier.env, &self.env));
        if self.folder != earlier.folder {
            lines.push(format!(
                "folder: {} instead of {}",
                self.folder.as_deref().unwrap_or("none"),
                earlier.folder.as_deref().unwrap_or("none")
            ));
        }
        lines
    }

    fn changed_code(&self, earlier: &Self) -> Vec<String> {
        let mut lines = earlier.edited.clone();

        for (name, hash) in &self.files {
            match earlier.files.get(name) {
                Some(known) if known != hash => lines.push(format!("{name} has changed")),
                // Another command names other files, which is not worth a line.
                None if self.command == earlier.command => lines.push(format!("{name} is new")),
                _ => {}
            }
        }
        if self.command == earlier.command {
            let gone = earlier
                .files
                .keys()
                .filter(|name| !self.files.contains_key(*name));
            lines.extend(gone.map(|name| format!("{name} is gone")));
        }

        if let (Some(now), Some(then)) = (&self.sources, &earlier.sources) {
            let named: Vec<&str> = self
                .files
                .keys()
                .chain(earlier.files.keys())
                .map(String::as_str)
                .collect();
            lines.extend(now.since(then, &named));
        }

        let newly_edited = self
            .edited
            .iter()
            .filter(|line| !earlier.edited.contains(line));
        lines.extend(newly_edited.cloned());
        lines
    }

    /// The commit that was checked out, shortened, with a plus sign where there were uncommitted
    /// changes.
    pub fn commit(&self) -> Option<String> {
        self.sources.as_ref().and_then(Sources::shown_commit)
    }
}

impl Sources {
    /// Whether the code is the same. If only one of the two was listed by git, the lists differ:
    /// then the files that are in both are compared.
    fn is_same(&self, other: &Self) -> bool {
        if self.digest == other.digest {
            return true;
        }
        if self.commit.is_some() == other.commit.is_some() {
            return false;
        }

        let theirs = other.by_whole_path();
        let mut common = 0;
        for (path, hash) in self.by_whole_path() {
            match theirs.get(&path) {
                Some(known) if *known != hash => return false,
                Some(_) => common += 1,
                None => {}
            }
        }
        common > 0
    }

    /// The hashes of the files by their paths in the file system.
    fn by_whole_path(&self) -> BTreeMap<PathBuf, &str> {
        let root = Path::new(&self.root);
        self.files
            .iter()
            .map(|(path, hash)| (root.join(path), hash.as_str()))
            .collect()
    }

    fn shown_commit(&self) -> Option<String> {
        let commit = self.commit.as_ref()?;
        let short: String = commit.chars().take(7).collect();
        Some(if self.uncommitted {
            format!("{short}+")
        } else {
            short
        })
    }

    /// Describes how the code differs from an earlier one. `named` are files that have a line of
    /// their own.
    fn since(&self, earlier: &Self, named: &[&str]) -> Option<String> {
        if self.is_same(earlier) {
            return None;
        }

        let mut parts = Vec::new();
        if let (Some(now), Some(then)) = (self.shown_commit(), earlier.shown_commit())
            && now != then
        {
            parts.push(format!("commit {now} instead of {then}"));
        }

        let mut changed = self.changed_files(earlier);
        let total = changed.len();
        changed.retain(|path| !named.iter().any(|name| is_same_file(path, name)));
        if changed.is_empty() && total > 0 && parts.is_empty() {
            return None;
        }
        if !changed.is_empty() {
            parts.push(format!("changed: {}", some_of(&changed)));
        }
        if parts.is_empty() && total == 0 {
            parts.push("its files have changed".to_owned());
        }

        let what = if self.commit.is_some() {
            "repository"
        } else {
            "source files in"
        };
        Some(format!("{what} {}: {}", self.root, parts.join("; ")))
    }

    fn changed_files<'a>(&'a self, earlier: &'a Self) -> Vec<&'a str> {
        if self.files.is_empty() || earlier.files.is_empty() {
            return Vec::new();
        }

        let new_or_changed = self
            .files
            .iter()
            .filter(|(path, hash)| earlier.files.get(*path) != Some(hash))
            .map(|(path, _)| path);
        let gone = earlier
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path));

        let mut changed: Vec<&str> = new_or_changed.chain(gone).map(String::as_str).collect();
        changed.sort_unstable();
        changed
    }
}

/// The first names of a list, and how many more there are.
fn some_of(names: &[&str]) -> String {
    let shown = names.len().min(MAX_NAMED_FILES);
    let more = names.len() - shown;
    let names = names[..shown].join(", ");
    if more == 0 {
        names
    } else {
        format!("{names} and {more} more")
    }
}

/// Whether a path below the code's root is the file that the command calls `name`: `train.py`,
/// `./train.py`, `/a/train.py`.
fn is_same_file(path: &str, name: &str) -> bool {
    let name = name.trim_start_matches("./");
    ends_with_path(path, name) || ends_with_path(name, path)
}

fn ends_with_path(long: &str, short: &str) -> bool {
    long == short
        || long
            .strip_suffix(short)
            .is_some_and(|rest| rest.ends_with('/'))
}

/// The variables that are new, gone or have another value.
fn changed_variables(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in now {
        match then.get(name) {
            None => lines.push(format!("env: {name} is new")),
            Some(known) if known != value => lines.push(format!("env: {name} has another value")),
            Some(_) => {}
        }
    }
    let gone = then.keys().filter(|name| !now.contains_key(*name));
    lines.extend(gone.map(|name| format!("env: {name} is gone")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn first() -> Fingerprint {
        Fingerprint {
            command: "python3 train.py ${args}".into(),
            env: map(&[("DATA", "a1"), ("OLD", "b1")]),
            folder: Some("/a".into()),
            files: map(&[("train.py", "c1")]),
            sources: Some(Sources {
                root: "/a".into(),
                commit: Some("1234567890".into()),
                uncommitted: false,
                digest: "d1".into(),
                files: map(&[("train.py", "c1"), ("model.py", "e1")]),
            }),
            ..Fingerprint::default()
        }
    }

    #[test]
    fn the_same_files_are_the_same_with_and_without_git() {
        let with_git = first();
        let mut without = first();
        let sources = without.sources.as_mut().unwrap();
        sources.commit = None;
        sources.root = "/".into();
        sources.digest = "d2".into();
        sources.files = map(&[
            ("a/train.py", "c1"),
            ("a/model.py", "e1"),
            ("b/other.py", "f1"),
        ]);
        assert!(with_git.is_same(&without) && without.since(&with_git).is_empty());
        let sources = without.sources.as_mut().unwrap();
        sources.files.insert("a/model.py".into(), "e2".into());
        assert!(!with_git.is_same(&without) && !without.since(&with_git).is_empty());
    }

    #[test]
    fn each_difference_is_named_in_a_line() {
        let mut now = first();
        now.env = map(&[("DATA", "a2"), ("NEW", "b1")]);
        now.folder = Some("/b".into());
        now.files = map(&[("train.py", "c2")]);
        now.sources = Some(Sources {
            root: "/b".into(),
            commit: Some("abcdef0123".into()),
            uncommitted: true,
            digest: "d2".into(),
            files: map(&[("train.py", "c2"), ("model.py", "e1"), ("data.py", "f1")]),
        });
        let difference = now.since(&first());
        insta::assert_snapshot!(difference.lines().cloned().collect::<Vec<_>>().join("\n"), @"
        env: DATA has another value
        env: NEW is new
        env: OLD is gone
        folder: /b instead of /a
        train.py has changed
        repository /b: commit abcdef0+ instead of 1234567; changed: data.py
        ");
        assert!(!now.is_same(&first()));
    }

    #[test]
    fn committing_what_was_trained_changes_nothing() {
        let mut before = first();
        before.sources.as_mut().unwrap().uncommitted = true;
        let mut after = first();
        after.sources.as_mut().unwrap().commit = Some("fedcba".into());
        assert!(after.is_same(&before));
        assert!(after.since(&before).is_empty());
    }

    #[test]
    fn what_changed_while_trials_ran_is_never_the_same() {
        let mut ran = first();
        ran.edited.push("train.py changed while trials ran".into());
        assert!(!first().is_same(&ran));
        assert_eq!(
            first().since(&ran).code,
            ["train.py changed while trials ran"]
        );
    }

    #[test]
    fn unknown_code_does_not_differ() {
        let without = Fingerprint {
            sources: None,
            ..first()
        };
        assert!(without.is_same(&first()) && without.since(&first()).is_empty());
    }
}
