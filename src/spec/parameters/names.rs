//! Names of parameters: which are possible, and which the built-in task knows.

use super::reader::Reader;
use crate::spec::problem::{brief, listed, quoted};
use crate::spec::task::{BUILTIN, OptimizerKind, PARAMS, TaskParam};
use crate::spec::tree::{Entry, Kind, did_you_mean};

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 64;

impl Reader<'_, '_> {
    /// Reports a name that is not possible. Returns whether it is possible.
    pub(super) fn check_name(&mut self, entry: &Entry) -> bool {
        let name = &*entry.key;
        let shown = quoted(name);

        let (message, label, help) = if matches!(name, "seed" | "random_seed" | "seeds") {
            (
                format!("{shown} is not a hyper-parameter: seeds are an axis of their own"),
                "a seed",
                help_for_seed(entry),
            )
        } else if name.len() > MAX_NAME || name.trim() != name || name.chars().any(char::is_control)
        {
            (
                format!("{shown} cannot be a parameter's name"),
                "not a name",
                "use at most 64 bytes, without control characters and outer spaces".to_owned(),
            )
        } else {
            return true;
        };

        self.problems.report(entry.key_span, message, label, help);
        false
    }

    /// Returns the built-in task's parameter of that name. Reports an unknown name.
    pub(super) fn builtin_param(
        &mut self,
        entry: &Entry,
        name: &str,
    ) -> Option<&'static TaskParam> {
        if !self.builtin {
            return None;
        }

        let found = TaskParam::find(name);
        if found.is_none() {
            let message = format!("{} is not a parameter of {BUILTIN}", quoted(name));
            self.problems.report(
                entry.key_span,
                message,
                "unknown parameter",
                help_for_unknown(name),
            );
        }
        found
    }
}

/// How to say that the values of a parameter are seeds.
fn help_for_seed(entry: &Entry) -> String {
    let parts = match &entry.value.kind {
        Kind::Map(parts) => parts.as_slice(),
        _ => &[],
    };
    let values = parts.iter().find(|part| &*part.key == "values");
    let listed: Vec<&str> = match values.map(|values| &values.value.kind) {
        Some(Kind::List(items)) => items
            .iter()
            .filter_map(|item| match &item.kind {
                Kind::Scalar(scalar) => Some(&*scalar.text),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let tune = if listed.is_empty() {
        "5".to_owned()
    } else {
        format!("[{}]", listed.join(", "))
    };
    format!(
        "remove it, and write `seeds: {{tune: {}, final: 10}}` at the top of the file; or keep it there and write `seeds: {{parameter: {}, final: 10}}`",
        brief(&tune),
        brief(&entry.key)
    )
}

fn help_for_unknown(name: &str) -> String {
    if let Some(meant) = synonym(name) {
        return format!("the task calls it `{meant}`");
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if let Some(flat) = TaskParam::find(last) {
        let name = flat.name;
        return format!("the task has no nested parameters: write `{name}` beside the others");
    }
    let names: Vec<&str> = PARAMS.iter().map(|param| param.name).collect();
    did_you_mean(name, &names, "its parameters")
}

/// The built-in task's name of a parameter that other programs call by this name.
fn synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "learning_rate" | "eta" | "alpha" => "lr",
        "beta" => "momentum",
        "beta_1" | "b1" => "beta1",
        "beta_2" | "b2" => "beta2",
        "epsilon" => "eps",
        "batch" | "bs" => "batch_size",
        "epoch" | "num_epochs" | "n_epochs" => "epochs",
        "threshold" => "tl",
        "opt" => "optimizer",
        _ => return None,
    })
}

/// "sgd, adam and hybrid".
pub(in crate::spec) fn optimizer_list(optimizers: &[OptimizerKind]) -> String {
    let names: Vec<&str> = optimizers.iter().map(|kind| kind.name()).collect();
    listed(&names, "and")
}
