//! The files of this machine that a sweep's command line names: the program, a script behind its
//! interpreter, a configuration. A trial whose program has been moved away is not to blame for
//! that.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::launch::Launcher;
use super::start::Start;
use crate::spec::command::{Piece, Word};

/// Files that were there when the sweep began, and that every trial needs.
#[derive(Clone, Debug, Default)]
pub struct CommandFiles(Vec<PathBuf>);

impl CommandFiles {
    /// Those of a command line. None where workers run behind a prefix, whose files are elsewhere.
    pub fn find(start: &Start, launcher: &Launcher) -> Self {
        if matches!(launcher, Launcher::Prefix(_)) {
            return Self::default();
        }
        let (words, workdir) = match start {
            Start::Worker(worker) => (worker.command.clone(), worker.workdir.clone()),
            Start::Program(program) => {
                let fixed = |word: &Word| match word {
                    Word::Text(pieces) => match pieces.as_slice() {
                        [Piece::Plain(text)] => Some(text.clone()),
                        _ => None,
                    },
                    Word::Args(_) => None,
                };
                (
                    program.program.words.iter().filter_map(fixed).collect(),
                    Some(program.workdir.clone()),
                )
            }
        };
        let workdir = workdir.unwrap_or_default();
        // A word without a slash that comes first is looked for in PATH, and one without a file is
        // an argument of another kind.
        let named = |(place, word): (usize, &String)| {
            (place > 0 || word.contains('/')).then(|| workdir.join(word.trim_start_matches("./")))
        };
        Self(
            words
                .iter()
                .enumerate()
                .filter_map(named)
                .filter(|path| path.is_file())
                .collect(),
        )
    }

    /// One that is not there any more.
    pub fn missing(&self) -> Option<&Path> {
        let is_gone = |path: &&PathBuf| match path.metadata() {
            Ok(metadata) => !metadata.is_file(),
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        self.0.iter().find(is_gone).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::start::WorkerStart;
    use super::*;

    #[test]
    fn files_among_the_words_are_noticed_when_they_are_away() {
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
