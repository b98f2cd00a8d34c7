//! Which trials have work in common, as the task declares it. Trials of one affinity and seed run
//! faster in one bundle, where the worker computes the common work once. The planner
//! (`plan/sharing.rs`) groups trials by it; no result depends on it.

use std::collections::BTreeSet;

use super::model::Spec;
use super::problem::{Problems, quoted};
use super::task::Task;
use super::tree::{Entry, Kind, did_you_mean};
use super::validate::Draft;
use pentagrid_protocol::Config;

const EXAMPLE: &str = "write for example `affinity: [dataset, batch_size]`";

impl Spec {
    /// Returns what the trials that have work in common with this configuration agree in, besides
    /// the seed; None if there are none.
    ///
    /// A built-in task knows it; a worker's are the values of the parameters that the sweep file
    /// names under `affinity`.
    pub fn affinity(&self, config: &Config) -> Option<String> {
        match &self.task {
            Task::BuiltIn(task) => (task.affinity)(config),
            Task::Worker(_) if !self.affinity.is_empty() => {
                let mut common = config.clone();
                common.0.retain(|name, _| self.affinity.contains(name));
                (!common.0.is_empty()).then(|| common.canonical())
            }
            Task::Worker(_) | Task::Program(_) => None,
        }
    }

    /// Whether any of the sweep's configurations may have an affinity.
    pub fn has_affinities(&self) -> bool {
        match &self.task {
            Task::BuiltIn(_) => true,
            Task::Worker(_) => !self.affinity.is_empty(),
            Task::Program(_) => false,
        }
    }

    /// Returns what a trial does after it leaves the work that its group has in common: its
    /// configuration without the parameter that decides when it leaves. None if it never
    /// leaves, or if nothing is known about it.
    pub fn second_phase(&self, config: &Config) -> Option<String> {
        (self.task.built_in()?.second_phase)(config)
    }

    /// Returns how many epochs a trial has, if the task has such a parameter.
    pub fn epochs(&self, config: &Config) -> Option<u32> {
        (self.task.built_in()?.epochs)(config)
    }
}

/// Reads the `affinity` key: names of parameters of some arm, each once.
pub(super) fn read(
    entry: &Entry,
    task: Option<&Task>,
    arms: &[Draft<'_>],
    problems: &mut Problems<'_>,
) -> Vec<String> {
    if let Some(refusal) = refusal(task) {
        let label = "without effect here";
        problems.report(entry.key_span, refusal.message, label, refusal.help);
        return Vec::new();
    }

    let Kind::List(items) = &entry.value.kind else {
        let found = entry.value.describe();
        let message = format!("`affinity` must be a list of parameters, not {found}");
        problems.report(entry.at(), message, "not a list", EXAMPLE);
        return Vec::new();
    };
    if items.is_empty() {
        problems.report(entry.at(), "`affinity` is empty", "no parameters", EXAMPLE);
    }

    // The union of all arms: a worker may share a parameter that only some arms have.
    let known: BTreeSet<&str> = arms
        .iter()
        .flat_map(|arm| &arm.leaves)
        .flat_map(|leaf| &leaf.params)
        .map(|param| param.name.as_str())
        .collect();
    let known: Vec<&str> = known.into_iter().collect();
    let mut names: Vec<String> = Vec::new();
    for item in items.iter() {
        let Kind::Scalar(name) = &item.kind else {
            let message = format!(
                "`affinity` holds names of parameters, not {}",
                item.describe()
            );
            problems.report(item.span, message, "not a name", EXAMPLE);
            continue;
        };

        let name = name.text.trim();
        let shown = quoted(name);
        if !known.contains(&name) {
            let message = format!("{shown} is no parameter of this sweep");
            let help = did_you_mean(name, &known, "parameters");
            problems.report(item.span, message, "unknown parameter", help);
        } else if names.iter().any(|other| other == name) {
            let message = format!("{shown} stands in `affinity` twice");
            problems.report(item.span, message, "again", "name each parameter once");
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

/// Why a task has no `affinity`.
struct Refusal {
    message: &'static str,
    help: &'static str,
}

fn refusal(task: Option<&Task>) -> Option<Refusal> {
    match task {
        Some(Task::BuiltIn(_)) => Some(Refusal {
            message: "`affinity` beside the built-in task, which knows what its trials have in common",
            help: "remove it; `pentagrid plan` shows what is shared",
        }),
        Some(Task::Program(_)) => Some(Refusal {
            message: "`affinity` beside a program that trains one trial and exits: it shares no work",
            help: "remove it, or make it a `worker` that trains trial after trial (docs/protocol.md)",
        }),
        Some(Task::Worker(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    fn file(head: &str) -> String {
        format!(
            "name: t\nmetric: {{name: m, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n{head}\n\
             parameters: {{data: {{values: [1, 2]}}, lr: {{values: [0.1, 0.2]}}}}\n"
        )
    }

    #[test]
    fn other_affinities_are_refused() {
        let error = |head: &str| {
            crate::spec::read(&file(head), "t.yaml")
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(error("worker: [w]\naffinity: [date, lr, lr, [1]]"), @r#"
        t.yaml:5:12: `date` is no parameter of this sweep (did you mean `data`? parameters: data and lr)
        t.yaml:5:22: `lr` stands in `affinity` twice (name each parameter once)
        t.yaml:5:26: `affinity` holds names of parameters, not a list (write for example `affinity: [dataset, batch_size]`)
        "#);
        insta::assert_snapshot!(error("worker: [w]\naffinity: lr"), @"t.yaml:5:11: `affinity` must be a list of parameters, not a single value (write for example `affinity: [dataset, batch_size]`)");
        insta::assert_snapshot!(error("worker: [w]\naffinity: []"), @"t.yaml:5:11: `affinity` is empty (write for example `affinity: [dataset, batch_size]`)");
        insta::assert_snapshot!(error("program: train.py\naffinity: [lr]"), @"t.yaml:5:1: `affinity` beside a program that trains one trial and exits: it shares no work (remove it, or make it a `worker` that trains trial after trial (docs/protocol.md))");
        let builtin = file("task: mnist-resnet18\naffinity: [lr]")
            .replace("data:", "epochs:")
            .replace("name: m,", "name: val_loss,");
        insta::assert_snapshot!(crate::spec::read(&builtin, "t.yaml").unwrap_err().to_string(), @r#"
        t.yaml:5:1: `affinity` beside the built-in task, which knows what its trials have in common (remove it; `pentagrid plan` shows what is shared)
        t.yaml:6:1: the sweep names no `optimizer` (add `optimizer: {value: sgd}` to its parameters; it is one of sgd, sgd_momentum, adam, adahessian or hybrid)
        "#);
    }

    #[test]
    fn a_worker_shares_what_its_sweep_file_says() {
        let spec = |affinity: &str| {
            crate::spec::read(&file(&format!("worker: [w]\n{affinity}")), "t.yaml").unwrap()
        };
        let config = |json: &str| serde_json::from_str(json).unwrap();
        assert_eq!(
            spec("").affinity(&config(r#"{"data": 1, "lr": 0.1}"#)),
            None
        );
        let named = spec("affinity: [data]\n");
        assert_eq!(
            named.affinity(&config(r#"{"data": 1, "lr": 0.1}"#)),
            Some(r#"{"data":1}"#.to_owned())
        );
        assert_eq!(named.affinity(&config(r#"{"lr": 0.1}"#)), None);
    }
}
