//! Progress on a terminal: a bar for the phase, a line for each arm, and one for each running trial.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::names::Names;
use super::plain::line;
use super::progress::{Progress, human_duration};
use crate::plan::PlannedTrial;
use crate::schedule::{Notice, Observer};

/// Running trials that are shown; a machine with more slots shows the first.
const SHOWN_TRIALS: usize = 16;

/// Bars, drawn by indicatif.
pub struct Bars {
    names: Names,
    progress: Progress,
    area: MultiProgress,
    total: Option<ProgressBar>,
    arms: Vec<ProgressBar>,
    trials: BTreeMap<usize, ProgressBar>,
    began: Instant,
}

impl Bars {
    /// Bars in an area of the terminal.
    pub fn new(names: Names, area: MultiProgress) -> Self {
        Self {
            names,
            progress: Progress::default(),
            area,
            total: None,
            arms: Vec::new(),
            trials: BTreeMap::new(),
            began: Instant::now(),
        }
    }

    fn begin_phase(&mut self) {
        self.clear();
        let width = self.progress.arms.iter().enumerate().map(|(arm, _)| self.names.arm(arm).chars().count()).max().unwrap_or(0);
        let phase = self.progress.phase.map_or(String::new(), |phase| phase.to_string());
        let total =
            self.area.add(ProgressBar::new(self.progress.all()).with_style(style("{prefix} {bar:30.green} {pos}/{len}  {msg}")));
        total.set_prefix(format!("{phase:<width$}"));
        total.enable_steady_tick(Duration::from_secs(1));
        self.total = Some(total);
        for (arm, state) in self.progress.arms.iter().enumerate() {
            let bar = self.area.add(ProgressBar::new(state.all).with_style(style("{prefix} {bar:30} {pos}/{len}  {msg}")));
            bar.set_prefix(format!("{:<width$}", self.names.arm(arm)));
            self.arms.push(bar);
        }
    }

    fn refresh(&mut self) {
        let now = self.began.elapsed();
        if let Some(total) = &self.total {
            total.set_position(self.progress.all() - self.progress.left());
            let mut parts = Vec::new();
            if self.progress.failed() > 0 {
                parts.push(format!("{} failed", self.progress.failed()));
            }
            if self.progress.pruned() > 0 {
                parts.push(format!("{} pruned", self.progress.pruned()));
            }
            parts.extend(self.progress.waiting_line());
            parts.extend(self.progress.per_minute(now).map(|rate| format!("{rate:.1} trials/min")));
            parts.extend(self.progress.time_left().map(|left| format!("about {} left", human_duration(left))));
            total.set_message(parts.join(" · "));
        }
        for (bar, state) in self.arms.iter().zip(&self.progress.arms) {
            bar.set_position(state.all - state.left());
            let counts = [(state.failed, "failed"), (state.pruned, "pruned")];
            let parts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
            bar.set_message(parts.collect::<Vec<_>>().join(" · "));
        }
    }

    fn show_trial(&mut self, slot: usize, trial: &PlannedTrial, how_far: String) {
        if slot >= SHOWN_TRIALS {
            return;
        }
        let bar = self
            .trials
            .entry(slot)
            .or_insert_with(|| self.area.add(ProgressBar::new_spinner().with_style(style("  {spinner} {msg}"))));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar.set_message(format!("{} {}{how_far}", trial.id, self.names.trial(trial)));
    }

    fn hide_trial(&mut self, slot: usize) {
        if let Some(bar) = self.trials.remove(&slot) {
            bar.finish_and_clear();
        }
    }

    fn clear(&mut self) {
        let bars = self.total.take().into_iter().chain(self.arms.drain(..)).chain(std::mem::take(&mut self.trials).into_values());
        bars.for_each(|bar| bar.finish_and_clear());
    }
}

impl Observer for Bars {
    fn notice(&mut self, notice: &Notice) {
        self.progress.update(self.began.elapsed(), notice);
        match notice {
            Notice::PhaseStarted { .. } => self.begin_phase(),
            Notice::PhaseEnded { .. } => self.clear(),
            Notice::TrialStarted { slot, trial } => self.show_trial(*slot, trial, String::new()),
            Notice::Epoch { slot, trial, epoch, values } => {
                let metric =
                    values.get(&self.names.metric).map_or(String::new(), |value| format!(", {} {value:.2}", self.names.metric));
                self.show_trial(*slot, trial, format!(": epoch {epoch}{metric}"));
            }
            Notice::TrialDone { slot, .. } => self.hide_trial(*slot),
            Notice::TrialFailed { slot, .. } => self.hide_trial(*slot),
            Notice::WorkerReady { .. }
            | Notice::WorkerLost { .. }
            | Notice::Pruned { .. }
            | Notice::RaceOff { .. }
            | Notice::Waits { .. }
            | Notice::Shortage { .. }
            | Notice::ShortageOver { .. }
            | Notice::OutOfTime { .. }
            | Notice::Stopping { .. } => {}
        }
        let lasting = matches!(
            notice,
            Notice::TrialFailed { .. }
                | Notice::WorkerLost { .. }
                | Notice::RaceOff { .. }
                | Notice::PhaseEnded { .. }
                | Notice::Shortage { .. }
                | Notice::ShortageOver { .. }
                | Notice::OutOfTime { .. }
                | Notice::Stopping { .. }
        );
        if let Some(text) = line(&self.names, &self.progress, notice).filter(|_| lasting) {
            // A terminal that has gone away can be told nothing.
            let _ = self.area.println(text);
        }
        self.refresh();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file: one that does not parse is seen at the first run.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}
