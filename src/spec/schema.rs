//! The JSON schema of sweep files, for editors: completion, hover help, and a first check while
//! typing. Made from the lists that the reader itself uses: `keys` for the keys, `task` for the
//! built-in task's parameters.

use serde_json::{Map, Value, json};

use super::claims::{MAX_SENTENCE, kind_keys};
use super::keys::{self, Key};
use super::naming::MAX_ARM;
use super::parameters::optimizer_list;
use super::task::{
    AS_RUN_METRICS, BUILTIN, METRICS, OptimizerKind, PARAMS, ParamDefault, ParamType, Range,
    SWITCH_METRIC, TaskParam,
};
use super::{MAX_ARMS, MAX_CLAIMS, MAX_GRIDS, MAX_RULES, MAX_SEEDS};

/// Returns the JSON schema of a sweep file (draft 2020-12), as indented text that ends with a
/// newline.
pub fn json_schema() -> String {
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pentagrid sweep",
        "description": "A hyper-parameter grid search: what to train, which values to try, with how many seeds.",
    });
    let rules = json!({
        "required": ["metric"],
        "oneOf": [{"required": ["name", "task"]}, {"required": ["worker"]}, {"anyOf": [{"required": ["program"]}, {"required": ["command"]}]}],
        "anyOf": [{"required": ["parameters"]}, {"required": ["arms"]}, {"required": ["grids"]}],
        "not": {"required": ["arms", "grids"]},
        "if": {"required": ["task"]},
        "then": {"properties": {
            "metric": {"properties": {"name": {"enum": metrics_to_select_by()}}},
            "parameters": {"$ref": "#/$defs/builtin"},
            "grids": grids("#/$defs/builtin"),
            "arms": {"additionalProperties": {"properties": {
                "parameters": {"$ref": "#/$defs/builtin"},
                "grids": grids("#/$defs/builtin"),
            }}},
            "published": {"additionalProperties": {"propertyNames": {"enum": published_metrics()}}},
        }},
        "else": {"properties": {
            "parameters": {"$ref": "#/$defs/parameters"},
            "grids": grids("#/$defs/parameters"),
            "arms": {"additionalProperties": {"properties": {
                "parameters": {"$ref": "#/$defs/parameters"},
                "grids": grids("#/$defs/parameters"),
            }}},
        }},
        "$defs": {
            "builtin": builtin(),
            "parameters": {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/parameter"}},
            "parameter": parameter(&json!({}), true),
            "args": object(keys::ARGS, args_key),
            "space": merged(
                object(keys::SPACE, |_| json!({"type": "number"})),
                json!({"required": ["from", "to", "points"]}),
            ),
            "range": merged(
                object(keys::RANGE, |_| json!({"type": "number"})),
                json!({"required": ["from", "to"]}),
            ),
            "arm": object(keys::ARM, arm_key),
            "grid": object(keys::GRID, grid_key),
            "clauses": clauses(),
            "figure": merged(
                object(keys::FIGURE, figure_key),
                json!({"required": ["mean"], "dependentRequired": {"images": ["n"]}}),
            ),
            "claim": claim(),
            "seeds": {"anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_SEEDS},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": true},
            ]},
        },
    });
    let extensions = json!({"patternProperties": {"^x-": {}}});
    let sweep = merged(object(keys::SWEEP, sweep_key), extensions);

    // `{:#}` indents without a `Result`: a value in memory cannot fail to be written.
    format!("{:#}\n", merged(merged(head, sweep), rules))
}

/// An object with the keys of both.
fn merged(mut left: Value, right: Value) -> Value {
    if let (Value::Object(left), Value::Object(right)) = (&mut left, right) {
        left.extend(right);
    }
    left
}

/// An object with these keys and no others; `schema` gives what each holds.
fn object(keys: &[Key], schema: fn(&str) -> Value) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let described = merged(json!({"description": key.doc}), schema(key.name));
        properties.insert(key.name.to_owned(), described);
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Grids whose parameters have that definition.
fn grids(parameters: &str) -> Value {
    json!({"items": {"properties": {"parameters": {"$ref": parameters}}}})
}

/// A condition, or a rule of `exclude`: a value or a list of values for each parameter that it
/// names.
fn clauses() -> Value {
    let scalar = json!({"type": ["number", "string", "boolean", "null"]});
    let values = json!({"anyOf": [scalar, {"type": "array", "items": scalar, "minItems": 1}]});
    json!({"type": "object", "minProperties": 1, "additionalProperties": values})
}

/// The keys that shape a grid.
fn shape_key(key: &str) -> Option<Value> {
    let names =
        json!({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true});
    Some(match key {
        "zip" => json!({"anyOf": [names, {"type": "array", "items": names, "minItems": 1}]}),
        "exclude" => {
            json!({"type": "array", "items": {"$ref": "#/$defs/clauses"}, "minItems": 1, "maxItems": MAX_RULES})
        }
        "grids" => {
            json!({"type": "array", "items": {"$ref": "#/$defs/grid"}, "minItems": 1, "maxItems": MAX_GRIDS})
        }
        _ => return None,
    })
}

fn args_key(key: &str) -> Value {
    match key {
        "lists" => json!({"enum": ["literal", "words"]}),
        "null" => json!({"enum": ["literal", "omit"]}),
        _ => json!({"enum": ["literal", "flags", "store_true"]}),
    }
}

fn grid_key(key: &str) -> Value {
    shape_key(key).unwrap_or_else(|| json!({"type": "object"}))
}

fn sweep_key(key: &str) -> Value {
    if let Some(schema) = shape_key(key) {
        return schema;
    }
    match key {
        "name" => json!({"type": ["string", "number"], "minLength": 1}),
        "description" => json!({"type": "string"}),
        "task" => json!({"enum": [BUILTIN]}),
        "worker" => {
            json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1})
        }
        "program" | "workdir" => json!({"type": "string", "minLength": 1}),
        "command" => {
            json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1})
        }
        "affinity" => {
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true})
        }
        "args" => json!({"$ref": "#/$defs/args"}),
        "timed" => json!({"type": "boolean"}),
        "env" => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }),
        "project" | "entity" | "apiVersion" | "kind" => json!({}),
        "method" => json!({"enum": ["grid"], "default": "grid"}),
        "prune" => json!({"enum": ["none", "safe"], "default": "none"}),
        "metric" => merged(
            object(keys::METRIC, metric_key),
            json!({"required": ["name"]}),
        ),
        "metrics" => sources(),
        "seeds" => merged(
            object(keys::SEEDS, seeds_key),
            json!({"required": ["final"], "anyOf": [{"required": ["tune"]}, {"required": ["parameter"]}]}),
        ),
        "arms" => json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_ARMS,
            "propertyNames": {"pattern": "^[^A-Z\\s./]+$", "maxLength": MAX_ARM},
            "additionalProperties": {"$ref": "#/$defs/arm"},
        }),
        "limits" => object(keys::LIMITS, limit_key),
        "resources" => object(
            keys::RESOURCES,
            |_| json!({"type": "integer", "minimum": 1, "maximum": 1024, "default": 1}),
        ),
        "launcher" => merged(
            object(keys::LAUNCHER, launcher_key),
            json!({"required": ["kind"]}),
        ),
        "published" => json!({
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": {"$ref": "#/$defs/figure"}},
        }),
        "claims" => {
            json!({"type": "array", "maxItems": MAX_CLAIMS, "items": {"$ref": "#/$defs/claim"}})
        }
        // `parameters`: their content depends on the task, see `then` and `else`.
        _ => json!({"type": "object"}),
    }
}

fn seeds_key(key: &str) -> Value {
    match key {
        "parameter" => json!({"type": "string", "minLength": 1}),
        _ => json!({"$ref": "#/$defs/seeds"}),
    }
}

fn metric_key(key: &str) -> Value {
    match key {
        "goal" => json!({"enum": ["maximize", "minimize"]}),
        "best" => json!({"type": "number"}),
        "at" => {
            json!({"type": "string", "pattern": "^(last|best|mean_last_[1-9][0-9]*)$", "default": "last"})
        }
        _ => json!({"type": "string"}),
    }
}

/// `metrics`: a source, or a list of sources.
fn sources() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let source = json!({"anyOf": [
        {"enum": ["wandb", "tensorboard", "trainer_state"]},
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": false,
            "properties": {"csv": text, "json": text, "tensorboard": text, "stdout": text},
        },
    ]});
    json!({"anyOf": [source, {"type": "array", "items": source, "minItems": 1}]})
}

fn arm_key(key: &str) -> Value {
    if let Some(schema) = shape_key(key) {
        return schema;
    }
    match key {
        "label" => json!({"type": "string", "minLength": 1, "maxLength": 100}),
        "resources" => object(
            keys::RESOURCES,
            |_| json!({"type": "integer", "minimum": 1, "maximum": 1024, "default": 1}),
        ),
        "limits" => object(keys::LIMITS, limit_key),
        _ => json!({"type": "object"}),
    }
}

fn limit_key(key: &str) -> Value {
    match key {
        "timeout" => json!({"type": "string", "pattern": "^(\\d+[dhms]\\s*)+$"}),
        "retries" => json!({"type": "integer", "minimum": 0, "maximum": 100}),
        _ => json!({"type": "integer", "minimum": 0}),
    }
}

fn launcher_key(key: &str) -> Value {
    let words = json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}});
    match key {
        "kind" => json!({"enum": ["local", "slurm", "command"]}),
        "max_workers" | "workers" | "cpus" => {
            json!({"type": "integer", "minimum": 1, "maximum": 10000})
        }
        "gpus" => json!({"type": "integer", "minimum": 0, "maximum": 10000}),
        "steps" | "quote" => json!({"type": "boolean"}),
        "prefix" => merged(words, json!({"minItems": 1})),
        "args" => words,
        "start" | "heartbeat" => json!({"type": "string", "pattern": "^(\\d+[dhms]\\s*)+$"}),
        _ => json!({"type": ["string", "number"]}),
    }
}

fn figure_key(key: &str) -> Value {
    match key {
        "std" => json!({"type": "number", "minimum": 0}),
        "n" | "images" => json!({"type": "integer", "minimum": 1}),
        _ => json!({"type": "number"}),
    }
}

/// Keys of claims that may be left out.
const OPTIONAL_CLAIM_KEYS: [&str; 5] = ["among", "arms", "goal", "within", "tolerance"];

/// A claim: the sentence, and exactly one kind.
fn claim() -> Value {
    let one_of: Vec<Value> = keys::CLAIM
        .iter()
        .skip(1)
        .map(|kind| json!({"required": [kind.name]}))
        .collect();
    merged(
        object(keys::CLAIM, claim_key),
        json!({"required": ["says"], "oneOf": one_of}),
    )
}

fn claim_key(key: &str) -> Value {
    if key == "says" {
        return json!({"type": "string", "minLength": 1, "maxLength": MAX_SENTENCE});
    }

    let known = kind_keys(key);
    let required: Vec<&str> = known
        .iter()
        .map(|part| part.name)
        .filter(|name| !OPTIONAL_CLAIM_KEYS.contains(name))
        .collect();
    merged(object(known, claim_part), json!({"required": required}))
}

fn claim_part(key: &str) -> Value {
    match key {
        "arms" | "among" => {
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true})
        }
        "goal" => json!({"enum": ["maximize", "minimize"]}),
        "is" => json!({"type": "number", "exclusiveMinimum": 0}),
        "at" => json!({"type": "number", "minimum": 1}),
        "within" => json!({"type": "number", "minimum": 0}),
        "tolerance" => json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
        "value" => json!({"type": "number"}),
        _ => json!({"type": "string"}),
    }
}

fn metrics_to_select_by() -> Vec<&'static str> {
    METRICS
        .iter()
        .copied()
        .filter(|metric| *metric != "training_seconds")
        .collect()
}

fn published_metrics() -> Vec<&'static str> {
    METRICS
        .iter()
        .chain(AS_RUN_METRICS)
        .copied()
        .chain([SWITCH_METRIC])
        .collect()
}

/// A parameter whose values look like `value`.
fn parameter(value: &Value, nested: bool) -> Value {
    let mut properties = Map::new();
    let mut one_of = Vec::new();
    for key in keys::PARAMETER {
        let schema = match key.name {
            "value" => value.clone(),
            // Values may be repeated where a `zip` tells them apart.
            "values" => json!({"type": "array", "items": value, "minItems": 1}),
            "type" => json!({"enum": ["float", "int", "bool", "text"]}),
            "when" => json!({"$ref": "#/$defs/clauses"}),
            "args" => json!({"$ref": "#/$defs/args"}),
            "min" | "max" | "q" => json!({"type": "number"}),
            "distribution" => {
                json!({"enum": ["categorical", "constant", "int_uniform", "q_uniform"]})
            }
            "linspace" | "logspace" => json!({"$ref": "#/$defs/space"}),
            "range" => json!({"$ref": "#/$defs/range"}),
            _ if nested => json!({"$ref": "#/$defs/parameters"}),
            _ => continue,
        };

        // These may stand beside any of the others, of which there is exactly one.
        let is_beside = matches!(
            key.name,
            "type" | "when" | "args" | "max" | "q" | "distribution"
        );
        if !is_beside {
            one_of.push(json!({"required": [key.name]}));
        }
        properties.insert(
            key.name.to_owned(),
            merged(json!({"description": key.doc}), schema),
        );
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false, "oneOf": one_of})
}

/// The parameters of the built-in task.
fn builtin() -> Value {
    let mut properties = Map::new();
    for param in PARAMS {
        let schema = parameter(&builtin_value(param), false);
        let described = merged(json!({"description": describe(param)}), schema);
        properties.insert(param.name.to_owned(), described);
    }
    json!({"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": false})
}

fn builtin_value(param: &TaskParam) -> Value {
    if param.name == "optimizer" {
        return json!({"enum": OptimizerKind::ALL.map(OptimizerKind::name)});
    }
    let ty = match param.ty {
        ParamType::Int => json!({"type": "integer"}),
        ParamType::Float => json!({"type": "number"}),
        ParamType::Text => json!({"type": "string"}),
        ParamType::Bool => json!({"type": "boolean"}),
    };

    let range = match param.range {
        Range::Any => json!({}),
        Range::Positive => json!({"exclusiveMinimum": 0}),
        Range::NonNegative => json!({"minimum": 0}),
        Range::UnitOpen => json!({"minimum": 0, "exclusiveMaximum": 1}),
        Range::Between(low, high) => json!({"minimum": low, "maximum": high}),
        Range::OneOf(texts) => json!({"enum": texts}),
    };
    merged(ty, range)
}

/// Describes a parameter: its meaning, its range, the optimizers that it is for, its default.
fn describe(param: &TaskParam) -> String {
    let mut text = format!("{}.", param.help);
    if param.range != Range::Any {
        text.push_str(&format!(" Must be {}.", param.range.describe()));
    }
    if !param.optimizers.is_empty() {
        text.push_str(&format!(" For {}.", optimizer_list(param.optimizers)));
    }
    match param.default {
        ParamDefault::Required => text.push_str(" Required."),
        ParamDefault::Unset => {}
        ParamDefault::Int(default) => text.push_str(&format!(" Default: {default}.")),
        ParamDefault::Float(default) => text.push_str(&format!(" Default: {default}.")),
        ParamDefault::Text(default) => text.push_str(&format!(" Default: {default}.")),
    }
    text
}
