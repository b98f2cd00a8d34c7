//! The names of the metrics of several files of one source: runs of W&B that report the same
//! metric, writers of TensorBoard in several folders.

use std::path::{Path, PathBuf};

use crate::collect::{Format, Rows};
use crate::protocol::{Metrics, Reported, Unit};

/// Folders whose tags get the folder's name: Keras and others have a writer for each, with the same
/// tags.
const PARTS: [&str; 5] = ["train", "validation", "val", "eval", "test"];

/// How the names of one file are changed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Naming {
    /// What is put before every name.
    prefix: Option<String>,
    /// Names that another file has, which counts.
    taken: Vec<String>,
}

impl Naming {
    /// Returns the naming of a file. `files` are those of its source, in the order of their paths,
    /// each with the values that it has reported.
    pub(super) fn of<'f>(
        format: &Format,
        folder: &Path,
        file: &Path,
        files: impl Iterator<Item = (&'f PathBuf, Option<&'f Reported>)>,
    ) -> Self {
        match format {
            Format::TensorBoard => Self {
                prefix: prefix_of(folder, file, files.map(|(path, _)| path.as_path())),
                taken: Vec::new(),
            },
            // The processes of one training may each have a run; the first one counts.
            Format::Wandb => Self {
                prefix: None,
                taken: files
                    .take_while(|(path, _)| path.as_path() != file)
                    .filter_map(|(_, last)| last)
                    .flat_map(|last| last.numbers.0.keys().cloned())
                    .collect(),
            },
            _ => Self::default(),
        }
    }

    fn is_neutral(&self) -> bool {
        self.prefix.is_none() && self.taken.is_empty()
    }

    /// Applies it to rows.
    pub(super) fn rows(&self, rows: Rows) -> Rows {
        if self.is_neutral() {
            return rows;
        }
        rows.into_iter()
            .map(|(position, values)| (position, self.values(values)))
            .filter(|(_, values)| !values.numbers.0.is_empty() || !values.notes.is_empty())
            .collect()
    }

    /// Applies it to values.
    pub(super) fn values(&self, mut values: Reported) -> Reported {
        if self.is_neutral() {
            return values;
        }
        let numbers = std::mem::take(&mut values.numbers.0).into_iter();
        values.numbers = Metrics(
            numbers
                .filter(|(name, _)| !self.taken.contains(name))
                .map(|(name, value)| (self.name(name), value))
                .collect(),
        );
        values
    }

    fn name(&self, name: String) -> String {
        match &self.prefix {
            Some(prefix) if name != Unit::Step.name() => format!("{prefix}/{name}"),
            _ => name,
        }
    }
}

/// What is put before the tags of an event file: the folder of its writer, if that is a part of a
/// training, or lies in the folder of another writer.
fn prefix_of<'f>(
    root: &Path,
    file: &Path,
    files: impl Iterator<Item = &'f Path>,
) -> Option<String> {
    let folder = file.parent()?;
    let name = folder.file_name()?.to_str()?;
    if folder == root {
        return None;
    }
    if PARTS.contains(&name) {
        return Some(name.to_owned());
    }

    // `add_scalars` of PyTorch has a folder for each curve, in the folder of the main writer.
    // `add_hparams` has one whose name is the time.
    let outer = files
        .filter_map(Path::parent)
        .filter(|other| *other != folder && folder.starts_with(other))
        .min()?;
    let inner = folder.strip_prefix(outer).ok()?;
    if name.parse::<f64>().is_ok() {
        return None;
    }
    Some(inner.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_in_several_folders_have_names_of_their_own() {
        let files = [
            "/t/logs/events.1",
            "/t/logs/loss_a/events.2",
            "/t/logs/1700.5/events.3",
            "/t/keras/train/events.4",
        ];
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let prefixes: Vec<Option<String>> = files
            .iter()
            .map(|file| prefix_of(Path::new("/t"), file, files.iter().map(PathBuf::as_path)))
            .collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(prefixes, [None, named("loss_a"), None, named("train")]);
        assert_eq!(
            prefix_of(
                Path::new("/t/keras/train"),
                &files[3],
                files.iter().map(PathBuf::as_path)
            ),
            None,
            "the folder that the sweep file names"
        );
    }

    #[test]
    fn of_two_runs_the_first_one_counts() {
        let first = Reported::from(Metrics::from_iter([("acc", 0.5)]));
        let files = [PathBuf::from("a"), PathBuf::from("b")];
        let naming = |file: &str| {
            let reported = files.iter().map(|path| (path, Some(&first)));
            Naming::of(&Format::Wandb, Path::new("/"), Path::new(file), reported)
        };
        let values = Reported::from(Metrics::from_iter([("acc", 0.7), ("test", 0.6)]));
        assert_eq!(naming("a").values(values.clone()), values);
        assert_eq!(
            naming("b").values(values).numbers,
            Metrics::from_iter([("test", 0.6)])
        );
    }
}
