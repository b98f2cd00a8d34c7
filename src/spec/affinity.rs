//! Which trials have work in common, as the task declares it: trials of one affinity and seed gain
//! by running in one bundle, where the worker computes once what is common. The planner
//! (`plan/sharing.rs`) makes groups of it; no result depends on it.

use std::collections::BTreeSet;

use super::model::Spec;
use super::problem::{Finding, Problems, quoted};
use super::task::{OptimizerKind, ParamDefault, Task, TaskParam};
use super::tree::{Entry, Kind, did_you_mean};
use super::validate::Draft;
use super::{Config, ParamValue};

/// Parameters of hybrid that matter only once it has switched, or say when it does.
const AFTER_THE_SWITCH: [&str; 6] = ["tl", "lr2", "beta1", "beta2", "eps", "hessian_power"];

impl Spec {
    /// What the trials that have work in common with this configuration agree in, besides the seed;
    /// `None` if there are none.
    ///
    /// A hybrid trial of the built-in task begins as SGD with momentum at `lr1`, so its affinity is
    /// the configuration of that. A worker's are the values of the parameters that the spec names
    /// under `affinity`.
    pub fn affinity(&self, config: &Config) -> Option<String> {
        match &self.task {
            Task::MnistResnet18 => builtin(config),
            Task::Worker(_) if !self.affinity.is_empty() => {
                let mut common = config.clone();
                common.0.retain(|name, _| self.affinity.contains(name));
                (!common.0.is_empty()).then(|| common.canonical())
            }
            Task::Worker(_) | Task::Program(_) => None,
        }
    }

    /// Whether any of its configurations may have an affinity.
    pub fn has_affinities(&self) -> bool {
        match &self.task {
            Task::MnistResnet18 => true,
            Task::Worker(_) => !self.affinity.is_empty(),
            Task::Program(_) => false,
        }
    }

    /// Of a trial that may part from its group's common work after an epoch: its configuration but
    /// for what says after which (`tl`). `None` for one that never parts, or where nothing is known
    /// of it.
    pub fn second_phase(&self, config: &Config) -> Option<String> {
        if self.task != Task::MnistResnet18 || optimizer(config) != Some(OptimizerKind::Hybrid) {
            return None;
        }
        let mut rest = config.clone();
        rest.0.remove("tl");
        Some(rest.canonical())
    }

    /// How many epochs a trial has, where the task has such a parameter.
    pub fn epochs(&self, config: &Config) -> Option<u32> {
        match (
            &self.task,
            config.get("epochs"),
            TaskParam::find("epochs")?.default,
        ) {
            (Task::MnistResnet18, Some(ParamValue::Int(epochs)), _) => u32::try_from(*epochs).ok(),
            (Task::MnistResnet18, None, ParamDefault::Int(epochs)) => u32::try_from(epochs).ok(),
            _ => None,
        }
    }
}

/// The `affinity` key: names of parameters of some arm, each once.
pub(super) fn read(
    entry: &Entry,
    task: Option<&Task>,
    arms: &[Draft<'_>],
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let params = arms
        .iter()
        .flat_map(|arm| &arm.leaves)
        .flat_map(|leaf| &leaf.params);
    let known: BTreeSet<&str> = params.map(|param| param.name.as_str()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    let refusal = match task {
        Some(Task::MnistResnet18) => Some((
            "`affinity` beside the built-in task, which knows what its trials have in common",
            "remove it; `pentagrid plan` shows what is shared",
        )),
        Some(Task::Program(_)) => Some((
            "`affinity` beside a program that trains one trial and ends: there is nobody to share with",
            "remove it, or make it a `worker` that trains trial after trial (docs/protocol.md)",
        )),
        Some(Task::Worker(_)) | None => None,
    };
    if let Some((message, help)) = refusal {
        problems.add(Finding::new(entry.key_span, message, "without effect here").help(help));
        return Vec::new();
    }
    let example = "write for example `affinity: [dataset, batch_size]`";
    let Kind::List(items) = &entry.value.kind else {
        let message = format!(
            "`affinity` must be a list of parameters, not {}",
            entry.value.describe()
        );
        problems.add(Finding::new(entry.at(), message, "not a list").help(example));
        return Vec::new();
    };
    if items.is_empty() {
        problems
            .add(Finding::new(entry.at(), "`affinity` is empty", "no parameters").help(example));
    }
    let mut names: Vec<String> = Vec::new();
    for item in items.iter() {
        let Kind::Scalar(name) = &item.kind else {
            let message = format!(
                "`affinity` holds names of parameters, not {}",
                item.describe()
            );
            problems.add(Finding::new(item.span, message, "not a name").help(example));
            continue;
        };
        let name = name.text.trim();
        let (what, label, help) = if !known.contains(&name) {
            (
                "is no parameter of this sweep",
                "unknown parameter",
                did_you_mean(name, &known, "parameters"),
            )
        } else if names.iter().any(|known| known == name) {
            (
                "stands in `affinity` twice",
                "again",
                "name each parameter once".to_owned(),
            )
        } else {
            names.push(name.to_owned());
            continue;
        };
        problems.add(Finding::new(item.span, format!("{} {what}", quoted(name)), label).help(help));
    }
    names
}

fn optimizer(config: &Config) -> Option<OptimizerKind> {
    let Some(ParamValue::Text(optimizer)) = config.get("optimizer") else {
        return None;
    };
    OptimizerKind::from_name(optimizer)
}

fn builtin(config: &Config) -> Option<String> {
    match optimizer(config)? {
        OptimizerKind::SgdMomentum => Some(config.canonical()),
        OptimizerKind::Hybrid => {
            let mut first = config.clone();
            first
                .0
                .retain(|name, _| !AFTER_THE_SWITCH.contains(&name.as_str()));
            if let Some(lr) = first.0.remove("lr1") {
                first.0.insert("lr".to_owned(), lr);
            }
            let name = OptimizerKind::SgdMomentum.name().to_owned();
            first
                .0
                .insert("optimizer".to_owned(), ParamValue::Text(name));
            Some(first.canonical())
        }
        OptimizerKind::Sgd | OptimizerKind::Adam | OptimizerKind::Adahessian => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::PARAMS;

    fn affinity(json: &str) -> Option<String> {
        builtin(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn hybrid_goes_with_its_first_phase() {
        let momentum =
            affinity(r#"{"optimizer": "sgd_momentum", "lr": 0.1, "momentum": 0.9, "epochs": 3}"#);
        let hybrid = r#"{"optimizer": "hybrid", "lr1": 0.1, "lr2": 0.2, "tl": 1, "beta2": 0.9, "momentum": 0.9, "epochs": 3}"#;
        assert!(momentum.is_some());
        assert_eq!(affinity(hybrid), momentum);
        assert_eq!(
            affinity(&hybrid.replace("\"tl\": 1", "\"tl\": 0.5")),
            momentum
        );
        for other in [
            hybrid.replace("\"lr1\": 0.1", "\"lr1\": 0.2"),
            hybrid.replace("\"epochs\": 3", "\"epochs\": 4"),
        ] {
            assert_ne!(affinity(&other), momentum, "{other}");
        }
        assert_eq!(affinity(r#"{"optimizer": "adam", "lr": 0.1}"#), None);
    }

    /// A new parameter of hybrid's second phase must be named here too.
    #[test]
    fn what_the_first_phase_does_not_have_is_named() {
        let first = |name: &str| {
            PARAMS
                .iter()
                .any(|param| param.name == name && param.applies_to(OptimizerKind::SgdMomentum))
        };
        let own = PARAMS
            .iter()
            .filter(|param| param.applies_to(OptimizerKind::Hybrid) && !first(param.name));
        let mut own: Vec<&str> = own
            .map(|param| param.name)
            .filter(|name| *name != "lr1")
            .collect();
        let mut named = AFTER_THE_SWITCH.to_vec();
        own.sort_unstable();
        named.sort_unstable();
        assert_eq!(own, named);
    }

    fn file(head: &str) -> String {
        format!(
            "name: t\nmetric: {{name: m, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n{head}\n\
             parameters: {{data: {{values: [1, 2]}}, lr: {{values: [0.1, 0.2]}}}}\n"
        )
    }

    #[test]
    fn what_is_no_affinity_is_refused() {
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
        insta::assert_snapshot!(error("program: train.py\naffinity: [lr]"), @"t.yaml:5:1: `affinity` beside a program that trains one trial and ends: there is nobody to share with (remove it, or make it a `worker` that trains trial after trial (docs/protocol.md))");
        let builtin = file("task: mnist-resnet18\naffinity: [lr]")
            .replace("data:", "epochs:")
            .replace("name: m,", "name: val_loss,");
        insta::assert_snapshot!(crate::spec::read(&builtin, "t.yaml").unwrap_err().to_string(), @r#"
        t.yaml:5:1: `affinity` beside the built-in task, which knows what its trials have in common (remove it; `pentagrid plan` shows what is shared)
        t.yaml:6:1: the sweep names no `optimizer` (add `optimizer: {value: sgd}` to its parameters; it is one of sgd, sgd_momentum, adam, adahessian or hybrid)
        "#);
    }

    #[test]
    fn a_worker_shares_what_its_spec_says() {
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
