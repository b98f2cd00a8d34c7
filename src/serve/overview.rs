//! What the page shows at first sight, in sections: an update carries those that have changed.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::aggregate::{Evaluation, PointStats, Stat, Tally};
use crate::monitor::{Course, Sweep};
use crate::protocol::{Place, Real, Unit};
use crate::report::{
    Figure, Table, mean_std, not_selected, note_on_versions, selected, table_one, table_two,
};
use crate::spec::command::shell_path;
use crate::spec::{Goal, ParamValue, Prune};

/// So many points lead an arm's list.
const LEADERS: usize = 5;
/// So many failed trials are named for each kind.
const EXAMPLES: usize = 5;

/// Sections by name, each as JSON.
pub type Sections = BTreeMap<&'static str, Value>;

/// Every section of a sweep.
pub fn sections(sweep: &Sweep) -> Sections {
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

/// Sections and the number of their version, as one JSON object.
pub fn object<'a>(
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

/// Anything as JSON. What is serialised here are plain structs: it cannot fail.
pub fn json(thing: &impl Serialize) -> String {
    serde_json::to_string(thing).unwrap_or_else(|_| "null".to_owned())
}

/// The same, not yet as text.
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
    /// Whether the last coordinator ended without a word.
    killed: bool,
    coordinator: Option<crate::ledger::Holder>,
    metric: String,
    maximize: bool,
    tune_seeds: usize,
    final_seeds: usize,
    races: bool,
    /// What goes on with a sweep that has stopped.
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
    /// Why no point can be selected, although the tuning trials have ended.
    not_selected: Option<String>,
    /// The parameters that are searched.
    searched: Vec<String>,
}

#[derive(Serialize)]
struct Chosen {
    point: String,
    values: String,
    why: String,
}

fn arms(sweep: &Sweep) -> Vec<Arm> {
    let (spec, grid, evaluation) = (sweep.spec(), sweep.grid(), sweep.evaluation());
    let left = sweep.time_left();
    let mut chosen: BTreeMap<usize, Chosen> = selected(spec, grid, evaluation)
        .into_iter()
        .map(|one| {
            (
                one.arm,
                Chosen {
                    point: one.point,
                    values: one.values,
                    why: one.why,
                },
            )
        })
        .collect();
    let arm = |arm: &crate::aggregate::ArmEvaluation| Arm {
        name: spec.arms[arm.arm].name.clone(),
        label: spec.arms[arm.arm].label.clone(),
        points: grid.arms()[arm.arm].len(),
        tune: Counts::of(
            &arm.tune_tally,
            arm.tune_tally.planned,
            left.as_ref().map(|left| left.tune[arm.arm]),
        ),
        final_: Counts::of(
            &arm.final_tally,
            spec.seeds.final_.len() as u64,
            left.as_ref().map(|left| left.finals[arm.arm]),
        ),
        selected: chosen.remove(&arm.arm),
        not_selected: not_selected(spec, evaluation, arm),
        searched: grid.arms()[arm.arm].searched().map(str::to_owned).collect(),
    };
    evaluation.arms.iter().map(arm).collect()
}

fn head(sweep: &Sweep, arms: &[Arm]) -> Head {
    let spec = sweep.spec();
    let tune = Counts::sum(arms.iter().map(|arm| arm.tune));
    let final_ = Counts::sum(arms.iter().map(|arm| arm.final_));
    Head {
        name: spec.name.clone(),
        description: spec.description.as_ref().map(|text| text.trim().to_owned()),
        dir: sweep.dir().display().to_string(),
        state: sweep.course().name(),
        killed: sweep.course() == Course::Stopped { killed: true },
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

#[derive(Serialize)]
struct TableView {
    title: String,
    caption: String,
    /// The corner first.
    headings: Vec<String>,
    rows: Vec<RowView>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct RowView {
    label: String,
    cells: Vec<CellView>,
}

#[derive(Serialize)]
struct CellView {
    text: Option<String>,
    /// `3/5`, where trials are still missing.
    partial: Option<String>,
    published: bool,
}

fn tables(sweep: &Sweep) -> Vec<TableView> {
    let (spec, evaluation) = (sweep.spec(), sweep.evaluation());
    let mixed = note_on_versions(spec, evaluation, sweep.rows(), sweep.versions());
    let tables = [
        Some(table_one(spec, evaluation)),
        table_two(spec, evaluation, sweep.devices()),
    ];
    let noted = tables.into_iter().flatten().map(|mut table| {
        table.notes.extend(mixed.clone());
        table
    });
    noted.map(view).collect()
}

fn view(table: Table) -> TableView {
    let cell = |figure: Option<&Figure>| CellView {
        text: figure.map(|figure| figure.numbers(" ± ")),
        partial: figure.and_then(|figure| partial(figure.n?, figure.planned?)),
        published: figure.is_some_and(|figure| figure.as_published),
    };
    let rows = table.rows.iter().map(|row| RowView {
        label: row.label.clone(),
        cells: table.figures(row).map(cell).collect(),
    });
    TableView {
        headings: table.headings(),
        rows: rows.collect(),
        title: table.title.clone(),
        caption: table.caption.clone(),
        notes: table.notes.clone(),
    }
}

/// How a group that lacks trials is marked.
fn partial(n: u32, planned: u32) -> Option<String> {
    (n != planned).then(|| format!("{n}/{planned}"))
}

#[derive(Serialize)]
struct Leaders {
    arm: String,
    label: String,
    /// Points with a result.
    points: u64,
    best: Vec<Leader>,
}

#[derive(Serialize)]
struct Leader {
    point: String,
    values: String,
    /// The mean over the tuning seeds that are done, with its deviation.
    text: String,
    mean: Real,
    partial: Option<String>,
    selected: bool,
}

/// The best points of each arm so far, also of those that lack a seed.
fn leaders(sweep: &Sweep) -> Vec<Leaders> {
    let (spec, grid, evaluation) = (sweep.spec(), sweep.grid(), sweep.evaluation());
    let metric = &spec.metric;
    let seeds = spec.seeds.tune.len() as u32;
    let low = |stat: Stat| match metric.goal {
        _ if !stat.mean.is_finite() => f64::INFINITY,
        Goal::Maximize => -stat.mean,
        Goal::Minimize => stat.mean,
    };
    // Of equal means the one over more seeds says more.
    let worse = |a: &(f64, &PointStats, Stat), b: &(f64, &PointStats, Stat)| {
        a.0.total_cmp(&b.0)
            .then(b.2.n.cmp(&a.2.n))
            .then(a.1.index.cmp(&b.1.index))
    };
    let of_arm = |(arm, points): (usize, &[PointStats])| {
        let figures = points
            .iter()
            .filter_map(|point| Some((point, *point.stats.get(&metric.name)?)));
        let mut found: Vec<(f64, &PointStats, Stat)> = figures
            .map(|(point, stat)| (low(stat), point, stat))
            .collect();
        let count = found.len() as u64;
        if found.len() > LEADERS {
            found.select_nth_unstable_by(LEADERS, worse);
            found.truncate(LEADERS);
        }
        found.sort_by(worse);
        let best = found.into_iter().map(|(_, point, stat)| {
            let trial = grid.arms()[arm].point(point.index);
            Leader {
                point: trial.id.to_string(),
                values: sweep.names().values_at(arm, point.index),
                text: mean_std(stat),
                mean: Real(stat.mean),
                partial: partial(stat.n, seeds),
                selected: evaluation.arms[arm].selection.best == Some(point.index),
            }
        });
        Leaders {
            arm: spec.arms[arm].name.clone(),
            label: spec.arms[arm].label.clone(),
            points: count,
            best: best.collect(),
        }
    };
    by_arm(evaluation, spec.arms.len())
        .enumerate()
        .map(of_arm)
        .collect()
}

/// The points that have a result, arm by arm.
pub fn by_arm(evaluation: &Evaluation, arms: usize) -> impl Iterator<Item = &[PointStats]> {
    (0..arms).map(|arm| {
        let begin = evaluation.points.partition_point(|point| point.arm < arm);
        let end = evaluation
            .points
            .partition_point(|point| point.arm.cmp(&arm) != Ordering::Greater);
        &evaluation.points[begin..end]
    })
}

#[derive(Serialize)]
struct RunningView {
    trial: String,
    label: String,
    values: String,
    seed: u64,
    phase: &'static str,
    epoch: Option<Place>,
    /// The step, where its history is by steps.
    step: Option<Place>,
    /// How many epochs it is to have, where a parameter says so.
    epochs: Option<i64>,
    metric: Option<Real>,
    /// Milliseconds since 1970.
    started: i64,
    slot: Option<u32>,
    device: Option<String>,
}

fn running(sweep: &Sweep) -> Vec<RunningView> {
    let view = |running: &crate::monitor::Running| {
        let trial = &running.trial;
        let config = sweep.grid().arms()[trial.arm].config(trial.index);
        RunningView {
            trial: trial.id.to_string(),
            label: sweep.names().arm(trial.arm).to_owned(),
            values: sweep.names().values(trial),
            seed: trial.id.seed,
            phase: trial.phase.name(),
            epoch: running
                .epoch
                .as_ref()
                .and_then(|(position, _)| position.of(Unit::Epoch)),
            step: running
                .epoch
                .as_ref()
                .and_then(|(position, _)| position.of(Unit::Step)),
            epochs: match config.get("epochs") {
                Some(ParamValue::Int(epochs)) => Some(*epochs),
                _ => None,
            },
            metric: running
                .epoch
                .as_ref()
                .and_then(|(_, metrics)| metrics.get(&sweep.spec().metric.name))
                .map(Real),
            started: running.started,
            slot: running.slot.as_ref().map(|(slot, _)| *slot),
            device: running.slot.as_ref().map(|(_, device)| device.clone()),
        }
    };
    sweep.running().map(view).collect()
}

#[derive(Serialize)]
struct FailureView {
    kind: &'static str,
    /// The kind in words.
    name: String,
    for_good: usize,
    again: u64,
    message: String,
    examples: Vec<String>,
}

fn failures(sweep: &Sweep) -> Vec<FailureView> {
    let view = |found: crate::monitor::Failures| FailureView {
        kind: found.kind.name(),
        name: found.kind.to_string(),
        for_good: found.for_good.len(),
        again: found.again,
        message: found.message,
        examples: found
            .for_good
            .iter()
            .take(EXAMPLES)
            .map(ToString::to_string)
            .collect(),
    };
    sweep.failures().into_iter().map(view).collect()
}

#[derive(Serialize)]
struct Device {
    slot: usize,
    /// As `--devices` names it.
    place: String,
    /// As the worker names it.
    device: Option<String>,
    /// Trials that it ended well, and the seconds that they took.
    done: u64,
    seconds: f64,
    /// What runs on it.
    trials: Vec<String>,
}

fn devices(sweep: &Sweep) -> Vec<Device> {
    let work = sweep.work();
    let on = |slot: usize| {
        let here = sweep.running().filter(move |running| {
            running
                .slot
                .as_ref()
                .is_some_and(|(at, _)| *at as usize == slot)
        });
        here.map(|running| running.trial.id.to_string()).collect()
    };
    let device = |(slot, place): (usize, &str)| {
        let own = work.get(&(slot as u32));
        Device {
            slot,
            place: place.to_owned(),
            device: own.map(|work| work.device.clone()),
            done: own.map_or(0, |work| work.done),
            seconds: own.map_or(0.0, |work| work.seconds),
            trials: on(slot),
        }
    };
    sweep.slots().into_iter().enumerate().map(device).collect()
}
