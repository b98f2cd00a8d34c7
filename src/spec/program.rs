//! Reads `program`, `command`, `worker` and `env`: a program of the user's that trains, and what it
//! is started with. The macros are W&B's, and a few of ours.

use super::command::{ArgsStyle, Piece, Program, Word};
use super::problem::{Finding, Problems, Span, brief, listed, quoted};
use super::tree::{Entry, Kind, entries};
use super::{keys, words};

const EXAMPLE: &str = "command: [python3, train.py, \"${args}\"]";
/// What a word may hold, in the order in which help lists them.
const MACROS: [&str; 16] = [
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_equals",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_append_hydra",
    "args_override_hydra",
    "args_json",
    "args_json_file",
    "envvar:NAME",
    "seed",
    "trial",
    "dir",
    "$",
];
/// Variables that say which device and how many threads: pentagrid's own to set.
const OURS: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"];

/// The program of `program` and `command`, of which at least one is there.
pub(super) fn read(
    program: Option<&Entry>,
    command: Option<&Entry>,
    problems: &mut Problems<'_>,
) -> Option<Program> {
    if let Some(entry) = program
        && let Kind::List(items) = &entry.value.kind
    {
        let words: Vec<&str> = items
            .iter()
            .filter_map(|item| match &item.kind {
                Kind::Scalar(scalar) => Some(&*scalar.text),
                _ => None,
            })
            .collect();
        let all = [words.as_slice(), &["\"${args}\""]].concat().join(", ");
        let help = format!(
            "write the words under `command`: `command: [{}]`",
            brief(&all)
        );
        problems.add(
            Finding::new(
                entry.at(),
                "`program` must be the path of one file, not a list",
                "not text",
            )
            .help(help),
        );
        return None;
    }
    let name = match program {
        Some(entry) => Some(words::line(entry, usize::MAX, false, problems)?),
        None => None,
    };
    let Some(command) = command else {
        let name = name?;
        let args = Word::Args(ArgsStyle::Equals);
        let path = Word::Text(vec![Piece::Plain(name.clone())]);
        // As W&B does; a program that is no Python script is started as it is.
        let python = std::path::Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "py");
        let words = if python {
            vec![Word::Text(vec![Piece::Interpreter]), path, args]
        } else {
            vec![path, args]
        };
        return Some(Program {
            words,
            script: Some(name),
        });
    };
    let Kind::List(items) = &command.value.kind else {
        let message = format!(
            "`command` must be a list of words, not {}",
            command.value.describe()
        );
        let help = listed_words(command).unwrap_or_else(|| EXAMPLE.to_owned());
        problems.add(
            Finding::new(command.at(), message, "not a list")
                .help(format!("write `{help}`; there is no shell")),
        );
        return None;
    };
    let of_a_shell = items
        .iter()
        .any(|item| matches!(&item.kind, Kind::Scalar(scalar) if &*scalar.text == "-c"));
    let mut line = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = item.span.or(command.key_span);
        match &item.kind {
            // An empty word is a word, but no program.
            Kind::Scalar(scalar)
                if !scalar.is_null()
                    && !scalar.text.contains('\0')
                    && (index > 0 || !scalar.text.is_empty()) =>
            {
                let place = Place {
                    at,
                    program: name.as_deref(),
                    of_a_shell,
                };
                line.extend(word(&scalar.text, place, problems));
            }
            _ => {
                let message = format!(
                    "word {} of `command` must be text, not {}",
                    index + 1,
                    item.describe()
                );
                problems.add(
                    Finding::new(at, message, "not a word")
                        .help(format!("write `{EXAMPLE}`; there is no shell")),
                );
            }
        }
    }
    match line.first() {
        Some(Word::Text(_)) if line.len() == items.len() => Some(Program {
            words: line,
            script: name,
        }),
        Some(Word::Args(_)) if line.len() == items.len() => {
            let message = "`command` begins with arguments: its first word must be the program";
            problems.add(
                Finding::new(command.at(), message, "no program")
                    .help(format!("write `{EXAMPLE}`")),
            );
            None
        }
        None if items.is_empty() => {
            problems.add(
                Finding::new(command.at(), "`command` is empty", "no program")
                    .help(format!("write `{EXAMPLE}`")),
            );
            None
        }
        _ => None,
    }
}

/// `worker`: the words of the command line of a program that speaks the worker protocol.
pub(super) fn worker(entry: &Entry, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    const HELP: &str = "write the program and each of its arguments as an item: `worker: [python3, train.py]`; there is no shell";
    let Kind::List(items) = &entry.value.kind else {
        let message = format!(
            "`worker` must be a list of words, not {}",
            entry.value.describe()
        );
        problems.add(Finding::new(entry.at(), message, "not a list").help(HELP));
        return None;
    };
    if items.is_empty() {
        problems.add(Finding::new(entry.at(), "`worker` is empty", "no program").help(HELP));
        return None;
    }
    let mut words = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = item.span.or(entry.key_span);
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
                let message = format!(
                    "word {} of `worker` must be text, not {}",
                    index + 1,
                    item.describe()
                );
                problems.add(Finding::new(at, message, "not a word").help(HELP));
            }
        }
    }
    (words.len() == items.len()).then_some(words)
}

/// A command that is written as a text, as the list that is probably meant.
fn listed_words(command: &Entry) -> Option<String> {
    let Kind::Scalar(scalar) = &command.value.kind else {
        return None;
    };
    // What a shell would do with these is not known here.
    if scalar.is_null()
        || scalar
            .text
            .contains(|letter: char| "'\"\\;&|<>`*?()\n".contains(letter))
    {
        return None;
    }
    let plain = |letter: char| letter.is_alphanumeric() || "_-./=+".contains(letter);
    let word = |word: &str| match word.chars().all(plain) && !word.starts_with('-') {
        true => word.to_owned(),
        false => format!("\"{word}\""),
    };
    let mut words: Vec<String> = scalar.text.split_whitespace().map(word).collect();
    if !scalar.text.contains("${") {
        words.push("\"${args}\"".to_owned());
    }
    (scalar.text.len() <= 200 && !words.is_empty())
        .then(|| format!("command: [{}]", words.join(", ")))
}

/// Where a text with macros stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    at: Span,
    /// What stands under `program`.
    program: Option<&'a str>,
    /// Whether it may be what a shell is to do.
    of_a_shell: bool,
}

/// A word of `command`.
fn word(text: &str, place: Place<'_>, problems: &mut Problems<'_>) -> Option<Word> {
    if let Some(style) = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .and_then(style)
    {
        return Some(Word::Args(style));
    }
    Some(Word::Text(pieces(text, place, problems)?))
}

fn style(name: &str) -> Option<ArgsStyle> {
    Some(match name {
        "args" => ArgsStyle::Equals,
        "args_no_equals" => ArgsStyle::NoEquals,
        "args_no_hyphens" => ArgsStyle::NoHyphens,
        "args_no_boolean_flags" => ArgsStyle::NoBooleanFlags,
        "args_append_hydra" => ArgsStyle::AppendHydra,
        "args_override_hydra" => ArgsStyle::OverrideHydra,
        _ => return None,
    })
}

/// A text with macros that stand for one word or a part of one.
fn pieces(text: &str, place: Place<'_>, problems: &mut Problems<'_>) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let (before, after) = rest.split_at(begin);
        pieces.push(Piece::Plain(before.to_owned()));
        let Some(end) = after.find('}') else {
            let message = format!("{} has a `${{` without its `}}`", quoted(text));
            problems.add(
                Finding::new(place.at, message, "unfinished macro")
                    .help("write `${$}{` for a bare `${`"),
            );
            return None;
        };
        let name = &after[2..end];
        pieces.push(piece(name, place, problems)?);
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Plain(rest.to_owned()));
    pieces.retain(|piece| !matches!(piece, Piece::Plain(text) if text.is_empty()));
    Some(pieces)
}

fn piece(
    name: &str,
    Place {
        at,
        program,
        of_a_shell,
    }: Place<'_>,
    problems: &mut Problems<'_>,
) -> Option<Piece> {
    let refuse = |problems: &mut Problems<'_>, message: String, label: &str, help: String| {
        problems.add(Finding::new(at, message, label).help(help));
        None
    };
    let shown = format!("`${{{name}}}`");
    match name {
        "env" => return Some(Piece::Plain("/usr/bin/env".to_owned())),
        "interpreter" => return Some(Piece::Interpreter),
        "seed" => return Some(Piece::Seed),
        "trial" => return Some(Piece::Trial),
        "dir" => return Some(Piece::Dir),
        "args_json" => return Some(Piece::ArgsJson),
        "args_json_file" => return Some(Piece::ArgsJsonFile),
        "$" => return Some(Piece::Plain("$".to_owned())),
        "program" => {
            return match program {
                Some(program) => Some(Piece::Plain(program.to_owned())),
                None => refuse(
                    problems,
                    format!("{shown} without a `program`"),
                    "no program",
                    "add `program: train.py`".to_owned(),
                ),
            };
        }
        _ => {}
    }
    if style(name).is_some() {
        let help = match of_a_shell {
            true => format!(
                "give it to the shell as arguments, behind a name: `command: [sh, -c, 'exec python3 train.py \"$@\"', sh, \"{}\"]`",
                &shown[1..shown.len() - 1]
            ),
            false => format!("write it as an item of its own: `{EXAMPLE}`"),
        };
        return refuse(
            problems,
            format!("{shown} stands for several words"),
            "not a word of its own",
            help,
        );
    }
    match name.strip_prefix("envvar:") {
        Some(variable) if own_variable(variable).is_some() => {
            let help = format!("write `{}`", own_variable(variable).unwrap_or_default());
            refuse(
                problems,
                format!("{shown} is set for each trial, not for pentagrid"),
                "a trial's own",
                help,
            )
        }
        Some(variable) if is_variable(variable) => Some(Piece::Variable(variable.to_owned())),
        Some(variable) => {
            let message = match variable {
                "" => format!("{shown} names no environment variable"),
                _ => format!(
                    "{} cannot be the name of an environment variable",
                    quoted(variable)
                ),
            };
            refuse(
                problems,
                message,
                "not a name",
                "write for example `${envvar:HOME}`".to_owned(),
            )
        }
        None => {
            let known: Vec<String> = MACROS.iter().map(|name| format!("`${{{name}}}`")).collect();
            let near = match (own_variable(name), keys::nearest(name, &MACROS)) {
                (Some(own), _) => format!("write `{own}`, or `${name}` where a shell reads it; "),
                (None, Some(near)) => format!("did you mean `${{{near}}}`? "),
                (None, None) if is_variable(name) && of_a_shell => {
                    format!(
                        "write `${name}` for a variable of the shell, `${{envvar:{name}}}` for one that pentagrid finds; "
                    )
                }
                (None, None) if is_variable(name) => {
                    format!("write `${{envvar:{name}}}` for an environment variable; ")
                }
                (None, None) => String::new(),
            };
            let help = format!("{near}known macros: {}", listed(&known, "and"));
            refuse(
                problems,
                format!("unknown macro {shown}"),
                "unknown macro",
                help,
            )
        }
    }
}

/// The macro for what a variable of pentagrid's tells a program.
fn own_variable(name: &str) -> Option<&'static str> {
    Some(match name {
        "PENTAGRID_SEED" => "${seed}",
        "PENTAGRID_TRIAL" => "${trial}",
        "PENTAGRID_DIR" => "${dir}",
        "PENTAGRID_CONFIG" => "${args_json_file}",
        "PENTAGRID_METRICS" => "${dir}/metrics.jsonl",
        _ => return None,
    })
}

fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `env`: names of variables and their values, in which macros may stand; those of a trial only
/// where a process belongs to one trial.
pub(super) fn environment(
    entry: &Entry,
    of_a_trial: bool,
    problems: &mut Problems<'_>,
) -> Vec<(String, Vec<Piece>)> {
    const EXAMPLE: &str = "env: {DATA: /data, WANDB_API_KEY: \"${envvar:WANDB_API_KEY}\"}";
    let mut variables = Vec::new();
    for variable in entries(entry, EXAMPLE, problems).unwrap_or_default() {
        let refusal = if !is_variable(&variable.key) {
            Some((
                "cannot be the name of an environment variable",
                "use letters, digits and underscores",
            ))
        } else if variable.key.starts_with("PENTAGRID_") {
            Some((
                "is pentagrid's own variable",
                "choose a name that does not begin with PENTAGRID_",
            ))
        } else if OURS.contains(&&*variable.key) {
            Some((
                "is set by pentagrid, for each trial its own",
                "choose GPUs with `--devices cuda:0,1`",
            ))
        } else {
            None
        };
        if let Some((what, help)) = refusal {
            let message = format!("{} {what}", quoted(&variable.key));
            problems.add(Finding::new(variable.key_span, message, "not allowed").help(help));
            continue;
        }
        let Kind::Scalar(scalar) = &variable.value.kind else {
            let message = format!(
                "{} must be text, not {}",
                quoted(&variable.key),
                variable.value.describe()
            );
            problems.add(
                Finding::new(variable.at(), message, "not text")
                    .help(format!("write for example `{EXAMPLE}`")),
            );
            continue;
        };
        let text = if scalar.is_null() { "" } else { &*scalar.text };
        if text.contains('\0') {
            let message = format!(
                "{} holds a NUL character, which no variable can",
                quoted(&variable.key)
            );
            problems.add(Finding::new(variable.at(), message, "a NUL character").help("remove it"));
            continue;
        }
        let place = Place {
            at: variable.at(),
            program: None,
            of_a_shell: false,
        };
        let Some(value) = pieces(text, place, problems) else {
            continue;
        };
        if !of_a_trial
            && value
                .iter()
                .any(|piece| !matches!(piece, Piece::Plain(_) | Piece::Variable(_)))
        {
            let message = format!(
                "{} holds a macro of a trial, but a worker trains many",
                quoted(&variable.key)
            );
            problems.add(
                Finding::new(variable.at(), message, "of one trial")
                    .help("only `${envvar:NAME}` makes sense here"),
            );
            continue;
        }
        variables.push((variable.key.to_string(), value));
    }
    variables
}
