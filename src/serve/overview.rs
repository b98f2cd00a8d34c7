//! The first view of the page, in sections: an update contains those that have changed. `standings`
//! has the sections about results, `activity` those about what runs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::activity::{devices, failures, running};
use super::standings::{leaders, tables};
use crate::aggregate::{ArmEvaluation, Tally};
use crate::monitor::{Status, Sweep, TimeLeft};
use crate::report::{not_selected, selected};
use crate::shell::shell_path;
use crate::spec::{Goal, Prune};

/// Sections by name, each as JSON.
pub(crate) type Sections = BTreeMap<&'static str, Value>;

/// Returns every section of a sweep.
pub(crate) fn sections(sweep: &Sweep) -> Sections {
    let arms = arms(sweep);
    [
        ("sweep", value(&head(sweep, &arms))),
        ("arms", value(&arms)),
        ("tables", value(&tables(sweep))),
        ("leaders", value(&leaders(sweep))),
        ("running", value(&running(sweep))),
        ("failures", value(&failures(sweep))),
        ("devices", value(&devices(sweep))),
    ]
    .into()
}

/// Returns sections and the number of their version as one JSON object.
pub(crate) fn object<'a>(
    version: u64,
    sections: impl Iterator<Item = (&'a &'static str, &'a Value)>,
) -> String {
    #[derive(Serialize)]
    struct Update<'a> {
        version: u64,
        #[serde(flatten)]
        sections: BTreeMap<&'a str, &'a Value>,
    }

    json(&Update {
        version,
        sections: sections.map(|(name, value)| (*name, value)).collect(),
    })
}

/// Serialises a value as JSON. Only plain structs are serialised here, which cannot fail.
pub(crate) fn json(thing: &impl Serialize) -> String {
    serde_json::to_string(thing).unwrap_or_else(|_| "null".to_owned())
}

/// The same, but not yet as text.
fn value(thing: &impl Serialize) -> Value {
    serde_json::to_value(thing).unwrap_or_default()
}

#[derive(Serialize)]
struct Head {
    name: String,
    description: Option<String>,
    dir: String,
    /// running, finished or stopped.
    state: &'static str,
    /// Whether the last coordinator was killed.
    killed: bool,
    coordinator: Option<crate::ledger::Holder>,
    metric: String,
    maximize: bool,
    tune_seeds: usize,
    final_seeds: usize,
    races: bool,
    /// The command that resumes the sweep.
    resume: String,
    total: Counts,
    tune: Counts,
    #[serde(rename = "final")]
    final_: Counts,
    per_minute: Option<f64>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    planned: u64,
    done: u64,
    diverged: u64,
    failed: u64,
    running: u64,
    pruned: u64,
    seconds_left: Option<f64>,
}

impl Counts {
    fn of(tally: &Tally, planned: u64, seconds_left: Option<f64>) -> Self {
        let Tally {
            done,
            diverged,
            failed,
            running,
            pruned,
            ..
        } = *tally;

        Self {
            planned,
            done,
            diverged,
            failed,
            running,
            pruned,
            seconds_left,
        }
    }

    fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            planned: sum.planned + one.planned,
            done: sum.done + one.done,
            diverged: sum.diverged + one.diverged,
            failed: sum.failed + one.failed,
            running: sum.running + one.running,
            pruned: sum.pruned + one.pruned,
            seconds_left: match (sum.seconds_left, one.seconds_left) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            },
        })
    }
}

#[derive(Serialize)]
struct Arm {
    name: String,
    label: String,
    points: u64,
    tune: Counts,
    #[serde(rename = "final")]
    final_: Counts,
    selected: Option<Chosen>,
    /// Why no point was selected, although the tuning trials have ended.
    not_selected: Option<String>,
    /// The parameters with more than one value.
    searched: Vec<String>,
}

#[derive(Serialize)]
struct Chosen {
    point: String,
    values: String,
    why: String,
}

fn arms(sweep: &Sweep) -> Vec<Arm> {
    let left = sweep.time_left();
    let mut chosen: BTreeMap<usize, Chosen> =
        selected(sweep.spec(), sweep.grid(), sweep.evaluation())
            .into_iter()
            .map(|selected| {
                let chosen = Chosen {
                    point: selected.point,
                    values: selected.values,
                    why: selected.why,
                };
                (selected.arm, chosen)
            })
            .collect();

    sweep
        .evaluation()
        .arms
        .iter()
        .map(|arm| arm_view(sweep, arm, left.as_ref(), chosen.remove(&arm.arm)))
        .collect()
}

fn arm_view(
    sweep: &Sweep,
    arm: &ArmEvaluation,
    left: Option<&TimeLeft>,
    selected: Option<Chosen>,
) -> Arm {
    let spec = sweep.spec();
    let points = &sweep.grid().arms()[arm.arm];
    Arm {
        name: spec.arms[arm.arm].name.clone(),
        label: spec.arms[arm.arm].label.clone(),
        points: points.len(),
        tune: Counts::of(
            &arm.tune_tally,
            arm.tune_tally.planned,
            left.map(|left| left.tune[arm.arm]),
        ),
        final_: Counts::of(
            &arm.final_tally,
            spec.seeds.final_.len() as u64,
            left.map(|left| left.finals[arm.arm]),
        ),
        selected,
        not_selected: not_selected(spec, sweep.evaluation(), arm),
        searched: points.searched().map(str::to_owned).collect(),
    }
}

fn head(sweep: &Sweep, arms: &[Arm]) -> Head {
    let spec = sweep.spec();
    let tune = Counts::sum(arms.iter().map(|arm| arm.tune));
    let final_ = Counts::sum(arms.iter().map(|arm| arm.final_));
    Head {
        name: spec.name.clone(),
        description: spec.description.as_ref().map(|text| text.trim().to_owned()),
        dir: sweep.dir().display().to_string(),
        state: sweep.status().name(),
        killed: sweep.status() == Status::Stopped { killed: true },
        coordinator: sweep.holder().cloned(),
        metric: spec.metric.name.clone(),
        maximize: spec.metric.goal == Goal::Maximize,
        tune_seeds: spec.seeds.tune.len(),
        final_seeds: spec.seeds.final_.len(),
        races: spec.prune != Prune::None,
        resume: format!("pentagrid resume {}", shell_path(sweep.dir())),
        total: Counts::sum([tune, final_].into_iter()),
        tune,
        final_,
        per_minute: sweep.per_minute(),
    }
}
