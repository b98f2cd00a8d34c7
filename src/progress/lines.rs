//! The text of notices, one line each.

use super::counts::{Progress, human_duration};
use super::names::Names;
use crate::plan::PlannedTrial;
use crate::printable::one_line;
use crate::protocol::{FailureKind, Metrics, Notes, note_text};
use crate::schedule::{Notice, beginning};
use crate::text::{count, form, thousands};

/// Maximum length of a failure's message in a line, in bytes.
pub(super) const MAX_MESSAGE: usize = 400;
/// Maximum number of notes that the warning about them names.
const MAX_NOTES: usize = 3;
/// Maximum length of a note in the warning, in characters.
const MAX_NOTE_LENGTH: usize = 40;

/// Returns the line about a notice; None if there is nothing to say.
pub(super) fn line(names: &Names, progress: &Progress, notice: &Notice) -> Option<String> {
    // Names, values and messages come from files and programs.
    text(names, progress, notice).map(|line| one_line(&line).into_owned())
}

fn text(names: &Names, progress: &Progress, notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::PhaseStarted {
            phase,
            slots,
            timed,
            ..
        } => phase_started(progress, &phase.to_string(), *slots, *timed),
        Notice::TrialDone {
            trial,
            metrics,
            duration,
            ..
        } => trial_done(names, progress, trial, metrics, duration.as_secs_f64()),
        Notice::TrialFailed {
            trial,
            kind,
            message,
            retry_in,
            ..
        } => {
            let then = match retry_in {
                Some(delay) => format!("will be retried in {}", human_duration(*delay)),
                None => "failed, no retries left".to_owned(),
            };
            // `exit: exit code 1: ...` would say it twice.
            let kind = match kind {
                FailureKind::Exit if message.starts_with("exit code ") => String::new(),
                kind => format!("{kind}: "),
            };
            format!(
                "trial {} ({}): {kind}{}; {then}",
                trial.id,
                names.trial(trial),
                shorten(message)
            )
        }
        Notice::Noted { trial, notes } => notes_warning(trial, notes),
        Notice::WorkerLost { slot, how } => format!("worker in slot {slot}: {how}"),
        Notice::Stopping { cut_off } => {
            let running = match cut_off {
                0 => "no trial is running".to_owned(),
                trials => format!(
                    "{} {} cut off and will start again",
                    count(*trials, "running trial"),
                    form(*trials, "is", "are")
                ),
            };
            format!("stopping: {running} (Ctrl-C again to stop without waiting for the workers)")
        }
        Notice::RaceOff { beyond, .. } => {
            format!(
                "{beyond}: `prune: safe` is off, and trials that were held back will run after all"
            )
        }
        Notice::PhaseEnded { .. } if progress.pruned() > 0 => format!(
            "{} of {} did not need to run: their points cannot become the best any more",
            thousands(progress.pruned()),
            count(progress.all(), "tuning trial")
        ),
        Notice::Shortage { why } => {
            format!(
                "shortage: {why}; trials that cannot start are put back and tried again, which \
                 counts as no attempt"
            )
        }
        Notice::ShortageOver { lasted } => {
            format!("trials start again, after {}", human_duration(*lasted))
        }
        Notice::OutOfTime { left } => {
            format!(
                "stopping: the allocation ends in {}, and no trial that is left can finish in it",
                human_duration(*left)
            )
        }
        Notice::LedgerLocked { what, results } => {
            let results = match results {
                0 => "nothing waits to be written yet".to_owned(),
                results => format!(
                    "{} {} in memory",
                    count(*results, "result"),
                    form(*results, "waits", "wait")
                ),
            };
            format!("{what}: trials keep running, {results} until it is free")
        }
        Notice::LedgerFree => "the ledger is free again, and what waited is written".to_owned(),
        Notice::Waits { why: Some(_), .. } => progress.waiting_line()?,
        Notice::Waits { .. }
        | Notice::Pruned { .. }
        | Notice::PhaseEnded { .. }
        | Notice::WorkerReady { .. }
        | Notice::TrialStarted { .. }
        | Notice::Epoch { .. } => return None,
    })
}

/// What there is to do in a phase, and on how many slots.
fn phase_started(progress: &Progress, phase: &str, slots: usize, timed: bool) -> String {
    let mut slots = count(slots, "slot");
    if timed {
        slots.push_str(", one at a time on each device: they are timed (`timed: false` in the sweep file uses all slots)");
    }
    let mut ended = Vec::new();
    if progress.done() > 0 {
        ended.push(format!("{} done", progress.done()));
    }
    if progress.failed() > 0 {
        ended.push(format!(
            "{} failed (--retry-failed runs {} again)",
            progress.failed(),
            form(progress.failed(), "it", "them")
        ));
    }

    let all = count(progress.all(), "trial");
    let ended = ended.join(", ");

    match progress.left() {
        _ if ended.is_empty() => format!("{phase} phase: {all} on {slots}"),
        0 => format!("{phase} phase: {all}: {ended}"),
        left => format!("{phase} phase: {all}: {ended}, {left} to run on {slots}"),
    }
}

/// A trial's metric and duration, and how far the phase is.
fn trial_done(
    names: &Names,
    progress: &Progress,
    trial: &PlannedTrial,
    metrics: &Metrics,
    seconds: f64,
) -> String {
    let width = progress.all().to_string().len();
    let pruned = match progress.pruned() {
        0 => String::new(),
        pruned => format!(", {pruned} pruned"),
    };
    let metric = match metrics.get(&names.metric) {
        Some(value) => format!("{} {value:.4}, ", names.metric),
        None => String::new(),
    };
    let left = match progress.time_left() {
        Some(left) if !left.is_zero() => format!(", about {} left", human_duration(left)),
        _ => String::new(),
    };

    format!(
        "[{:>width$}/{}{pruned}] {} {}: {metric}{seconds:.1} s{left}",
        progress.done(),
        progress.all(),
        trial.id,
        names.trial(trial),
    )
}

/// The warning about values that are not numbers.
fn notes_warning(trial: &PlannedTrial, notes: &Notes) -> String {
    let shown: Vec<String> = notes
        .iter()
        .take(MAX_NOTES)
        .map(|(name, value)| {
            let value: String = note_text(value).chars().take(MAX_NOTE_LENGTH).collect();
            format!("{name} = {value}")
        })
        .collect();

    let more = if notes.iter().count() > MAX_NOTES {
        ", ..."
    } else {
        ""
    };

    format!(
        "warning: trial {} reported values that are not numbers, which are kept as notes and not \
         as metrics: {}{more}; this is said \
         once for the sweep",
        trial.id,
        shown.join(", ")
    )
}

/// The beginning of a failure's message.
fn shorten(message: &str) -> String {
    let shown = beginning(message, MAX_MESSAGE);
    if shown.len() == message.len() {
        message.to_owned()
    } else {
        format!("{shown}… (`pentagrid show` has more)")
    }
}
