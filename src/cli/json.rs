//! Answers as JSON, for programs. `docs/json.md` describes every field; a test holds the two
//! together.

use serde::Serialize;
use serde_json::{Value, json};

use super::error::{self, CliError};

/// The version of all answers: it grows when a field goes or changes its meaning, not when one is
/// added.
const FORMAT: u32 = 1;

/// An answer as one document, which begins with its version.
pub(crate) fn document(answer: &impl Serialize) -> Result<String, CliError> {
    let mut all = serde_json::Map::from_iter([("format".to_owned(), Value::from(FORMAT))]);
    if let Value::Object(fields) = serde_json::to_value(answer).map_err(unexpected)? {
        all.extend(fields);
    }
    serde_json::to_string_pretty(&all).map_err(unexpected)
}

fn unexpected(error: serde_json::Error) -> CliError {
    CliError::Unexpected(error.to_string())
}

/// What went wrong.
#[derive(Serialize)]
struct Failure {
    kind: &'static str,
    exit_code: u8,
    message: String,
    problems: Vec<Problem>,
}

/// A mistake in a sweep file.
#[derive(Serialize)]
struct Problem {
    file: String,
    line: usize,
    column: usize,
    message: String,
    help: Option<String>,
}

/// What went wrong, in one line: warnings may stand before it on stderr.
pub(crate) fn failure(error: &CliError) -> String {
    let mut problems = Vec::new();
    if let Some(diagnosis) = error.diagnosis() {
        for problem in &diagnosis.problems {
            problems.push(Problem {
                file: diagnosis.file.clone(),
                line: problem.line,
                column: problem.column,
                message: problem.message.clone(),
                help: problem.help.clone(),
            });
        }
    }
    line(&Failure {
        kind: error.kind(),
        exit_code: error.exit_code(),
        message: error.to_string(),
        problems,
    })
}

/// Returns the JSON of an error in the command line.
pub(crate) fn misuse(message: &str) -> String {
    let message = message.trim().trim_start_matches("error: ").to_owned();
    line(&Failure {
        kind: "usage",
        exit_code: error::USAGE,
        message,
        problems: Vec::new(),
    })
}

fn line(failure: &Failure) -> String {
    json!({ "format": FORMAT, "error": failure }).to_string()
}
