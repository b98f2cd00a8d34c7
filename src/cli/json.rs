//! Answers as JSON, for programs. `docs/json.md` describes every field; a test holds the two together.

use serde::Serialize;
use serde_json::Value;

use super::error::CliError;

/// The version of all answers: it grows when a field goes or changes its meaning, not when one is added.
const FORMAT: u32 = 1;

/// An answer as one document, which begins with its version.
pub fn document(answer: &impl Serialize) -> Result<String, CliError> {
    let failed = |error: serde_json::Error| CliError::Unexpected(error.to_string());
    let mut all = serde_json::Map::from_iter([("format".to_owned(), Value::from(FORMAT))]);
    if let Value::Object(fields) = serde_json::to_value(answer).map_err(failed)? {
        all.extend(fields);
    }
    serde_json::to_string_pretty(&all).map_err(failed)
}
