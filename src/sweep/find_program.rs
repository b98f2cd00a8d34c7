//! Checks before the first trial that a sweep's program can be started, and that its command line or
//! environment says what to train.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::SweepError;
use crate::schedule::{is_executable, located, obstacle};
use crate::shell::shell_path;
use crate::spec::command::{Piece, Program, Word};
use crate::spec::{Handover, Spec, Task};

/// Larger files are no scripts.
const LARGEST_SCRIPT: u64 = 1 << 20;
/// Programs that run the script which is the first word behind their options.
const INTERPRETERS: [&str; 10] = [
    "python", "pypy", "bash", "sh", "dash", "zsh", "Rscript", "julia", "perl", "ruby",
];

/// Refuses a program that cannot be started, or a script that is not there. What follows the
/// options of an interpreter, another launcher or a container's program is not looked for: it may
/// be a module, or lie elsewhere.
///
/// # Errors
/// `SweepError::Refused`, with the reason.
pub(super) fn check(
    program: &Program,
    interpreter: &str,
    workdir: &Path,
    path: &OsStr,
) -> Result<(), SweepError> {
    let words = fixed_words(program, interpreter);
    let Some(first) = words.first().and_then(Option::as_deref) else {
        return Ok(());
    };
    check_first(first, workdir, path)?;
    match script(&words).filter(|script| !workdir.join(script).exists()) {
        Some(script) => Err(SweepError::Refused(format!(
            "the program {script:?} is not in {}\n{}",
            workdir.display(),
            misread(script).unwrap_or("a relative path belongs to the folder that the sweep is started from, or to `workdir`")
        ))),
        None => Ok(()),
    }
}

/// Returns the warning for a program that gets no hyper-parameters or no seed. There is none if a
/// script names the variables that hold them. `workdir` is the folder that the program starts in.
pub fn handover_warning(spec: &Spec, workdir: &Path) -> Option<&'static str> {
    let Task::Program(program) = &spec.task else {
        return None;
    };
    let by_words = Handover::of(program, &spec.env).or(Handover::of_sources(&spec.sources));
    by_words.warning(spec)?;
    let scripts = fixed_words(program, "")
        .into_iter()
        .flatten()
        .filter_map(|word| text_of(&workdir.join(word)));
    scripts
        .map(|text| Handover::of_text(&text))
        .fold(by_words, Handover::or)
        .warning(spec)
}

/// The text of a file that may be a script.
fn text_of(path: &Path) -> Option<String> {
    // A pipe or a device would keep us waiting.
    if !path
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST_SCRIPT)
    {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(LARGEST_SCRIPT)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The words that are the same for all trials.
fn fixed_words(program: &Program, interpreter: &str) -> Vec<Option<String>> {
    let words = program.words.iter();
    words.map(|word| fixed_word(word, interpreter)).collect()
}

/// A word that is the same for all trials.
fn fixed_word(word: &Word, interpreter: &str) -> Option<String> {
    let Word::Text(pieces) = word else {
        return None;
    };
    if let [Piece::Interpreter] = pieces.as_slice() {
        return Some(interpreter.to_owned());
    }
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn check_first(first: &str, workdir: &Path, path: &OsStr) -> Result<(), SweepError> {
    match why_not(first, workdir, path) {
        None => Ok(()),
        Some(why) => Err(SweepError::Refused(format!(
            "cannot start the program {first:?}: {why}"
        ))),
    }
}

/// Why a command line's first word cannot be started; None if it can.
fn why_not(first: &str, workdir: &Path, path: &OsStr) -> Option<String> {
    let named = workdir.join(first.trim_start_matches("./"));
    if let Some(found) = located(first, workdir, path) {
        if !is_executable(&found) {
            return Some(format!(
                "it cannot be executed: `chmod +x {}`",
                shell_path(&named)
            ));
        }
        return obstacle(&found, workdir, path);
    }

    if let Some(misread) = misread(first) {
        return Some(misread.to_owned());
    }
    if first.contains('/') {
        return Some(format!("it is not in {}", workdir.display()));
    }
    if named.is_file() {
        return Some(format!(
            "name it as `./{first}`: without a slash it is looked for in PATH"
        ));
    }
    Some("it is not in PATH".to_owned())
}

/// Why a word that is no file was perhaps meant for a shell.
fn misread(word: &str) -> Option<&'static str> {
    if word.starts_with('~') || word.contains('$') {
        return Some(
            "there is no shell that would replace `~` and `$NAME`: write the path out, or `${envvar:HOME}` for a variable",
        );
    }
    let several = word
        .split_once(' ')
        .is_some_and(|(first, _)| !first.is_empty());
    several.then_some(
        "one word is one file: write the program and its arguments as a list, `command: [python3, train.py, \"${args}\"]`",
    )
}

/// The script that an interpreter of this machine is to run, if that is what the command line says:
/// `python -u train.py`, `/usr/bin/env python train.py`.
fn script(words: &[Option<String>]) -> Option<&str> {
    let mut words = words.iter().map(Option::as_deref);
    let mut first = words.next()??;
    if file_name(first) == "env" {
        first = loop {
            let word = words.next()??;
            match (word.starts_with('-'), word.contains('=')) {
                (false, true) => {}
                (false, false) => break word,
                (true, _) => return None,
            }
        };
    }
    // python3.12 is python, too.
    let called =
        file_name(first).trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if !INTERPRETERS.contains(&called) {
        return None;
    }
    loop {
        match words.next()?? {
            // Options that take no value.
            "-u" | "-O" | "-OO" | "-B" | "-E" | "-s" | "-S" | "-I" | "-q" | "-e" | "-x" => {}
            // `-m module`, `-c text`, and options that may take the next word.
            option if option.starts_with('-') => return None,
            script => return Some(script),
        }
    }
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script that a command line names.
    fn found(line: &str) -> Option<String> {
        let words: Vec<Option<String>> = line
            .split(' ')
            .map(|word| (!word.starts_with("${")).then(|| word.to_owned()))
            .collect();
        script(&words).map(str::to_owned)
    }

    #[test]
    fn only_a_script_of_this_machine_is_looked_for() {
        let cases = [
            ("python3 train.py ${args}", Some("train.py")),
            ("/opt/venv/bin/python3.12 -u -B train.py", Some("train.py")),
            ("/usr/bin/env python train.py", Some("train.py")),
            ("/usr/bin/env A=1 python train.py", Some("train.py")),
            ("bash -e run.sh", Some("run.sh")),
            ("python3 -m pkg.mod ${args}", None),
            ("python3 -u -m pkg.mod", None),
            ("python3 -c print(1)", None),
            ("python3 -X dev train.py", None),
            ("python3 ${dir}/train.py", None),
            ("docker run -i image python /work/train.py", None),
            ("torchrun --nproc-per-node 2 train.py", None),
            ("apptainer exec image.sif python train.py", None),
            ("./train", None),
            ("env -i python train.py", None),
            ("python3", None),
        ];
        for (line, expected) in cases {
            assert_eq!(found(line).as_deref(), expected, "{line}");
        }
    }
}
