//! The files that a sweep's command line names: the program, a script behind its interpreter, a
//! configuration. A trial is not to blame if one of them has been moved away.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::launch::Launcher;
use super::worker_command::Start;
use crate::spec::command::{Piece, Word};

/// Files that every trial needs, and that existed when the sweep began.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandFiles(Vec<PathBuf>);

impl CommandFiles {
    /// Finds the files of a command line. There are none for workers behind a prefix, whose files
    /// are elsewhere.
    pub(crate) fn find(start: &Start, launcher: &Launcher) -> Self {
        if matches!(launcher, Launcher::Prefix(_)) {
            return Self::default();
        }
        let workdir = match start {
            Start::Worker(worker) => worker.workdir.clone().unwrap_or_default(),
            Start::Program(program) => program.workdir.clone(),
        };
        let files = fixed_words(start)
            .into_iter()
            .enumerate()
            // A first word without a slash is searched for in PATH.
            .filter(|(place, word)| *place > 0 || word.contains('/'))
            .map(|(_, word)| workdir.join(word.trim_start_matches("./")))
            // A word that is not a file is an argument of another kind.
            .filter(|path| path.is_file())
            .collect();
        Self(files)
    }

    /// A file that does not exist any more.
    pub(crate) fn missing(&self) -> Option<&Path> {
        self.0
            .iter()
            .find(|path| is_missing(path))
            .map(PathBuf::as_path)
    }
}

/// The words of a command line that are the same for all trials.
fn fixed_words(start: &Start) -> Vec<String> {
    match start {
        Start::Worker(worker) => worker.command.clone(),
        Start::Program(program) => program
            .program
            .words
            .iter()
            .filter_map(fixed_word)
            .collect(),
    }
}

fn fixed_word(word: &Word) -> Option<String> {
    match word {
        Word::Text(pieces) => match pieces.as_slice() {
            [Piece::Plain(text)] => Some(text.clone()),
            _ => None,
        },
        Word::Args(_) => None,
    }
}

fn is_missing(path: &Path) -> bool {
    match path.metadata() {
        Ok(metadata) => !metadata.is_file(),
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

#[cfg(test)]
mod tests {
    use super::super::worker_command::WorkerStart;
    use super::*;

    #[test]
    fn a_missing_file_of_the_command_line_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["train.py", "base.yaml", "sh"] {
            std::fs::write(path(name), "").unwrap();
        }
        let command = ["sh", "./train.py", "--lr=0.1", "base.yaml", "later.txt"]
            .map(str::to_owned)
            .to_vec();
        let start = Start::Worker(WorkerStart {
            command,
            environment: Vec::new(),
            secret: Vec::new(),
            workdir: Some(dir.path().to_owned()),
        });
        let files = CommandFiles::find(&start, &Launcher::Local);
        assert_eq!(files.missing(), None);
        // `sh` is the one in PATH.
        std::fs::remove_file(path("sh")).unwrap();
        assert_eq!(files.missing(), None);
        std::fs::rename(path("base.yaml"), path("away.yaml")).unwrap();
        assert_eq!(files.missing(), Some(path("base.yaml").as_path()));
        std::fs::rename(path("away.yaml"), path("base.yaml")).unwrap();
        assert_eq!(files.missing(), None);
        std::fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
        assert_eq!(
            files.missing(),
            Some(path("train.py").as_path()),
            "the folder with all of it"
        );
        std::fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
        assert_eq!(files.missing(), None);
    }
}
