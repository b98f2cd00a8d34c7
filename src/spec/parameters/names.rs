//! Names of parameters: which are possible, and which the built-in task knows.

use super::reader::Reader;
use crate::spec::problem::{listed, quoted};
use crate::spec::task::{BUILTIN, OptimizerKind, PARAMS, TaskParam};
use crate::spec::tree::{Entry, did_you_mean};

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 64;

/// Maximum number of groups in help that shows how to nest a name with dots.
const MAX_NESTED: usize = 4;

impl Reader<'_, '_> {
    /// Reports a name that is not possible. Returns whether it is possible.
    pub(super) fn check_name(&mut self, entry: &Entry) -> bool {
        let name = &*entry.key;
        let shown = quoted(name);

        let (message, label, help) = if matches!(name, "seed" | "random_seed" | "seeds") {
            (
                format!("{shown} is not a hyper-parameter: seeds are an axis of their own"),
                "a seed",
                "name them at the top of the file: `seeds: {tune: 5, final: 10}`".to_owned(),
            )
        } else if name.contains('.') {
            (
                format!("the parameter name {shown} contains a dot"),
                "has a dot",
                self.help_without_dots(name),
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

    /// How to write a name with dots.
    fn help_without_dots(&self, name: &str) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        let last = parts.last().copied().unwrap_or_default();
        if self.builtin && TaskParam::find(last).is_some() {
            return format!("the task has no nested parameters: write `{last}`");
        }
        if name.len() > MAX_NAME
            || parts.len() > MAX_NESTED
            || parts.iter().any(|part| part.is_empty())
        {
            return "dots join nested parameters: use another character in names".to_owned();
        }

        let groups = &parts[..parts.len() - 1];
        let nested = groups
            .iter()
            .rev()
            .fold(format!("{last}: ..."), |inner, group| {
                format!("{group}: {{parameters: {{{inner}}}}}")
            });
        format!("nest it: {nested}")
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
