//! Progress on a terminal: a bar for the phase, one for each arm, and a line for each running
//! trial. What there is to show is kept here; the terminal's own thread asks for it when it draws,
//! so that a terminal that takes nothing never keeps the scheduler waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::counts::{Progress, human_duration};
use super::names::Names;
use super::plain::line;
use crate::plan::PlannedTrial;
use crate::printable::one_line;
use crate::protocol::Position;
use crate::schedule::{Notice, Observer};

/// Running trials that are shown; a machine with more slots shows the first.
const SHOWN_TRIALS: usize = 16;

/// What a terminal shows of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// The phase as a whole, then each arm.
    pub bars: Vec<Bar>,
    /// The trials that run.
    pub trials: Vec<String>,
}

/// A bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it is of; all of a board are equally wide.
    pub name: String,
    /// How much there is.
    pub all: u64,
    /// How much of it has ended.
    pub ended: u64,
    /// What else there is to say.
    pub message: String,
}

/// An observer that keeps what the bars show, and hands lasting lines to `write`.
pub struct Bars<W> {
    state: Arc<Mutex<State>>,
    write: W,
}

struct State {
    names: Names,
    progress: Progress,
    /// Whether a phase is under way.
    shown: bool,
    /// What each slot is at.
    trials: BTreeMap<usize, Running>,
    began: Instant,
}

/// A trial that runs.
struct Running {
    trial: PlannedTrial,
    /// Its last epoch, and what the metric was after it.
    epoch: Option<(Position, Option<f64>)>,
}

impl<W: Fn(&str)> Bars<W> {
    /// Nothing is shown before the first phase.
    pub fn new(names: Names, write: W) -> Self {
        let progress = Progress::default();
        let state = State {
            names,
            progress,
            shown: false,
            trials: BTreeMap::new(),
            began: Instant::now(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            write,
        }
    }

    /// Gives what is to be shown, whenever it is called, from any thread.
    pub fn source(&self) -> impl Fn() -> Board + Send + Sync + use<W> {
        let state = Arc::clone(&self.state);
        move || lock(&state).board()
    }
}

/// The state, whole even after a panic: each change of it is complete when the lock is given back.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn update(&mut self, notice: &Notice) {
        self.progress.update(self.began.elapsed(), notice);
        match notice {
            Notice::PhaseStarted { .. } => {
                self.shown = true;
                self.trials.clear();
            }
            Notice::PhaseEnded { .. } => {
                self.shown = false;
                self.trials.clear();
            }
            Notice::TrialStarted { slot, trial } => drop(self.trials.insert(
                *slot,
                Running {
                    trial: *trial,
                    epoch: None,
                },
            )),
            Notice::Epoch {
                slot,
                trial,
                position,
                values,
            } => {
                let metric = values.get(&self.names.metric);
                self.trials.insert(
                    *slot,
                    Running {
                        trial: *trial,
                        epoch: Some((*position, metric)),
                    },
                );
            }
            Notice::TrialDone { slot, .. } | Notice::TrialFailed { slot, .. } => {
                drop(self.trials.remove(slot))
            }
            _ => {}
        }
    }

    fn board(&self) -> Board {
        if !self.shown {
            return Board::default();
        }
        let arms = 0..self.progress.arms.len();
        let phase = self
            .progress
            .phase
            .map_or(String::new(), |phase| phase.to_string());
        let width = arms
            .clone()
            .map(|arm| self.names.arm(arm).chars().count())
            .max()
            .unwrap_or(0);
        let bar = |name: &str, all: u64, left: u64, message: String| {
            let name = one_line(name);
            Bar {
                name: format!("{name:<width$}"),
                all,
                ended: all - left,
                message: one_line(&message).into_owned(),
            }
        };
        let total = bar(
            &phase,
            self.progress.all(),
            self.progress.left(),
            self.message(),
        );
        let each = arms.map(|arm| {
            let state = &self.progress.arms[arm];
            let counts = [(state.failed, "failed"), (state.pruned, "pruned")];
            let parts = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"));
            bar(
                self.names.arm(arm),
                state.all,
                state.left(),
                parts.collect::<Vec<_>>().join(" · "),
            )
        });
        let trial = |running: &Running| {
            let Running { trial, epoch } = running;
            let metric = |value: f64| format!(", {} {value:.2}", self.names.metric);
            let how_far = epoch.map(|(position, value)| {
                format!(": {position}{}", value.map_or(String::new(), metric))
            });
            one_line(&format!(
                "{} {}{}",
                trial.id,
                self.names.trial(trial),
                how_far.unwrap_or_default()
            ))
            .into_owned()
        };
        let shown = self
            .trials
            .range(..SHOWN_TRIALS)
            .map(|(_, running)| running);
        Board {
            bars: std::iter::once(total).chain(each).collect(),
            trials: shown.map(trial).collect(),
        }
    }

    /// What the bar of the phase says.
    fn message(&self) -> String {
        let progress = &self.progress;
        let mut parts = Vec::new();
        if progress.failed() > 0 {
            parts.push(format!("{} failed", progress.failed()));
        }
        if progress.pruned() > 0 {
            parts.push(format!("{} pruned", progress.pruned()));
        }
        parts.extend(progress.waiting_line());
        parts.extend(
            progress
                .per_minute(self.began.elapsed())
                .map(|rate| format!("{rate:.1} trials/min")),
        );
        parts.extend(
            progress
                .time_left()
                .map(|left| format!("about {} left", human_duration(left))),
        );
        parts.join(" · ")
    }
}

impl<W: Fn(&str)> Observer for Bars<W> {
    fn notice(&mut self, notice: &Notice) {
        let mut state = lock(&self.state);
        state.update(notice);
        let lasting = matches!(
            notice,
            Notice::TrialFailed { .. }
                | Notice::WorkerLost { .. }
                | Notice::RaceOff { .. }
                | Notice::Noted { .. }
                | Notice::PhaseEnded { .. }
                | Notice::Shortage { .. }
                | Notice::ShortageOver { .. }
                | Notice::OutOfTime { .. }
                | Notice::LedgerLocked { .. }
                | Notice::LedgerFree
                | Notice::Stopping { .. }
        );
        let text = lasting
            .then(|| line(&state.names, &state.progress, notice))
            .flatten();
        drop(state);
        if let Some(text) = text {
            (self.write)(&text);
        }
    }
}

impl<W> Drop for Bars<W> {
    fn drop(&mut self) {
        lock(&self.state).shown = false;
    }
}
