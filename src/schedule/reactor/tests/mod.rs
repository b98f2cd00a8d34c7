//! The reactor by example, and under random events.

mod devices;
mod failures;
mod lifecycle;
mod limits;
mod postponed;
mod racing;
mod random;
mod remote;
mod sharing;

use super::*;
use crate::grid::{ArmIndex, PointId, PointIndex, TrialId};
use crate::plan::Phase;
use crate::protocol::{FromWorker, Hello, Metrics, PROTOCOL_VERSION};
use crate::spec::{Limit, Limits};

pub(super) fn trial(number: u64) -> PlannedTrial {
    let point = PointId::of_canonical(&number.to_string());
    PlannedTrial {
        id: TrialId { point, seed: 0 },
        phase: Phase::Tune,
        arm: ArmIndex(0),
        index: PointIndex(number),
        group: None,
    }
}

fn reactor(slots: &[usize], bundle: usize) -> Reactor {
    Reactor::new(settings(slots, bundle, Limits::default()))
}

/// A reactor that hands out trials one at a time, with a limit for all arms.
fn limited(slots: &[usize], limit: Limit) -> Reactor {
    let limits = Limits {
        all: limit,
        arms: Vec::new(),
    };
    Reactor::new(settings(slots, 1, limits))
}

fn settings(slots: &[usize], bundle: usize, limits: Limits) -> Settings {
    Settings {
        queued: false,
        agent: false,
        all_end: None,
        longest: Vec::new(),
        slots: slots.to_vec(),
        persistent: true,
        bundle,
        metric: "m".into(),
        finals: None,
        heartbeat: Duration::from_secs(60),
        start: Duration::from_secs(120),
        grace: Duration::from_secs(5),
        shortage: Duration::from_secs(1_000_000),
        limits,
        per_gpu: Vec::new(),
        arms: Vec::new(),
        warned_of_notes: false,
    }
}

fn hello() -> FromWorker {
    FromWorker::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        program: "w".into(),
        version: "1".into(),
        ..Hello::default()
    })
}

fn started(number: u64) -> FromWorker {
    FromWorker::Started {
        trial: trial(number).id.to_string(),
    }
}

fn done(number: u64) -> FromWorker {
    FromWorker::done(
        trial(number).id.to_string(),
        Metrics::from_iter([("m", 1.0)]),
    )
}

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// Names each action in a few words.
fn short(actions: &[Action]) -> String {
    let names: Vec<String> = actions
        .iter()
        .map(short_name)
        .filter(|name| !name.is_empty())
        .collect();
    names.join(", ")
}

fn short_name(action: &Action) -> String {
    match action {
        Action::Spawn { slot } => format!("spawn {slot}"),
        Action::Send {
            slot,
            bundle,
            share,
        } => {
            let trials: Vec<String> = bundle
                .iter()
                .map(|trial| trial.index.0.to_string())
                .collect();
            let shared = if *share { " shared" } else { "" };
            format!("send {slot}:{}{shared}", trials.join("+"))
        }
        Action::End { slot, how } => format!("{how:?} {slot}").to_lowercase(),
        Action::Record(record) => short_record(record),
        Action::Tell(Notice::TrialDone { trial, .. }) => format!("tell done {}", trial.index.0),
        Action::Tell(_) => String::new(),
        Action::PhaseDone => "phase done".to_owned(),
        Action::Stopped => "stopped".to_owned(),
    }
}

fn short_record(record: &Record) -> String {
    match record {
        Record::Started { trial, .. } => format!("record start {}", trial.index.0),
        Record::Epoch { trial, .. } => format!("record epoch {}", trial.index.0),
        Record::Done { trial, .. } => format!("record done {}", trial.index.0),
        Record::Failed {
            trial,
            kind,
            permanent,
            ..
        } => {
            let permanently = if *permanent { " permanently" } else { "" };
            format!("record {} {}{permanently}", kind.name(), trial.index.0)
        }
        Record::Interrupted { trial, .. } => format!("record interrupted {}", trial.index.0),
    }
}
