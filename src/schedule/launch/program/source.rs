//! Where the files of a program's metrics are: which names count, and the search for them.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use crate::collect::{Format, Pattern};
use crate::spec::command::{Filling, Piece, UnsetVariable, fill};
use crate::spec::{MetricsSource, OutputPattern};

/// How deep a folder is searched.
const MAX_DEPTH: usize = 8;
/// How many entries of folders a search looks at.
const MAX_ENTRIES: usize = 20_000;
/// What the names of TensorBoard's files begin with.
const EVENTS: &str = "events.out.tfevents.";
/// The files of Hugging Face's `Trainer`: results, and the state, which counts more.
const TRAINER_FILES: [&str; 3] = [
    "all_results.json",
    "eval_results.json",
    "trainer_state.json",
];

/// A source of metrics of all trials.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the sweep file has it.
    pub key: String,
    /// How its files are read.
    pub format: Format,
    /// The path that the sweep file names, with its macros.
    path: Option<Vec<Piece>>,
}

/// A source of one trial.
#[derive(Clone, Debug)]
pub struct TrialSource {
    /// As the sweep file has it.
    pub key: String,
    /// How its files are read.
    pub format: Format,
    /// The folder that is searched; None: the output is read.
    pub folder: Option<PathBuf>,
    /// Which files in it count.
    names: Names,
}

/// Which files count.
#[derive(Clone, Debug)]
enum Names {
    /// Those of the format.
    OfFormat,
    /// Those whose paths end so.
    EndingWith(PathBuf),
    /// This file.
    Exactly(PathBuf),
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    pub fn length(self) -> u64 {
        self.length
    }

    /// Whether it is of the same file.
    pub fn is_of_same_file(self, other: Self) -> bool {
        self.inode == other.inode
    }
}

impl Source {
    /// Prepares the sources of a sweep file.
    pub fn all(sources: &[MetricsSource]) -> Vec<Self> {
        sources.iter().filter_map(Self::new).collect()
    }

    /// None if the pattern is not valid, which the sweep file's reader refuses.
    fn new(source: &MetricsSource) -> Option<Self> {
        let mut path = None;
        let format = match source {
            MetricsSource::Wandb => Format::Wandb,
            MetricsSource::TrainerState => Format::TrainerState,
            MetricsSource::TensorBoard(folder) => {
                path.clone_from(folder);
                Format::TensorBoard
            }
            MetricsSource::Csv(file) => {
                path = Some(file.clone());
                Format::Csv
            }
            MetricsSource::Json(file) => {
                path = Some(file.clone());
                Format::Json
            }
            MetricsSource::Output(OutputPattern::Pairs) => Format::Output(Pattern::Pairs),
            MetricsSource::Output(OutputPattern::Groups(pattern)) => {
                Format::Output(Pattern::Groups(Arc::new(Regex::new(pattern).ok()?)))
            }
        };
        Some(Self {
            key: source.to_string(),
            format,
            path,
        })
    }

    /// The source of a trial. `folder` is the trial's.
    ///
    /// # Errors
    /// If a variable is not set.
    pub fn of_trial(
        &self,
        folder: &Path,
        filling: &Filling<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<TrialSource, UnsetVariable> {
        let path = match &self.path {
            Some(pieces) => Some(PathBuf::from(fill(pieces, filling, variable)?)),
            None => None,
        };
        let (root, names) = match (&self.format, path) {
            (Format::Output(_), _) => (None, Names::OfFormat),
            (Format::TensorBoard, Some(path)) => (Some(folder.join(path)), Names::OfFormat),
            (_, None) => (Some(folder.to_owned()), Names::OfFormat),
            (_, Some(path)) if path.is_absolute() => {
                (path.parent().map(Path::to_owned), Names::Exactly(path))
            }
            (_, Some(path)) => {
                let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
                (Some(folder.to_owned()), Names::EndingWith(path))
            }
        };
        Ok(TrialSource {
            key: self.key.clone(),
            format: self.format.clone(),
            folder: root,
            names,
        })
    }
}

impl TrialSource {
    /// The files that there are, in the order of their paths.
    ///
    /// # Errors
    /// The operating system's, if a folder cannot be read.
    pub fn files(&self) -> io::Result<BTreeMap<PathBuf, Stamp>> {
        let mut found = BTreeMap::new();
        match (&self.folder, &self.names) {
            (None, _) => {}
            (Some(_), Names::Exactly(path)) => {
                if let Ok(metadata) = std::fs::metadata(path)
                    && metadata.is_file()
                {
                    found.insert(path.clone(), Stamp::of(&metadata));
                }
            }
            (Some(folder), _) => {
                let mut search = Search {
                    entries: 0,
                    take: &mut |path, metadata| {
                        if self.counts(path) {
                            found.insert(path.to_owned(), Stamp::of(metadata));
                        }
                    },
                };
                search.folder(folder, 0)?;
            }
        }
        Ok(found)
    }

    fn counts(&self, path: &Path) -> bool {
        match &self.names {
            Names::EndingWith(end) => path.ends_with(end),
            Names::Exactly(exact) => path == exact,
            Names::OfFormat => is_of_format(&self.format, path),
        }
    }

    /// A path as messages show it.
    pub fn shown(&self, path: &Path) -> String {
        let folder = self.folder.as_deref().unwrap_or(Path::new(""));
        path.strip_prefix(folder)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

fn is_of_format(format: &Format, path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    match format {
        Format::Wandb => name.ends_with(".wandb"),
        Format::TensorBoard => name.starts_with(EVENTS),
        Format::TrainerState => TRAINER_FILES.contains(&name),
        Format::Csv | Format::Json | Format::Output(_) => false,
    }
}

/// The keys that would read files which lie in a trial's folder, each with one of these files.
pub(super) fn keys_for(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut search = Search {
        entries: 0,
        take: &mut |path, _| {
            let formats = [
                (Format::Wandb, "wandb"),
                (Format::TensorBoard, "tensorboard"),
                (Format::TrainerState, "trainer_state"),
            ];
            let key = formats
                .iter()
                .find(|(format, _)| is_of_format(format, path))
                .map(|(_, key)| (*key).to_owned());
            let is_csv = path.extension().is_some_and(|extension| extension == "csv");
            let relative = path.strip_prefix(folder).unwrap_or(path);
            let csv = is_csv.then(|| format!("{{csv: {}}}", relative.display()));
            if let Some(key) = key.or(csv) {
                found.entry(key).or_insert_with(|| relative.to_owned());
            }
        },
    };
    // A hint is not worth an error.
    drop(search.folder(folder, 0));
    found.into_iter().collect()
}

/// Passes every plain file of a folder and its subfolders to `take`. Links to folders are not
/// followed.
struct Search<'a> {
    entries: usize,
    take: &'a mut dyn FnMut(&Path, &Metadata),
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Ok(());
            }
            let Ok(entry) = entry else { continue };
            // A file may disappear at any time.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            if kind.is_dir() {
                if depth < MAX_DEPTH {
                    self.folder(&path, depth + 1)?;
                }
            } else if kind.is_file()
                && let Ok(metadata) = entry.metadata()
            {
                (self.take)(&path, &metadata);
            }
        }
        Ok(())
    }
}
