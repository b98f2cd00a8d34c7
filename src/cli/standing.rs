//! How a sweep stands, as its ledger tells it: for `status`, also as JSON, and for `watch`.

use std::collections::HashMap;

use serde::Serialize;

use crate::aggregate::{Evaluation, Tally};
use crate::grid::Grid;
use crate::monitor::Sweep;
use crate::printable::one_line;
use crate::progress::human_duration;
use crate::protocol::{FailureKind, Place, Unit};
use crate::report::{Selected, ShownVersion, lay_out, not_selected, selected, shown_versions};
use crate::spec::{Prune, Spec};
use crate::text::thousands;

/// How a sweep stands.
#[derive(Serialize)]
pub(super) struct Status {
    sweep: String,
    /// running, finished, or stopped.
    state: &'static str,
    coordinator: Option<crate::ledger::Holder>,
    arms: Vec<ArmStatus>,
    running: Vec<RunningTrial>,
    failed: Vec<FailedTrial>,
    /// The versions of what was trained that stand behind the finished trials.
    versions: Vec<ShownVersion>,
    /// Workers that wait in a queue.
    waiting: Vec<Waiting>,
    /// Seconds left with the slots of the last run, by the durations of this sweep's own trials.
    seconds_left: Option<f64>,
}

#[derive(Serialize)]
struct ArmStatus {
    arm: String,
    label: String,
    tune: Counts,
    #[serde(rename = "final")]
    final_: Counts,
    /// The point that is selected so far, and the values that it is told by.
    selected: Option<SelectedPoint>,
    /// Why none can be selected, although the tuning trials have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_selected: Option<String>,
}

#[derive(Serialize)]
struct SelectedPoint {
    point: String,
    values: String,
}

#[derive(Serialize)]
struct Counts {
    planned: u64,
    done: u64,
    diverged: u64,
    failed: u64,
    running: u64,
    /// Not to be run: their points cannot become the best any more.
    pruned: u64,
}

#[derive(Serialize)]
struct RunningTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    epoch: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Place>,
    metric: Option<f64>,
}

#[derive(Serialize)]
struct Waiting {
    /// What for, in the queue's own words.
    reason: String,
    workers: u64,
}

#[derive(Serialize)]
struct FailedTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    kind: &'static str,
    message: String,
}

/// How a sweep stands, as its ledger tells it.
pub(super) fn gather(sweep: &Sweep) -> Status {
    let spec = sweep.spec();
    let running = sweep.running().map(|running| RunningTrial {
        trial: running.trial.id.to_string(),
        what: sweep.names().trial(&running.trial),
        epoch: running
            .epoch
            .as_ref()
            .and_then(|(position, _)| position.of(Unit::Epoch)),
        step: running
            .epoch
            .as_ref()
            .and_then(|(position, _)| position.of(Unit::Step)),
        metric: running
            .epoch
            .as_ref()
            .and_then(|(_, metrics)| metrics.get(&spec.metric.name)),
    });
    let failed = sweep.failed().map(|trial| {
        let (kind, message) = sweep
            .latest(trial.id)
            .and_then(|last| last.failure.clone())
            .unzip();
        FailedTrial {
            trial: trial.id.to_string(),
            what: sweep.names().trial(trial),
            kind: kind.map(FailureKind::name).unwrap_or_default(),
            message: message.unwrap_or_default(),
        }
    });
    let versions = shown_versions(
        spec,
        sweep.grid(),
        sweep.evaluation(),
        sweep.rows(),
        sweep.versions(),
    );
    Status {
        versions,
        waiting: sweep
            .waiting()
            .iter()
            .map(|(reason, workers)| Waiting {
                reason: reason.clone(),
                workers: *workers,
            })
            .collect(),
        sweep: spec.name.clone(),
        state: sweep.status().name(),
        coordinator: sweep.holder().cloned(),
        arms: arms(spec, sweep.grid(), sweep.evaluation()),
        running: running.collect(),
        failed: failed.collect(),
        seconds_left: sweep.time_left().map(|left| left.total()),
    }
}

fn arms(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Vec<ArmStatus> {
    let mut chosen: HashMap<usize, Selected> = selected(spec, grid, evaluation)
        .into_iter()
        .map(|selected| (selected.arm, selected))
        .collect();
    let counts = |tally: &Tally, planned: u64| Counts {
        planned,
        done: tally.done,
        diverged: tally.diverged,
        failed: tally.failed,
        running: tally.running,
        pruned: tally.pruned,
    };
    evaluation
        .arms
        .iter()
        .map(|arm| ArmStatus {
            arm: spec.arms[arm.arm].name.clone(),
            label: spec.arms[arm.arm].label.clone(),
            tune: counts(&arm.tune_tally, arm.tune_tally.planned),
            final_: counts(&arm.final_tally, spec.seeds.final_.len() as u64),
            selected: chosen.remove(&arm.arm).map(|selected| SelectedPoint {
                point: selected.point,
                values: selected.values,
            }),
            not_selected: not_selected(spec, evaluation, arm),
        })
        .collect()
}

/// The same for people.
pub(super) fn describe(status: &Status, spec: &Spec, dir: &str) -> String {
    let metric_name = one_line(&spec.metric.name);
    let mut out = match (&status.coordinator, status.state) {
        (Some(holder), _) => format!("{}: running ({holder})\n", status.sweep),
        (None, "finished") => format!(
            "{}: finished{}; tables: pentagrid report {dir}\n",
            status.sweep,
            unselected(status)
        ),
        (None, _) => format!(
            "{}: not running; resume with: pentagrid resume {dir}\n",
            status.sweep
        ),
    };
    let races = spec.prune != Prune::None;
    let mut headings: Vec<String> = [
        "Arm",
        "Tuning",
        "Final",
        "Running",
        "Diverged",
        "Failed",
        "Selected so far",
    ]
    .map(str::to_owned)
    .into();
    if races {
        headings.insert(6, "Pruned".to_owned());
    }
    let of = |counts: &Counts| {
        format!(
            "{} of {}",
            thousands(counts.done),
            thousands(counts.planned)
        )
    };
    let rows = status.arms.iter().map(|arm| {
        let mut cells = vec![
            arm.label.clone(),
            of(&arm.tune),
            of(&arm.final_),
            (arm.tune.running + arm.final_.running).to_string(),
            (arm.tune.diverged + arm.final_.diverged).to_string(),
            (arm.tune.failed + arm.final_.failed).to_string(),
            arm.selected
                .as_ref()
                .map_or("—".to_owned(), |selected| selected.values.clone()),
        ];
        if races {
            cells.insert(6, arm.tune.pruned.to_string());
        }
        cells
    });
    out.push_str(&format!(
        "{}\n",
        lay_out(headings, rows, if races { 1..7 } else { 1..6 })
    ));
    for arm in &status.arms {
        if let Some(why) = &arm.not_selected {
            out.push_str(&format!("  {}: {why}\n", arm.label));
        }
    }
    for trial in &status.running {
        let epoch = match (trial.epoch, trial.step) {
            (Some(epoch), _) => format!("epoch {epoch}"),
            (None, Some(step)) => format!("step {step}"),
            (None, None) => "in its first epoch".to_owned(),
        };
        let metric = trial
            .metric
            .map_or(String::new(), |value| format!(", {metric_name} {value:.4}"));
        out.push_str(&format!(
            "  {} ({}): {epoch}{metric}\n",
            trial.trial,
            one_line(&trial.what)
        ));
    }
    for waiting in &status.waiting {
        let them = if waiting.workers == 1 {
            "1 worker is".to_owned()
        } else {
            format!("{} workers are", waiting.workers)
        };
        out.push_str(&format!(
            "  {them} pending: {}\n",
            one_line(&waiting.reason)
        ));
    }
    out.push_str(&versions(&status.versions));
    const MAX_SHOWN_FAILURES: usize = 10;
    for trial in status.failed.iter().take(MAX_SHOWN_FAILURES) {
        out.push_str(&format!(
            "  {} ({}) failed, no retries left: {}: {}\n",
            trial.trial,
            one_line(&trial.what),
            trial.kind.replace('_', " "),
            one_line(&trial.message)
        ));
    }
    if status.failed.len() > MAX_SHOWN_FAILURES {
        out.push_str(&format!(
            "  and {} more: pentagrid trials {dir} --state failed\n",
            status.failed.len() - MAX_SHOWN_FAILURES
        ));
    }
    if let Some(seconds) = status.seconds_left.filter(|seconds| *seconds > 0.0) {
        let left = human_duration(std::time::Duration::from_secs_f64(seconds));
        let with = if status.state == "running" {
            ""
        } else {
            " with the slots of the last run"
        };
        out.push_str(&format!("about {left} left{with}\n"));
    }
    out
}

/// What a finished sweep lacks, if no point is selected of some of its arms.
fn unselected(status: &Status) -> String {
    let count = status
        .arms
        .iter()
        .filter(|arm| arm.not_selected.is_some())
        .count();
    match (count, status.arms.len()) {
        (0, _) => String::new(),
        (_, 1) => ", but no point could be selected".to_owned(),
        (count, all) => format!(", but no point could be selected of {count} of {all} arms"),
    }
}

/// The versions that stand behind the finished trials, if there is more than one.
fn versions(versions: &[ShownVersion]) -> String {
    if versions.len() < 2 {
        return String::new();
    }
    let mut out = format!(
        "  {} versions of what is trained stand behind the finished trials:\n",
        versions.len()
    );
    for version in versions {
        let number = version.version.map_or("not recorded".to_owned(), |number| {
            format!("version {number}")
        });
        let commit = version
            .commit
            .as_ref()
            .map_or(String::new(), |commit| format!(", commit {commit}"));
        let changes = if version.changes.is_empty() {
            String::new()
        } else {
            format!(": {}", version.changes.join("; "))
        };
        out.push_str(&format!(
            "    {number}, {} trials{commit}{changes}\n",
            thousands(version.trials)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::TrialId;
    use crate::ledger::{Consent, LogMark, SessionInfo, WorkerId, Write, Writer, open_for_run};
    use crate::plan::{Fingerprint, Phase, Shared};
    use crate::protocol::{Metrics, Position};
    use crate::sweep::sweep_rows;

    /// A ledger with everything that can become of an attempt, seen while its coordinator is there
    /// and after it has gone.
    #[test]
    fn a_glance_tells_what_a_look_at_every_attempt_tells() {
        let text = "name: t\nworker: [w]\nmetric: {name: m, goal: maximize}\nseeds: {tune: 2, final: 1}\narms:\n  \
                    a: {parameters: {x: {values: [1, 2, 3]}}}\n  b: {parameters: {x: {values: [4, 5]}}}\n";
        let spec = crate::spec::read(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
        let grid = Grid::new(&spec);
        let trial = |arm: usize, index: u64, seed: usize| TrialId {
            point: grid.arms()[arm].point(crate::grid::PointIndex(index)).id,
            seed: spec.seeds.tune[seed],
        };
        let dir = tempfile::tempdir().unwrap();
        let session = SessionInfo {
            holder: crate::ledger::Holder {
                host: "h".into(),
                pid: 1,
                since: "2026-11-24T00:00:00Z".into(),
            },
            boot_id: "boot".into(),
            command: "run".into(),
            version: "1".into(),
            git: None,
            devices: "cpu cpu".into(),
            folder: "/".into(),
        };
        let opened = open_for_run(
            dir.path(),
            sweep_rows(text, &spec, &grid),
            &session,
            Consent::Refuse,
            |_| Fingerprint::default(),
            &|_| (),
        )
        .unwrap();
        let writer = Writer::start(opened.connection, opened.claim.clone(), |_| ());
        let write = |write| writer.send(write);
        let worker = WorkerId(opened.next_worker);
        let phase = Phase::Tune;
        let device = "cpu".to_owned();
        write(Write::WorkerStarted {
            worker,
            session: opened.session,
            slot: 0,
            device,
            pid: 1,
            start_ticks: 1,
            launcher: None,
        });
        let start = |trial| {
            write(Write::TrialStarted {
                trial,
                phase,
                worker,
                log: LogMark {
                    file: "logs/0".into(),
                    offset: 0,
                },
            })
        };
        let metrics = |value: f64| -> Metrics { [("m", value)].into_iter().collect() };
        let done = |trial, seconds: f64| {
            write(Write::TrialDone {
                trial,
                metrics: metrics(seconds).into(),
                shared: Shared::default(),
                log_end: 0,
                // No more than has passed, as they would in a pack.
                duration: seconds / 1000.0,
            });
        };
        let fail = |trial, for_good| {
            let message = format!("it broke, for good: {for_good}");
            write(Write::TrialFailed {
                trial,
                phase,
                kind: FailureKind::Exit,
                message,
                permanent: for_good,
                log_end: 0,
                duration: 8.0,
            });
        };
        for (id, seconds) in [
            (trial(0, 0, 0), 1.0),
            (trial(0, 0, 1), 2.0),
            (trial(1, 0, 0), 4.0),
        ] {
            start(id);
            done(id, seconds);
        }
        // Failed and then well; failed, no retries left; failed and to be tried again; cut off; running
        // with an epoch and without.
        start(trial(0, 1, 0));
        fail(trial(0, 1, 0), false);
        start(trial(0, 1, 0));
        done(trial(0, 1, 0), 3.0);
        start(trial(0, 1, 1));
        fail(trial(0, 1, 1), false);
        start(trial(0, 1, 1));
        fail(trial(0, 1, 1), true);
        start(trial(0, 2, 0));
        fail(trial(0, 2, 0), false);
        start(trial(0, 2, 1));
        write(Write::TrialInterrupted {
            trial: trial(0, 2, 1),
            message: "cut off".into(),
            log_end: 0,
        });
        start(trial(1, 0, 1));
        write(Write::Epoch {
            trial: trial(1, 0, 1),
            position: Position::epoch(3),
            values: metrics(0.5).into(),
        });
        start(trial(1, 1, 0));
        // Gone before it is looked at, and so the ledger is whole.
        drop(writer);

        let compare = || {
            let all =
                serde_json::to_string_pretty(&gather(&Sweep::open(dir.path()).unwrap())).unwrap();
            let glance =
                serde_json::to_string_pretty(&gather(&Sweep::snapshot(dir.path()).unwrap()))
                    .unwrap();
            assert_eq!(glance, all);
            glance
        };
        let held = compare();
        drop(opened.claim);
        let left = compare();
        insta::assert_snapshot!(held);
        assert!(
            left.contains("\"seconds_left\": 0.01") && left.contains("\"running\": []"),
            "{left}"
        );
    }
}
