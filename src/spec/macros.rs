//! Macros in the words of a command line and in environment variables: W&B's, and a few more.

use super::command::{ArgsStyle, Piece, Word};
use super::problem::{Problems, Span, listed, quoted};
use super::similar;

/// The macros, in the order in which help lists them.
const MACROS: [&str; 17] = [
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_equals",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_append_hydra",
    "args_override_hydra",
    "args_hydra",
    "args_json",
    "args_json_file",
    "envvar:NAME",
    "seed",
    "trial",
    "dir",
    "$",
];

/// Where a text with macros stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub span: Span,
    /// The value of `program`.
    pub program: Option<&'a str>,
    /// Whether it may be a line that a shell runs.
    pub of_shell: bool,
    /// How to write the words, for help.
    pub example: &'a str,
    /// Names of all parameters of the file.
    pub parameters: &'a [String],
}

/// Reads a word of a command line.
pub(super) fn word(text: &str, place: Place<'_>, problems: &mut Problems<'_>) -> Option<Word> {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    if let Some(style) = name.and_then(ArgsStyle::of_macro) {
        return Some(Word::Args(style));
    }
    Some(Word::Text(pieces(text, place, problems)?))
}

/// Reads a text with macros that stand for one word or for a part of one.
pub(super) fn pieces(
    text: &str,
    place: Place<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let (before, after) = rest.split_at(begin);
        pieces.push(Piece::Plain(before.to_owned()));

        let Some(end) = after.find('}') else {
            let message = format!("{} has a `${{` without its `}}`", quoted(text));
            let help = "write `${$}{` for a bare `${`";
            problems.report(place.span, message, "unfinished macro", help);
            return None;
        };
        pieces.push(piece(&after[2..end], place, problems)?);
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Plain(rest.to_owned()));

    pieces.retain(|piece| !matches!(piece, Piece::Plain(text) if text.is_empty()));
    Some(pieces)
}

/// Reads the macro of that name.
fn piece(name: &str, place: Place<'_>, problems: &mut Problems<'_>) -> Option<Piece> {
    match name {
        "env" => return Some(Piece::Plain("/usr/bin/env".to_owned())),
        "interpreter" => return Some(Piece::Interpreter),
        "seed" => return Some(Piece::Seed),
        "trial" => return Some(Piece::Trial),
        "dir" => return Some(Piece::Dir),
        "args_json" => return Some(Piece::ArgsJson),
        "args_json_file" => return Some(Piece::ArgsJsonFile),
        "$" => return Some(Piece::Plain("$".to_owned())),
        _ => {}
    }

    if place.parameters.iter().any(|known| known == name) {
        return Some(Piece::Parameter(name.to_owned()));
    }
    if let ("program", Some(program)) = (name, place.program) {
        return Some(Piece::Plain(program.to_owned()));
    }
    if let Some(variable) = name.strip_prefix("envvar:")
        && own_macro(variable).is_none()
        && is_variable(variable)
    {
        return Some(Piece::Variable(variable.to_owned()));
    }

    let refusal = refusal(name, place);
    problems.report(place.span, refusal.message, refusal.label, refusal.help);
    None
}

/// Why a macro cannot be used.
struct Refusal {
    message: String,
    label: &'static str,
    help: String,
}

fn refusal(name: &str, place: Place<'_>) -> Refusal {
    let shown = format!("`${{{name}}}`");
    if name == "program" {
        return Refusal {
            message: format!("{shown} without a `program`"),
            label: "no program",
            help: "add `program: train.py`".to_owned(),
        };
    }

    if ArgsStyle::of_macro(name).is_some() {
        let help = if place.of_shell {
            format!(
                "give it to the shell as arguments, behind a name: `command: [sh, -c, 'exec python3 train.py \"$@\"', sh, \"${{{name}}}\"]`"
            )
        } else {
            format!("write it as an item of its own: `{}`", place.example)
        };
        return Refusal {
            message: format!("{shown} stands for several words"),
            label: "not a word of its own",
            help,
        };
    }

    match name.strip_prefix("envvar:") {
        Some(variable) => variable_refusal(variable, &shown),
        None => Refusal {
            message: format!("unknown macro {shown}"),
            label: "unknown macro",
            help: help_for_unknown(name, place),
        },
    }
}

fn variable_refusal(variable: &str, shown: &str) -> Refusal {
    if let Some(own) = own_macro(variable) {
        return Refusal {
            message: format!("{shown} is set for each trial, not for pentagrid"),
            label: "a trial's own",
            help: format!("write `{own}`"),
        };
    }

    let message = if variable.is_empty() {
        format!("{shown} names no environment variable")
    } else {
        format!(
            "{} cannot be the name of an environment variable",
            quoted(variable)
        )
    };
    Refusal {
        message,
        label: "not a name",
        help: "write for example `${envvar:HOME}`".to_owned(),
    }
}

fn help_for_unknown(name: &str, place: Place<'_>) -> String {
    let parameters: Vec<&str> = place.parameters.iter().map(String::as_str).collect();
    let suggestion = if let Some(own) = own_macro(name) {
        format!("write `{own}`, or `${name}` where a shell reads it; ")
    } else if let Some(near) = similar::nearest(name, &parameters) {
        format!("did you mean `${{{near}}}`? ")
    } else if let Some(near) = similar::nearest(name, &MACROS) {
        format!("did you mean `${{{near}}}`? ")
    } else if is_variable(name) && place.of_shell {
        format!(
            "write `${name}` for a variable of the shell, `${{envvar:{name}}}` for one that pentagrid finds; "
        )
    } else if is_variable(name) {
        format!("write `${{envvar:{name}}}` for an environment variable; ")
    } else {
        String::new()
    };

    let known = MACROS.map(|name| format!("`${{{name}}}`"));
    format!("{suggestion}known macros: {}", listed(&known, "and"))
}

/// The macro with the same content as a variable that pentagrid sets for a program.
fn own_macro(name: &str) -> Option<&'static str> {
    Some(match name {
        "PENTAGRID_SEED" => "${seed}",
        "PENTAGRID_TRIAL" => "${trial}",
        "PENTAGRID_DIR" => "${dir}",
        "PENTAGRID_CONFIG" => "${args_json_file}",
        "PENTAGRID_METRICS" => "${dir}/metrics.jsonl",
        _ => return None,
    })
}

/// Whether a text can be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
