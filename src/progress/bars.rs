//! Progress on a terminal: a bar for the phase, one for each arm, and a line for each running
//! trial. This observer keeps what there is to show; the terminal's own thread asks for it when it
//! draws, so that a blocked terminal never blocks the scheduler.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::counts::{ArmProgress, Progress, human_duration};
use super::lines::line;
use super::names::Names;
use crate::grid::ArmIndex;
use crate::plan::PlannedTrial;
use crate::printable::one_line;
use crate::protocol::Position;
use crate::schedule::{Notice, Observer, SlotIndex};

/// Number of slots whose running trials are shown, from the first slot on.
const SHOWN_SLOTS: usize = 16;

/// What a terminal shows of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// The bar of the phase, then one for each arm.
    pub bars: Vec<Bar>,
    /// The trials that run.
    pub trials: Vec<String>,
}

/// A bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it belongs to. All names of a board are padded to one width.
    pub name: String,
    /// Number of trials.
    pub all: u64,
    /// Number of trials that have ended.
    pub ended: u64,
    /// Text beside the bar.
    pub message: String,
}

/// An observer that keeps what the bars show, and passes lasting lines to `write`.
pub struct Bars<W> {
    state: Arc<Mutex<State>>,
    write: W,
}

struct State {
    names: Names,
    progress: Progress,
    /// Whether a phase is running.
    is_shown: bool,
    /// The trial that runs in each slot.
    trials: BTreeMap<SlotIndex, Running>,
    began: Instant,
}

/// A trial that runs.
struct Running {
    trial: PlannedTrial,
    /// Its last epoch, and the metric after it.
    epoch: Option<(Position, Option<f64>)>,
}

impl<W: Fn(&str)> Bars<W> {
    /// Makes an observer. Nothing is shown before the first phase.
    pub fn new(names: Names, write: W) -> Self {
        let state = State {
            names,
            progress: Progress::default(),
            is_shown: false,
            trials: BTreeMap::new(),
            began: Instant::now(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            write,
        }
    }

    /// Returns a function that any thread can call for what is to be shown now.
    pub fn source(&self) -> impl Fn() -> Board + Send + Sync + use<W> {
        let state = Arc::clone(&self.state);
        move || lock(&state).board()
    }
}

/// Locks the state. It is consistent even after a panic, since every change is complete when the
/// lock is released.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn update(&mut self, notice: &Notice) {
        self.progress.update(self.began.elapsed(), notice);
        match notice {
            Notice::PhaseStarted { .. } => {
                self.is_shown = true;
                self.trials.clear();
            }
            Notice::PhaseEnded { .. } => {
                self.is_shown = false;
                self.trials.clear();
            }
            Notice::TrialStarted { slot, trial } => {
                let running = Running {
                    trial: *trial,
                    epoch: None,
                };
                self.trials.insert(*slot, running);
            }
            Notice::Epoch {
                slot,
                trial,
                position,
                values,
            } => {
                let running = Running {
                    trial: *trial,
                    epoch: Some((*position, values.get(&self.names.metric))),
                };
                self.trials.insert(*slot, running);
            }
            Notice::TrialDone { slot, .. } | Notice::TrialFailed { slot, .. } => {
                self.trials.remove(slot);
            }
            _ => {}
        }
    }

    fn board(&self) -> Board {
        if !self.is_shown {
            return Board::default();
        }

        let arms = &self.progress.arms;
        let width = (0..arms.len())
            .map(|arm| self.names.arm(ArmIndex(arm)).chars().count())
            .max()
            .unwrap_or(0);

        let mut bars = vec![self.phase_bar(width)];
        bars.extend(
            arms.iter()
                .enumerate()
                .map(|(index, arm)| arm_bar(self.names.arm(ArmIndex(index)), width, arm)),
        );
        let trials = self
            .trials
            .range(..SlotIndex(SHOWN_SLOTS))
            .map(|(_, running)| self.trial_line(running))
            .collect();
        Board { bars, trials }
    }

    /// The bar of the phase.
    fn phase_bar(&self, width: usize) -> Bar {
        let phase = self
            .progress
            .phase
            .map_or(String::new(), |phase| phase.to_string());
        let ended = self.progress.all() - self.progress.left();
        bar(&phase, width, self.progress.all(), ended, &self.message())
    }

    /// The text beside the bar of the phase.
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
        if let Some(rate) = progress.per_minute(self.began.elapsed()) {
            parts.push(format!("{rate:.1} trials/min"));
        }
        if let Some(left) = progress.time_left() {
            parts.push(format!("about {} left", human_duration(left)));
        }
        parts.join(" · ")
    }

    /// The line of a running trial.
    fn trial_line(&self, running: &Running) -> String {
        let trial = &running.trial;
        let mut line = format!("{} {}", trial.id, self.names.trial(trial));
        if let Some((position, metric)) = running.epoch {
            line.push_str(&format!(": {position}"));
            if let Some(value) = metric {
                line.push_str(&format!(", {} {value:.2}", self.names.metric));
            }
        }
        one_line(&line).into_owned()
    }
}

/// The bar of an arm.
fn arm_bar(name: &str, width: usize, arm: &ArmProgress) -> Bar {
    let mut parts = Vec::new();
    if arm.failed > 0 {
        parts.push(format!("{} failed", arm.failed));
    }
    if arm.pruned > 0 {
        parts.push(format!("{} pruned", arm.pruned));
    }
    bar(
        name,
        width,
        arm.all,
        arm.all - arm.left(),
        &parts.join(" · "),
    )
}

/// A bar with a padded name. Names and messages come from files and programs.
fn bar(name: &str, width: usize, all: u64, ended: u64, message: &str) -> Bar {
    Bar {
        name: format!("{:<width$}", one_line(name)),
        all,
        ended,
        message: one_line(message).into_owned(),
    }
}

/// Whether a notice is worth a line above the bars.
fn is_lasting(notice: &Notice) -> bool {
    matches!(
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
    )
}

impl<W: Fn(&str)> Observer for Bars<W> {
    fn notice(&mut self, notice: &Notice) {
        let mut state = lock(&self.state);
        state.update(notice);
        let text = if is_lasting(notice) {
            line(&state.names, &state.progress, notice)
        } else {
            None
        };

        // Writing may block, and the drawing thread needs the state.
        drop(state);

        if let Some(text) = text {
            (self.write)(&text);
        }
    }
}

impl<W> Drop for Bars<W> {
    fn drop(&mut self) {
        lock(&self.state).is_shown = false;
    }
}
