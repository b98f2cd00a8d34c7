//! The state of a sweep, as its ledger tells it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;

use super::error::MonitorError;
use super::records::{LatestAttempt, RunningTrial, SlotWork};
use crate::aggregate::{Evaluation, Tracker};
use crate::grid::{ArmIndex, Grid, PointIndex, TrialId};
use crate::ledger::{
    Follower, Holder, LedgerError, Reader, SessionRow, TrialRow, TrialState, Update, Versions,
};
use crate::plan::{Phase, PlannedTrial, final_trials, tuning_trials};
use crate::progress::{Names, SlotTimes};
use crate::spec::{self, Spec};

/// Whether a sweep runs, is finished, or has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A coordinator is running it.
    Running,
    /// Every planned trial has ended.
    Finished,
    /// Trials are left, but no coordinator is there.
    Stopped {
        /// Whether the last coordinator did not record its end: it was killed, or its machine went
        /// down.
        killed: bool,
    },
}

impl Status {
    /// The name in `status --json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped { .. } => "stopped",
        }
    }
}

/// A sweep, kept up to date from its ledger.
#[derive(Debug)]
pub struct Sweep {
    follower: Follower,
    names: Names,
    pub(super) tracker: Tracker,
    pub(super) holder: Option<Holder>,
    session: Option<SessionRow>,
    waiting: Vec<(String, u64)>,
    versions: Versions,
    tune: Vec<PlannedTrial>,
    finals: Vec<PlannedTrial>,
    pub(super) latest: HashMap<TrialId, LatestAttempt>,
    /// The trials that run, by the number of the attempt.
    pub(super) running: BTreeMap<i64, RunningTrial>,
    /// Trials that failed and have no retries left.
    pub(super) failed: BTreeSet<TrialId>,
    /// Trials whose latest attempt failed, whether or not they will be retried.
    pub(super) failing: BTreeSet<TrialId>,
    /// By arm: the number of trials that succeeded, and the sum of their durations in seconds.
    pub(super) measured: Vec<(u64, f64)>,
    pub(super) slot_times: SlotTimes,
    /// When the last successful trials ended, as the ledger writes it. Parsed on demand, since few
    /// of a hundred thousand are asked for.
    pub(super) recent_ends: VecDeque<String>,
    pub(super) slot_work: BTreeMap<u32, SlotWork>,
    /// The devices on which trials have succeeded, as the report names them, sorted.
    pub(super) devices: Vec<String>,
}

impl Sweep {
    /// Reads a run directory.
    ///
    /// # Errors
    /// `MonitorError`.
    pub fn open(dir: &Path) -> Result<Self, MonitorError> {
        let mut follower = Follower::new(dir)?;
        let Some(update) = follower.poll()? else {
            return Err(LedgerError::Absent(dir.to_owned()).into());
        };
        Self::new(follower, update)?.with_durations()
    }

    /// Reads a run directory for a caller that will not refresh it.
    ///
    /// Only the attempts are read that have not ended or belong to failed trials. So nothing is
    /// known about what slots have done, nor about the throughput.
    ///
    /// # Errors
    /// `MonitorError`.
    pub fn snapshot(dir: &Path) -> Result<Self, MonitorError> {
        let follower = Follower::new(dir)?;
        let update = follower.snapshot()?;
        Self::new(follower, update)?.with_durations()
    }

    /// Asks the ledger how long trials have taken so far. A finished sweep needs no estimate.
    fn with_durations(mut self) -> Result<Self, MonitorError> {
        if !self.evaluation().is_complete() {
            let durations = self.reader()?.durations()?;
            self.measured = self
                .spec()
                .arms
                .iter()
                .map(|arm| durations.get(&arm.name).copied().unwrap_or_default())
                .collect();
        }
        Ok(self)
    }

    /// Reads what is new in the ledger. Returns whether anything has changed.
    ///
    /// # Errors
    /// `MonitorError`; the sweep is then as it was, and the next call tries again.
    pub fn refresh(&mut self) -> Result<bool, MonitorError> {
        let Some(update) = self.follower.poll()? else {
            return Ok(false);
        };
        if update.is_whole {
            *self = Self::new(self.follower.clone(), update)?;
            return Ok(true);
        }

        // Some changes of the file, such as a checkpoint, change nothing that is shown.
        let changed = !update.attempts.is_empty()
            || update.holder != self.holder
            || update.session != self.session
            || update.waiting != self.waiting;
        let coordinator_left = self.holder.is_some() && update.holder.is_none();
        self.waiting = update.waiting;
        self.holder = update.holder;
        self.session = update.session;

        let mut rows = Vec::new();
        if coordinator_left {
            // Nothing runs any more. What the ledger says about these trials comes after, and wins.
            rows.extend(self.running_rows());
        }
        rows.extend(update.trials);
        if self.holder.is_none() {
            release_running(&mut rows);
        }
        self.record_failed(&rows);

        // The final trials of the plan depend on the points that are selected.
        let selected_before = self.evaluation().selected();
        self.tracker.update(rows)?;
        self.record_attempts(update.attempts, update.epochs);
        if selected_before != self.evaluation().selected() {
            self.finals = final_trials(
                self.grid(),
                &self.evaluation().selected(),
                &self.spec().seeds.final_,
            );
        }
        Ok(changed)
    }

    fn new(follower: Follower, update: Update) -> Result<Self, MonitorError> {
        let spec = read_spec(follower.dir(), &update.spec.unwrap_or_default())?;
        let grid = Grid::new(&spec);
        let names = Names::new(&spec, &grid);
        let tune = tuning_trials(&grid, &spec.seeds.tune);
        let measured = vec![(0, 0.0); spec.arms.len()];

        let mut rows = update.trials;
        if update.holder.is_none() {
            release_running(&mut rows);
        }
        let failed = rows
            .iter()
            .filter(|row| row.state == TrialState::Failed)
            .map(|row| row.id)
            .collect();
        let rows = rows.into_iter().map(|row| (row.id, row)).collect();
        let tracker = Tracker::new(spec, grid, rows)?;
        let finals = final_trials(
            tracker.grid(),
            &tracker.evaluation().selected(),
            &tracker.spec().seeds.final_,
        );

        let mut sweep = Self {
            follower,
            names,
            tracker,
            holder: update.holder,
            session: update.session,
            waiting: update.waiting,
            versions: update.versions,
            tune,
            finals,
            latest: HashMap::new(),
            running: BTreeMap::new(),
            failed,
            failing: BTreeSet::new(),
            measured,
            slot_times: SlotTimes::default(),
            recent_ends: VecDeque::new(),
            slot_work: BTreeMap::new(),
            devices: Vec::new(),
        };

        sweep.record_attempts(update.attempts, update.epochs);
        Ok(sweep)
    }

    /// The rows of the trials that were running.
    fn running_rows(&self) -> impl Iterator<Item = TrialRow> {
        self.tracker
            .rows()
            .values()
            .filter(|row| row.state == TrialState::Running)
            .cloned()
    }

    fn record_failed(&mut self, rows: &[TrialRow]) {
        for row in rows {
            if row.state == TrialState::Failed {
                self.failed.insert(row.id);
            } else {
                self.failed.remove(&row.id);
            }
        }
    }

    /// Finds a trial of the plan by its id; None if the sweep file in force does not have it.
    pub fn planned(&self, id: TrialId) -> Option<PlannedTrial> {
        let (arm, index) = *self.tracker.places(id.point).first()?;
        let seeds = &self.spec().seeds;
        let phase = if seeds.tune.contains(&id.seed) {
            Phase::Tune
        } else if seeds.final_.contains(&id.seed) {
            Phase::Final
        } else {
            return None;
        };

        Some(PlannedTrial {
            id,
            phase,
            arm: ArmIndex(arm),
            index: PointIndex(index),
            group: None,
        })
    }

    /// The trials of the plan: the tuning trials, then the final trials of the points that are
    /// selected now.
    pub fn trials(&self) -> impl Iterator<Item = &PlannedTrial> {
        self.tune.iter().chain(&self.finals)
    }

    /// The state of a planned trial, as lists name it.
    pub fn state_of(&self, trial: &PlannedTrial) -> &'static str {
        let row = self.tracker.rows().get(&trial.id);
        if self.evaluation().is_pruned(trial, row) {
            "pruned"
        } else {
            row.map_or(TrialState::Waiting, |row| row.state).name()
        }
    }

    /// The trials of the plan that failed and have no retries left. Most sweeps have none; then the
    /// plan is not searched.
    pub fn failed(&self) -> impl Iterator<Item = &PlannedTrial> {
        let any = !self.failed.is_empty();
        self.trials()
            .take_while(move |_| any)
            .filter(|trial| self.failed.contains(&trial.id))
    }

    /// The row of a trial, if it was ever started.
    pub fn row(&self, id: TrialId) -> Option<&TrialRow> {
        self.tracker.rows().get(&id)
    }

    /// The rows of all trials that were ever started.
    pub fn rows(&self) -> &HashMap<TrialId, TrialRow> {
        self.tracker.rows()
    }

    /// The versions of what is trained, and which of them trained each finished trial.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The latest attempt at a trial.
    pub fn latest(&self, id: TrialId) -> Option<&LatestAttempt> {
        self.latest.get(&id)
    }

    /// The trials that run, in the order in which they began.
    pub fn running(&self) -> impl ExactSizeIterator<Item = &RunningTrial> {
        self.running.values()
    }

    /// The sweep file in force.
    pub fn spec(&self) -> &Spec {
        self.tracker.spec()
    }

    /// Its grid.
    pub fn grid(&self) -> &Grid {
        self.tracker.grid()
    }

    /// Statistics of the sweep, and the selected points.
    pub fn evaluation(&self) -> &Evaluation {
        self.tracker.evaluation()
    }

    /// The names of its trials.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The run directory.
    pub fn dir(&self) -> &Path {
        self.follower.dir()
    }

    /// Opens a reader of its ledger.
    ///
    /// # Errors
    /// The ledger's.
    pub fn reader(&self) -> Result<Reader, LedgerError> {
        self.follower.reader()
    }

    /// The coordinator that runs it.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// What workers wait for in a queue, and how many workers wait for it.
    pub fn waiting(&self) -> &[(String, u64)] {
        &self.waiting
    }

    /// The slots of the last session, by the names of their devices.
    pub fn slots(&self) -> Vec<&str> {
        self.session
            .as_ref()
            .map(|session| session.devices.split_whitespace().collect())
            .unwrap_or_default()
    }

    /// What each slot has done, in all sessions together.
    pub fn slot_work(&self) -> &BTreeMap<u32, SlotWork> {
        &self.slot_work
    }

    /// The devices on which trials have succeeded, as the report names them.
    pub fn devices(&self) -> &[String] {
        &self.devices
    }

    /// How the last run of a coordinator ended, by its name in the ledger; None: it has not, or was
    /// killed.
    pub fn last_outcome(&self) -> Option<&str> {
        self.session.as_ref()?.outcome.as_deref()
    }

    /// Whether it runs, is finished, or has stopped.
    pub fn status(&self) -> Status {
        match &self.holder {
            Some(_) => Status::Running,
            None if self.evaluation().is_complete() => Status::Finished,
            None => Status::Stopped {
                killed: self
                    .session
                    .as_ref()
                    .is_some_and(|session| session.outcome.is_none()),
            },
        }
    }
}

/// Reads the sweep file in a ledger, named after its copy in the run directory.
fn read_spec(dir: &Path, text: &str) -> Result<Spec, MonitorError> {
    // The default name of a sweep is that of its folder, which `.` does not tell.
    let dir = if dir.file_name().is_some() {
        dir.to_owned()
    } else {
        dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
    };
    let name = dir.join("spec.yaml").display().to_string();
    spec::read(text, &name).map_err(|diagnosis| MonitorError::Spec(Box::new(diagnosis)))
}

/// Makes trials wait that a killed coordinator left marked as running.
fn release_running(rows: &mut [TrialRow]) {
    for row in rows {
        if row.state == TrialState::Running {
            row.state = TrialState::Waiting;
        }
    }
}
