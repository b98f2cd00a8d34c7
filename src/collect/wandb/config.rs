//! The file that fills `wandb.config`, as W&B's own agent writes it for the runs of a sweep.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::spec::Config;
use crate::spec::command::nested_json;

/// The text of the file that WANDB_SWEEP_PARAM_PATH names: a trial's hyper-parameters and its seed.
/// Parameters with dots in their names are mappings in it, as nested ones are, and also stand under
/// their whole names: the sweep file may have either form, and the script reads the one that it has.
pub fn wandb_config(config: &Config, seed: u64) -> String {
    let mut text = "wandb_version: 1\n".to_owned();
    let nested: Map<String, Value> = serde_json::from_str(&nested_json(config)).unwrap_or_default();
    let mut nested_names = Vec::new();
    for (name, value) in nested {
        push_parameter(&mut text, &name, &value);
        nested_names.push(name);
    }
    for (name, value) in &config.0 {
        // One that could not be nested stands there already.
        if name.contains('.') && !nested_names.contains(name) {
            let value = serde_json::to_value(value).unwrap_or_default();
            push_parameter(&mut text, name, &value);
        }
    }
    push_parameter(&mut text, "seed", &Value::from(seed));
    text
}

fn push_parameter(text: &mut String, name: &str, value: &Value) {
    text.push('\n');
    push(text, &Value::from(name));
    text.push_str(":\n  value: ");
    push(text, value);
    text.push('\n');
}

/// Writes a value in the form of JSON, as a reader of YAML 1.1 takes it, which Python's is: a float
/// has a point there, or it is a text.
fn push(text: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                push(text, item);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (index, (name, item)) in map.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                push(text, &Value::from(name.as_str()));
                text.push_str(": ");
                push(text, item);
            }
            text.push('}');
        }
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            push_float(text, number.as_f64().unwrap_or(f64::NAN));
        }
        Value::String(written) => push_text(text, written),
        other => text.push_str(&other.to_string()),
    }
}

fn push_float(text: &mut String, number: f64) {
    // The shortest text that is read back as the same number.
    let written = format!("{number:?}");
    let Some((digits, exponent)) = written.split_once('e') else {
        return text.push_str(&written);
    };
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    // Writing to a text cannot fail.
    let _ = write!(text, "{digits}{point}e{sign}{exponent}");
}

/// Writes a text in double quotes, with escapes for all that YAML does not allow as it is.
fn push_text(text: &mut String, written: &str) {
    text.push('"');
    for letter in written.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' '..='~' | '\u{a0}'..='\u{d7ff}' => text.push(letter),
            // Writing to a text cannot fail.
            _ => drop(write!(text, "\\U{:08x}", u32::from(letter))),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ParamValue;

    #[test]
    fn values_keep_their_types_and_nested_parameters_are_mappings() {
        let config: Config = [
            ("lr", ParamValue::Float(1e-5)),
            ("big", ParamValue::Float(1e300)),
            ("half", ParamValue::Float(0.5)),
            ("whole", ParamValue::Float(3.0)),
            ("epochs", ParamValue::Int(3)),
            ("augment", ParamValue::Bool(true)),
            ("name", ParamValue::Text("a: \"b\"\n\u{1f600}".into())),
            ("optimizer.beta", ParamValue::Float(0.9)),
            ("optimizer.kind", ParamValue::Text("sgd".into())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        insta::assert_snapshot!(wandb_config(&config, 7), @r#"
        wandb_version: 1

        "augment":
          value: true

        "big":
          value: 1.0e+300

        "epochs":
          value: 3

        "half":
          value: 0.5

        "lr":
          value: 1.0e-5

        "name":
          value: "a: \"b\"\U0000000a\U0001f600"

        "optimizer":
          value: {"beta": 0.9, "kind": "sgd"}

        "whole":
          value: 3.0

        "optimizer.beta":
          value: 0.9

        "optimizer.kind":
          value: "sgd"

        "seed":
          value: 7
        "#);
    }
}
