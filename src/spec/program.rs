//! Reads `program`, `command` and `worker`: the user's program that trains.

use std::path::Path;

use super::command::{ArgsStyle, Piece, Program, Word};
use super::free_text;
use super::macros::{self, Place};
use super::problem::{Problems, brief};
use super::tree::{Entry, Kind, Node};

/// How to write `command`, for help.
pub(super) const EXAMPLE: &str = "command: [python3, train.py, \"${args}\"]";

/// Longest text under `command` that help turns into a list.
const MAX_SUGGESTED: usize = 200;

/// Reads the program of `program` and `command`, at least one of which is given. `parameters` are the
/// names of all parameters of the file.
pub(super) fn read(
    program: Option<&Entry>,
    command: Option<&Entry>,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Option<Program> {
    if let Some(entry) = program
        && let Kind::List(items) = &entry.value.kind
    {
        report_list_of_program(entry, items, problems);
        return None;
    }

    let script = match program {
        Some(entry) => Some(free_text::line(entry, usize::MAX, false, problems)?),
        None => None,
    };
    let Some(command) = command else {
        return Some(default_command(script?));
    };
    let Kind::List(items) = &command.value.kind else {
        let found = command.value.describe();
        let suggestion = suggested_list(command).unwrap_or_else(|| EXAMPLE.to_owned());
        problems.report(
            command.at(),
            format!("`command` must be a list of words, not {found}"),
            "not a list",
            format!("write `{suggestion}`; there is no shell"),
        );
        return None;
    };

    let words = command_words(command, items, script.as_deref(), parameters, problems);
    if items.is_empty() {
        let help = format!("write `{EXAMPLE}`");
        problems.report(command.at(), "`command` is empty", "no program", help);
        return None;
    }
    if words.len() < items.len() {
        return None;
    }

    if matches!(words.first(), Some(Word::Args(_))) {
        let message = "`command` begins with arguments: its first word must be the program";
        let help = format!("write `{EXAMPLE}`");
        problems.report(command.at(), message, "no program", help);
        return None;
    }
    Some(Program::new(words, script))
}

fn report_list_of_program(entry: &Entry, items: &[Node], problems: &mut Problems<'_>) {
    let mut words: Vec<&str> = items
        .iter()
        .filter_map(|item| match &item.kind {
            Kind::Scalar(scalar) => Some(&*scalar.text),
            _ => None,
        })
        .collect();

    words.push("\"${args}\"");
    let list = words.join(", ");
    problems.report(
        entry.at(),
        "`program` must be the path of one file, not a list",
        "not text",
        format!(
            "write the words under `command`: `command: [{}]`",
            brief(&list)
        ),
    );
}

/// The command line of a program without `command`, like W&B's. A program that is no Python script
/// is started by itself.
fn default_command(script: String) -> Program {
    let args = Word::Args(ArgsStyle::Equals);
    let path = Word::Text(vec![Piece::Plain(script.clone())]);
    let is_python = Path::new(&script)
        .extension()
        .is_some_and(|extension| extension == "py");

    let words = if is_python {
        vec![Word::Text(vec![Piece::Interpreter]), path, args]
    } else {
        vec![path, args]
    };
    Program::new(words, Some(script))
}

/// Reads the words of `command`. Those that could not be read are reported and left out.
fn command_words(
    command: &Entry,
    items: &[Node],
    program: Option<&str>,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Vec<Word> {
    let of_shell = items
        .iter()
        .any(|item| matches!(&item.kind, Kind::Scalar(scalar) if &*scalar.text == "-c"));

    let mut words = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let span = item.span.or(command.key_span);
        match &item.kind {
            // An empty text can be an argument, but not the program.
            Kind::Scalar(scalar)
                if !scalar.is_null()
                    && !scalar.text.contains('\0')
                    && (index > 0 || !scalar.text.is_empty()) =>
            {
                let place = Place {
                    span,
                    program,
                    of_shell,
                    example: EXAMPLE,
                    parameters,
                };
                words.extend(macros::word(&scalar.text, place, problems));
            }
            _ => {
                let number = index + 1;
                let found = item.describe();
                let message = format!("word {number} of `command` must be text, not {found}");
                let help = format!("write `{EXAMPLE}`; there is no shell");
                problems.report(span, message, "not a word", help);
            }
        }
    }
    words
}

/// Reads `worker`: the words of the command line of a program that speaks the worker protocol.
pub(super) fn worker(entry: &Entry, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    const HELP: &str = "write the program and each of its arguments as an item: `worker: [python3, train.py]`; there is no shell";

    let Kind::List(items) = &entry.value.kind else {
        let found = entry.value.describe();
        let message = format!("`worker` must be a list of words, not {found}");
        problems.report(entry.at(), message, "not a list", HELP);
        return None;
    };
    if items.is_empty() {
        problems.report(entry.at(), "`worker` is empty", "no program", HELP);
        return None;
    }

    let mut words = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match &item.kind {
            // Numbers keep their spelling: a command line is text.
            Kind::Scalar(scalar)
                if !scalar.is_null()
                    && !scalar.text.contains('\0')
                    && (index > 0 || !scalar.text.trim().is_empty()) =>
            {
                words.push(scalar.text.to_string());
            }
            _ => {
                let number = index + 1;
                let found = item.describe();
                let message = format!("word {number} of `worker` must be text, not {found}");
                let span = item.span.or(entry.key_span);
                problems.report(span, message, "not a word", HELP);
            }
        }
    }
    (words.len() == items.len()).then_some(words)
}

/// The list that is probably meant by a command that is written as a text.
fn suggested_list(command: &Entry) -> Option<String> {
    let Kind::Scalar(scalar) = &command.value.kind else {
        return None;
    };
    // What a shell would do with these characters is unknown here.
    let needs_shell = scalar
        .text
        .contains(|letter: char| "'\"\\;&|<>`*?()\n".contains(letter));
    if scalar.is_null() || needs_shell || scalar.text.len() > MAX_SUGGESTED {
        return None;
    }

    let mut words: Vec<String> = scalar.text.split_whitespace().map(yaml_word).collect();
    if !scalar.text.contains("${") {
        words.push("\"${args}\"".to_owned());
    }
    (!words.is_empty()).then(|| format!("command: [{}]", words.join(", ")))
}

/// A word as YAML reads it as text.
fn yaml_word(word: &str) -> String {
    let is_plain = !word.starts_with('-')
        && word
            .chars()
            .all(|letter| letter.is_alphanumeric() || "_-./=+".contains(letter));
    if is_plain {
        word.to_owned()
    } else {
        format!("\"{word}\"")
    }
}
