//! Takes the fingerprint of what is trained: reads the files that a sweep's command names and the
//! code around them. `plan::fingerprint` says what it holds and compares two of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::counted_files::CountedFiles;
use super::environment::{self, Computing};
use super::sources;
use crate::plan::Fingerprint;
use crate::schedule::Launcher;
use crate::spec::command::{Filling, Piece, Program, Word, fill};
use crate::spec::{Spec, Task};

/// Programs that bring an environment of their own: a prefix with one of them is part of what is
/// trained.
const CONTAINERS: [&str; 12] = [
    "docker",
    "podman",
    "nerdctl",
    "apptainer",
    "singularity",
    "enroot",
    "kubectl",
    "conda",
    "micromamba",
    "pixi",
    "uv",
    "nix",
];

/// What a fingerprint is taken of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The sweep.
    pub spec: &'a Spec,
    /// The folder that the sweep is started from.
    pub folder: &'a Path,
    /// Through what workers are started.
    pub launcher: &'a Launcher,
    /// How the trainer is to compute.
    pub computing: Computing,
    /// The run directory, which trials write to.
    pub run_dir: &'a Path,
}

/// A fingerprint, and the files that it was taken of.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The files that were read for it.
    pub files: CountedFiles,
}

/// Takes the fingerprint. `key` hides the values of variables. What cannot be read is left out.
pub fn take(subject: Subject<'_>, key: &[u8; 32]) -> Fingerprint {
    read(subject, key).fingerprint
}

/// As `take`, with the files that were read.
pub(super) fn read(subject: Subject<'_>, key: &[u8; 32]) -> Taken {
    let Subject {
        spec,
        folder,
        launcher,
        computing,
        run_dir,
    } = subject;
    let workdir = environment::working_folder(spec, folder);
    let workdir = workdir.canonicalize().unwrap_or(workdir);
    let path = environment::search_path(spec);
    let interpreter = environment::interpreter(&path);

    let words = words(spec, &interpreter);
    let mut command = words
        .iter()
        .map(|word| word.shown.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    // A container or an environment is part of what is trained; by ssh the same programs run
    // elsewhere.
    if let Launcher::Prefix(prefix) = launcher
        && prefix
            .words()
            .iter()
            .any(|word| CONTAINERS.contains(&word.rsplit('/').next().unwrap_or_default()))
    {
        command = format!("{} {command}", prefix.words().join(" "));
    }
    if let Task::Program(program) = &spec.task {
        for setting in program.settings() {
            command.push_str(&format!(" ({setting})"));
        }
    }
    if !spec.sources.is_empty() {
        let sources: Vec<String> = spec.sources.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" (metrics: {})", sources.join(", ")));
    }
    if computing.tf32 {
        command.push_str(" (TF32)");
    }

    let built_in = spec.task.built_in();
    let mut counted = CountedFiles::default();
    let mut files = BTreeMap::new();
    let mut program = None;
    for (place, word) in words.iter().enumerate() {
        let found = if place == 0 {
            executable(&word.text, &workdir, &path)
        } else {
            None
        };
        let found = found.map(|path| (path.display().to_string(), path));
        let candidates = found.into_iter().chain(mentioned(&words, place, &workdir));
        for (name, path) in candidates {
            let Some(hash) = counted.hash(&path) else {
                continue;
            };
            // Another checkout's trainer of the same build is the same trainer.
            let name = built_in.map_or(name, |task| task.program.to_owned());
            // The first file after an interpreter is the program; a program of its own is the first
            // word.
            if program.is_none() && (place > 0 || path.starts_with(&workdir)) {
                program = path.canonicalize().ok();
            }
            files.insert(name, hash);
        }
    }

    let run_dir = std::path::absolute(run_dir).unwrap_or_else(|_| run_dir.to_owned());
    let run_dir = run_dir.canonicalize().unwrap_or(run_dir);
    // The trainer's build stands for its code.
    let around = if built_in.is_some() {
        None
    } else {
        sources::around(program.as_deref(), &workdir, &run_dir, &mut counted)
    };
    let fingerprint = Fingerprint {
        command,
        env: variables(spec, key),
        folder: (built_in.is_none() || spec.workdir.is_some())
            .then(|| workdir.display().to_string()),
        files,
        sources: around,
        edited: Vec::new(),
    };
    Taken {
        fingerprint,
        files: counted,
    }
}

/// A word of the command.
struct CommandWord {
    /// With macros, without values.
    shown: String,
    /// The text that is really given; empty where it depends on the trial.
    text: String,
}

impl CommandWord {
    fn plain(text: String) -> Self {
        Self {
            shown: text.clone(),
            text,
        }
    }
}

/// The words of the command that starts a worker or program.
fn words(spec: &Spec, interpreter: &str) -> Vec<CommandWord> {
    match &spec.task {
        Task::BuiltIn(task) => environment::trainer_path(task, true)
            .map(|path| {
                vec![CommandWord {
                    shown: spec.task.to_string(),
                    text: path.display().to_string(),
                }]
            })
            .unwrap_or_default(),
        Task::Worker(command) => command.iter().cloned().map(CommandWord::plain).collect(),
        Task::Program(program) => program
            .words
            .iter()
            .map(|word| program_word(word, interpreter))
            .collect(),
    }
}

fn program_word(word: &Word, interpreter: &str) -> CommandWord {
    let pieces = match word {
        Word::Args(_) => {
            return CommandWord {
                shown: one_word(word),
                text: String::new(),
            };
        }
        Word::Text(pieces) => pieces,
    };
    let filling = Filling::of_no_trial(interpreter);
    let of_the_trial = |piece: &Piece| {
        matches!(
            piece,
            Piece::Seed
                | Piece::Trial
                | Piece::Dir
                | Piece::ArgsJson
                | Piece::ArgsJsonFile
                | Piece::Parameter(_)
        )
    };
    let text = match pieces.iter().any(of_the_trial) {
        true => None,
        false => fill(pieces, &filling, &|name| std::env::var(name).ok()).ok(),
    };
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Interpreter => interpreter.to_owned(),
        other => other.to_string(),
    });
    CommandWord {
        shown: shown.collect(),
        text: text.unwrap_or_default(),
    }
}

fn one_word(word: &Word) -> String {
    Program::new(vec![word.clone()], None).to_string()
}

/// Keyed hashes of the variables that the sweep file sets or names.
fn variables(spec: &Spec, key: &[u8; 32]) -> BTreeMap<String, String> {
    let filling = Filling::of_no_trial("");
    let hide = |name: &str, value: &str| {
        let text = format!("{name}={value}");
        blake3::keyed_hash(key, text.as_bytes()).to_hex()[..16].to_owned()
    };
    let mut hidden = BTreeMap::new();
    for (name, pieces) in &spec.env {
        // One that names a variable which is not set is refused before anything starts.
        let value = fill(pieces, &filling, &|name| std::env::var(name).ok()).unwrap_or_default();
        hidden.insert(name.clone(), hide(name, &value));
    }
    let pieces = match &spec.task {
        Task::Program(program) => Some(program.pieces()),
        Task::Worker(_) | Task::BuiltIn(_) => None,
    };
    let named = pieces
        .into_iter()
        .flatten()
        .filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            _ => None,
        });
    let of_the_task = spec.task.built_in().map_or(&[][..], |task| task.variables);
    for name in named.chain(of_the_task.iter().copied()) {
        if let Ok(value) = std::env::var(name) {
            hidden
                .entry(name.to_owned())
                .or_insert_with(|| hide(name, &value));
        }
    }
    hidden
}

/// The program that a first word names: by its path, or looked for in PATH.
fn executable(word: &str, workdir: &Path, path: &std::ffi::OsStr) -> Option<PathBuf> {
    if word.is_empty() || word.contains('/') {
        return None;
    }
    let found = std::env::split_paths(path)
        .map(|folder| folder.join(word))
        .find(|path| path.is_file())?;
    // /bin and /usr/bin are often one folder; a virtual environment's python stays itself.
    let folder = workdir.join(found.parent()?).canonicalize().ok()?;
    Some(folder.join(word))
}

/// The files that a word may name, with the names that it gives them: a path, `--config=path`, a
/// Python module after `-m`, the words of a shell's text.
fn mentioned(words: &[CommandWord], place: usize, workdir: &Path) -> Vec<(String, PathBuf)> {
    let text = words[place].text.as_str();
    let mut names: Vec<String> = Vec::new();
    if place > 0 && words[place - 1].text == "-m" {
        let module = text.replace('.', "/");
        names.extend([
            format!("{module}.py"),
            format!("{module}/__main__.py"),
            format!("{module}/__init__.py"),
        ]);
    }
    let separators = |letter: char| letter.is_whitespace() || "'\";|&()<>`".contains(letter);
    for part in std::iter::once(text).chain(text.split(separators)) {
        names.push(part.to_owned());
        names.extend(part.split_once('=').map(|(_, value)| value.to_owned()));
    }
    // A first word without a slash is looked for in PATH, not in the folder.
    names.retain(|name| !name.is_empty() && (place > 0 || name.contains('/')));
    names
        .into_iter()
        .map(|name| (name.clone(), workdir.join(name)))
        .filter(|(_, path)| path.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            files
                .iter()
                .for_each(|(name, text)| folder.write(name, text));
            folder
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn take(&self, lines: &str) -> Fingerprint {
            let text = format!(
                "name: t\n{lines}\nmetric: {{name: m, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2]}}}}\n"
            );
            let spec = crate::spec::read(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
            let folder = self.0.path();
            let (launcher, computing) = (Launcher::Local, Computing::default());
            let run_dir = folder.join("runs/t");
            take(
                Subject {
                    spec: &spec,
                    folder,
                    launcher: &launcher,
                    computing,
                    run_dir: &run_dir,
                },
                &KEY,
            )
        }
    }

    fn names(fingerprint: &Fingerprint) -> Vec<&str> {
        fingerprint
            .files
            .keys()
            .map(String::as_str)
            .filter(|name| !name.starts_with('/'))
            .collect()
    }

    #[test]
    fn every_word_that_is_a_file_is_hashed() {
        let files = [
            ("train.py", "1"),
            ("conf/base.yaml", "2"),
            ("pkg/mod.py", "3"),
            ("run.sh", "4"),
            ("other.py", "5"),
        ];
        let folder = Folder::new(&files);
        assert_eq!(names(&folder.take("program: train.py")), ["train.py"]);
        let words = "command: [python3, train.py, --config=conf/base.yaml, -m, pkg.mod, '${args}']";
        assert_eq!(
            names(&folder.take(words)),
            ["conf/base.yaml", "pkg/mod.py", "train.py"]
        );
        let shell = "command: [bash, -c, 'source run.sh; python train.py > log', '${args}']";
        assert_eq!(names(&folder.take(shell)), ["run.sh", "train.py"]);
        assert_eq!(names(&folder.take("worker: [./run.sh, x]")), ["./run.sh"]);
    }

    #[test]
    fn an_edit_of_the_program_or_of_code_beside_it_is_seen() {
        let folder = Folder::new(&[("train.py", "import model"), ("model.py", "1")]);
        let first = folder.take("program: train.py");
        assert!(folder.take("program: train.py").is_same(&first));
        folder.write("model.py", "2");
        let second = folder.take("program: train.py");
        let root = folder.0.path().canonicalize().unwrap();
        assert_eq!(
            second.since(&first).code,
            [format!(
                "source files in {}: changed: model.py",
                root.display()
            )]
        );
        folder.write("train.py", "import model, os");
        assert_eq!(
            folder.take("program: train.py").since(&second).code[0],
            "train.py has changed"
        );
    }

    #[test]
    fn values_of_variables_count_and_are_not_kept() {
        let folder = Folder::new(&[("train.py", "")]);
        let one = folder.take("program: train.py\nenv: {TOKEN: hunter2}");
        let two = folder.take("program: train.py\nenv: {TOKEN: hunter3}");
        assert_eq!(two.since(&one).settings, ["env: TOKEN has another value"]);
        assert!(!serde_json::to_string(&one).unwrap().contains("hunter2"));
    }

    #[test]
    fn seed_and_values_are_no_part_of_it() {
        let folder = Folder::new(&[("train.py", "")]);
        let taken =
            folder.take("command: [python3, train.py, '--out=${dir}', '--s=${seed}', '${args}']");
        assert_eq!(
            taken.command,
            "python3 train.py --out=${dir} --s=${seed} ${args}"
        );
    }
}
