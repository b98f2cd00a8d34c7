//! Reads `env`: environment variables of the worker or program.

use super::command::Piece;
use super::macros::{self, Place, is_variable};
use super::problem::{Problems, quoted};
use super::tree::{Entry, Kind, entries};

const EXAMPLE: &str = "env: {DATA: /data, WANDB_API_KEY: \"${envvar:WANDB_API_KEY}\"}";

/// Variables for the device of a trial, which pentagrid sets.
const DEVICE_VARIABLES: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"];

/// Reads names of variables and their values, which may contain macros. Macros of a trial are
/// allowed only if a process belongs to one trial.
pub(super) fn read(
    entry: &Entry,
    of_one_trial: bool,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Vec<(String, Vec<Piece>)> {
    let mut variables = Vec::new();
    for variable in entries(entry, EXAMPLE, problems).unwrap_or_default() {
        if let Some(value) = value(variable, of_one_trial, parameters, problems) {
            variables.push((variable.key.to_string(), value));
        }
    }
    variables
}

fn value(
    variable: &Entry,
    of_one_trial: bool,
    parameters: &[String],
    problems: &mut Problems<'_>,
) -> Option<Vec<Piece>> {
    let name = quoted(&variable.key);
    if let Some(refusal) = name_refusal(&variable.key) {
        let message = format!("{name} {}", refusal.message);
        problems.report(variable.key_span, message, "not allowed", refusal.help);
        return None;
    }

    let Kind::Scalar(scalar) = &variable.value.kind else {
        let message = format!("{name} must be text, not {}", variable.value.describe());
        let help = format!("write for example `{EXAMPLE}`");
        problems.report(variable.at(), message, "not text", help);
        return None;
    };
    let text = if scalar.is_null() { "" } else { &*scalar.text };
    if text.contains('\0') {
        let message = format!("{name} holds a NUL character, which no variable can");
        problems.report(variable.at(), message, "a NUL character", "remove it");
        return None;
    }

    let place = Place {
        span: variable.at(),
        program: None,
        of_shell: false,
        example: super::program::EXAMPLE,
        parameters,
    };
    let pieces = macros::pieces(text, place, problems)?;

    // A worker is started once and trains many trials.
    let has_trial_macro = pieces
        .iter()
        .any(|piece| !matches!(piece, Piece::Plain(_) | Piece::Variable(_)));
    if has_trial_macro && !of_one_trial {
        let message = format!("{name} holds a macro of a trial, but a worker trains many");
        let help = "only `${envvar:NAME}` makes sense here";
        problems.report(variable.at(), message, "of one trial", help);
        return None;
    }
    Some(pieces)
}

/// Why a variable of that name cannot be set.
struct Refusal {
    message: &'static str,
    help: &'static str,
}

fn name_refusal(name: &str) -> Option<Refusal> {
    if !is_variable(name) {
        return Some(Refusal {
            message: "cannot be the name of an environment variable",
            help: "use letters, digits and underscores",
        });
    }

    if name.starts_with("PENTAGRID_") {
        return Some(Refusal {
            message: "is pentagrid's own variable",
            help: "choose a name that does not begin with PENTAGRID_",
        });
    }

    if DEVICE_VARIABLES.contains(&name) {
        return Some(Refusal {
            message: "is set by pentagrid, for each trial its own",
            help: "choose GPUs with `--devices cuda:0,1`",
        });
    }
    None
}
