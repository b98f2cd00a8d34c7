//! Progress as plain lines, for logs, pipes and CI: a line for each phase, each failure, and for
//! trials that end, at most one a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::counts::{Progress, human_duration};
use super::names::Names;
use crate::grid::TrialId;
use crate::printable::one_line;
use crate::protocol::note_text;
use crate::schedule::{Notice, Observer, beginning};
use crate::text::count;

/// Time between two lines about trials that ended well.
const PACE: Duration = Duration::from_secs(1);

/// How many notes the warning about them names.
const NAMED_NOTES: usize = 3;
/// How much of each it quotes, in characters.
const NOTE_SHOWN: usize = 40;

/// Writes lines through a function that it is given.
pub struct Plain<W> {
    names: Names,
    progress: Progress,
    write: W,
    began: Instant,
    last: Option<Duration>,
    /// What was said last of those that wait.
    waiting: Option<String>,
    /// What was said last of each trial that has failed and is tried again.
    failed: HashMap<TrialId, String>,
}

impl<W: Fn(&str)> Plain<W> {
    /// An observer that hands its lines to `write`.
    pub fn new(names: Names, write: W) -> Self {
        Self {
            names,
            progress: Progress::default(),
            write,
            began: Instant::now(),
            last: None,
            waiting: None,
            failed: HashMap::new(),
        }
    }
}

impl<W: Fn(&str)> Observer for Plain<W> {
    fn notice(&mut self, notice: &Notice) {
        let now = self.began.elapsed();
        self.progress.update(now, notice);
        let is_last = self.progress.left() == 0;
        if let Notice::TrialDone { .. } = notice {
            if !is_last && self.last.is_some_and(|last| now - last < PACE) {
                return;
            }
            self.last = Some(now);
        }
        // As many lines as there are changes, and not as there are workers.
        if let Notice::Waits { .. } = notice {
            let waiting = self.progress.waiting_line();
            if waiting == self.waiting {
                return;
            }
            self.waiting = waiting;
        }
        let repeated = repeat(&mut self.failed, notice);
        if let Some(line) = line(
            &self.names,
            &self.progress,
            repeated.as_ref().unwrap_or(notice),
        ) {
            (self.write)(&line);
        }
    }
}

/// The longest message of a failure that is shown, in bytes.
const MAX_SHOWN: usize = 400;

/// A failure that a trial has had before in the same words, in short. None for all else, which is
/// remembered.
fn repeat(failed: &mut HashMap<TrialId, String>, notice: &Notice) -> Option<Notice> {
    let Notice::TrialFailed {
        slot,
        trial,
        kind,
        message,
        retry_in,
    } = notice
    else {
        return None;
    };
    let known = match retry_in {
        Some(_) => failed.insert(trial.id, message.clone()),
        None => failed.remove(&trial.id),
    };
    let again = known.is_some_and(|known| known == *message) && message.len() > MAX_SHOWN / 4;
    let message = "the same again".to_owned();
    again.then(|| Notice::TrialFailed {
        slot: *slot,
        trial: *trial,
        kind: *kind,
        message,
        retry_in: *retry_in,
    })
}

/// The beginning of a message, and what of it is not shown.
fn shown(message: &str) -> String {
    let cut = beginning(message, MAX_SHOWN);
    if cut.len() == message.len() {
        message.to_owned()
    } else {
        format!("{cut}… (`pentagrid show` has more)")
    }
}

/// What there is to say about a notice in one line.
pub fn line(names: &Names, progress: &Progress, notice: &Notice) -> Option<String> {
    // Names, values and messages come from files and programs.
    words(names, progress, notice).map(|line| one_line(&line).into_owned())
}

fn words(names: &Names, progress: &Progress, notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::PhaseStarted { phase, slots, .. } => {
            let left = progress.left();
            let slots = count(*slots, "slot");
            let mut parts = Vec::new();
            if progress.done() > 0 {
                parts.push(format!("{} done", progress.done()));
            }
            if progress.failed() > 0 {
                parts.push(format!(
                    "{} failed (--retry-failed runs them again)",
                    progress.failed()
                ));
            }
            let all = progress.all();
            match (parts.is_empty(), left) {
                (true, _) => format!("{phase} phase: {all} trials on {slots}"),
                (false, 0) => format!("{phase} phase: {all} trials: {}", parts.join(", ")),
                (false, _) => format!(
                    "{phase} phase: {all} trials: {}, {left} to run on {slots}",
                    parts.join(", ")
                ),
            }
        }
        Notice::TrialDone {
            trial,
            metrics,
            duration,
            ..
        } => {
            let width = progress.all().to_string().len();
            let metric = metrics.get(&names.metric).map_or(String::new(), |value| {
                format!("{} {value:.4}, ", names.metric)
            });
            let left = progress.time_left().filter(|left| !left.is_zero());
            let eta = left.map_or(String::new(), |left| {
                format!(", about {} left", human_duration(left))
            });
            let pruned = match progress.pruned() {
                0 => String::new(),
                pruned => format!(", {pruned} pruned"),
            };
            format!(
                "[{:>width$}/{}{pruned}] {} {}: {metric}{:.1} s{eta}",
                progress.done(),
                progress.all(),
                trial.id,
                names.trial(trial),
                duration.as_secs_f64()
            )
        }
        Notice::TrialFailed {
            trial,
            kind,
            message,
            retry_in,
            ..
        } => {
            let then = match retry_in {
                Some(pause) => format!("will be tried again in {}", human_duration(*pause)),
                None => "failed for good".to_owned(),
            };
            format!(
                "trial {} ({}): {kind}: {}; {then}",
                trial.id,
                names.trial(trial),
                shown(message)
            )
        }
        Notice::Noted { trial, notes } => {
            let shown = notes.iter().take(NAMED_NOTES).map(|(name, value)| {
                let text: String = note_text(value).chars().take(NOTE_SHOWN).collect();
                format!("{name} = {text}")
            });
            let more = if notes.iter().count() > NAMED_NOTES {
                ", ..."
            } else {
                ""
            };
            format!(
                "warning: trial {} reported values that are not numbers, which are kept as notes and not as metrics: {}{more}; this is said \
                 once for the sweep",
                trial.id,
                shown.collect::<Vec<_>>().join(", ")
            )
        }
        Notice::WorkerLost { slot, how } => format!("worker in slot {slot}: {how}"),
        Notice::Stopping { cut_off } => {
            let what = match cut_off {
                0 => "no trial is running".to_owned(),
                1 => "1 running trial is cut off and will start again".to_owned(),
                count => format!("{count} running trials are cut off and will start again"),
            };
            format!("stopping: {what} (Ctrl-C again to stop without waiting for the workers)")
        }
        Notice::RaceOff { beyond, .. } => {
            format!(
                "{beyond}: `prune: safe` is off, and trials that were held back will run after all"
            )
        }
        Notice::PhaseEnded { .. } if progress.pruned() > 0 => format!(
            "{} of {} tuning trials did not need to run: their points cannot become the best any more",
            progress.pruned(),
            progress.all()
        ),
        Notice::Shortage { why } => {
            format!(
                "shortage: {why}; trials that cannot start are put back and tried again, which counts as no attempt"
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
                1 => "1 result waits in memory".to_owned(),
                results => format!("{results} results wait in memory"),
            };
            format!("{what}: trials go on, {results} until it is free")
        }
        Notice::LedgerFree => "the ledger is free again, and what waited is written".to_owned(),
        Notice::Waits { why: Some(_), .. } => progress.waiting_line()?,
        Notice::Waits { .. }
        | Notice::Pruned { .. }
        | Notice::PhaseEnded { .. }
        | Notice::WorkerReady { .. }
        | Notice::TrialStarted { .. }
        | Notice::Epoch { .. } => {
            return None;
        }
    })
}
