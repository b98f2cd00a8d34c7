//! How long a plan will take, and what trials share.

use std::collections::HashMap;

use super::super::planned::{Known, work};
use super::super::trials_left::TrialsLeft;
use crate::grid::{Grid, TrialId};
use crate::ledger::{TrialRow, TrialState};
use crate::plan::{Basis, Bounds, Estimate};
use crate::progress::human_duration;
use crate::spec::Spec;
use crate::text::{count, thousands};

/// The estimated times of both phases, a line each. Nothing for a phase without trials left, or of
/// which nothing is known.
pub(super) fn estimates(
    spec: &Spec,
    grid: &Grid,
    left: &TrialsLeft,
    known: &Known<'_>,
    has_groups: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (phase, trials, slots) in [
        ("tuning", &left.tune, known.slots),
        ("final", &left.finals, known.devices),
    ] {
        if trials.iter().all(|&trials| trials == 0) {
            continue;
        }
        if let Some(estimate) = work(spec, grid, &known.measured, trials) {
            // The durations of finished trials include what they shared.
            let unshared = phase == "tuning" && estimate.basis == Basis::Reference && has_groups;
            let note = if unshared { ", without sharing" } else { "" };
            lines.push(format!("  {phase:<7} {}{note}", time_on(slots, estimate)));
        }
    }
    lines
}

/// How long work takes on several slots, and what that is known from.
fn time_on(slots: usize, estimate: Estimate) -> String {
    let each = estimate.work / slots as u32;
    let time = if each.as_millis() < 500 {
        "less than a second".to_owned()
    } else {
        human_duration(each)
    };
    let place = if slots == 1 {
        "alone on the device".to_owned()
    } else {
        format!("on {}", count(slots, "slot"))
    };
    let basis = match estimate.basis {
        Basis::Measured => "by this sweep's finished trials",
        Basis::Reference => "by a reference machine's speed, so roughly",
    };
    format!("{time} {place}, {basis}")
}

/// What trials have in common, before any has run: bounds of what that saves.
pub(super) fn sharing(bounds: Bounds, seeds: u64) -> String {
    let trials = bounds.points * seeds;
    let groups = bounds.groups * seeds;
    let mut out = format!(
        "Sharing: {} in {} with work in common, which is computed once",
        count(trials, "tuning trial"),
        count(groups, "group")
    );

    if let Some(epochs) = bounds.epochs {
        out.push_str(&format!(
            ":\n  {} to {} different trials; {} to {} times fewer epochs than one by one (off with --no-sharing)",
            thousands(groups),
            thousands(trials),
            factor(epochs.nominal, epochs.most),
            factor(epochs.nominal, epochs.least)
        ));
    }
    out
}

/// What sharing has saved, by the trials that have finished.
pub(super) fn shared_so_far(rows: &HashMap<TrialId, TrialRow>, epochs: u64) -> String {
    let done: Vec<&TrialRow> = rows
        .values()
        .filter(|row| row.state == TrialState::Done)
        .collect();
    if done.is_empty() {
        return "  nothing has finished yet".to_owned();
    }

    let reused = done.iter().filter(|row| row.shared.same_as.is_some());
    let mut out = format!(
        "  so far {} among {}",
        count(done.len() - reused.count(), "different trial"),
        count(done.len(), "finished one")
    );
    if epochs > 0 {
        let shared: u64 = rows.values().map(|row| u64::from(row.shared.epochs)).sum();
        let computed = epochs - shared.min(epochs);
        out.push_str(&format!(
            "; {} of {} computed, {} times fewer",
            thousands(computed),
            count(epochs, "epoch"),
            factor(epochs, computed)
        ));
    }
    out
}

/// How many times more one is than the other, with two digits.
fn factor(more: u64, less: u64) -> String {
    let times = more as f64 / less.max(1) as f64;
    if times < 10.0 {
        format!("{times:.1}")
    } else {
        format!("{times:.0}")
    }
}
