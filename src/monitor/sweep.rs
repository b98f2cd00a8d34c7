//! A sweep as its ledger tells it, kept up to date for those who watch from outside: `status`,
//! `watch` and the web page. Works on a running, a finished and a crashed sweep alike, and writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;

use crate::aggregate::{Evaluation, StatsError, Tracker};
use crate::grid::{Grid, TrialId};
use crate::ledger::{
    AttemptNews, Follower, Holder, LedgerError, News, Reader, SessionRow, TrialRow, TrialState,
    Versions,
};
use crate::plan::{Phase, PlannedTrial, estimate, final_trials, tuning_trials};
use crate::progress::{Names, SlotTimes};
use crate::protocol::{FailureKind, Metrics, Position};
use crate::report::device_in_words;
use crate::spec::{self, Config, Diagnosis, Spec};

/// Throughput is told by so many of the last trials.
const RECENT: usize = 200;

/// Why a sweep cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// This version of the program does not accept the spec in it.
    #[error("{0}")]
    Spec(Box<Diagnosis>),
    /// A bug of ours.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

/// How a sweep stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// A coordinator has it.
    Running,
    /// Every planned trial has ended.
    Finished,
    /// Trials are left, and nobody runs them.
    Stopped {
        /// Whether the last coordinator ended without a word: it was killed, or its machine died.
        killed: bool,
    },
}

impl Course {
    /// The name in `status --json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped { .. } => "stopped",
        }
    }
}

/// A sweep.
#[derive(Debug)]
pub struct Sweep {
    follower: Follower,
    names: Names,
    tracker: Tracker,
    holder: Option<Holder>,
    session: Option<SessionRow>,
    waiting: Vec<(String, u64)>,
    versions: Versions,
    tune: Vec<PlannedTrial>,
    finals: Vec<PlannedTrial>,
    last: HashMap<TrialId, Last>,
    running: BTreeMap<i64, Running>,
    failed: BTreeSet<TrialId>,
    /// Trials whose last attempt failed, for good or not.
    failing: BTreeSet<TrialId>,
    /// By arm: how many trials have ended well, and their durations together, in seconds.
    measured: Vec<(u64, f64)>,
    slot_times: SlotTimes,
    /// When the last trials ended well, as the ledger writes it: of a hundred thousand few are
    /// asked for.
    ended: VecDeque<String>,
    work: BTreeMap<u32, Work>,
    /// The devices on which trials have ended well, in the words of the report, in their order.
    devices: Vec<String>,
}

/// What a slot has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// The device, as its last worker named it.
    pub device: String,
    /// Trials that ended well there.
    pub done: u64,
    /// How long they took, in seconds.
    pub seconds: f64,
}

/// The last attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    number: i64,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
    /// If it failed: how, and what was said.
    pub failure: Option<(FailureKind, String)>,
}

/// A trial that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The trial.
    pub trial: PlannedTrial,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// Its slot, and the device's name.
    pub slot: Option<(u32, String)>,
    /// Its last epoch or step, and what was measured at its end.
    pub epoch: Option<(Position, Metrics)>,
}

/// Trials that failed in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Failures {
    /// The way.
    pub kind: FailureKind,
    /// Trials that failed for good so, by id.
    pub for_good: Vec<TrialId>,
    /// Trials that failed so at their last attempt and are tried again.
    pub again: u64,
    /// What the first of them said.
    pub message: String,
}

/// Time left by arm, in seconds, with the slots of the last run; None where nothing is known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeLeft {
    /// Of the tuning trials: they share all slots.
    pub tune: Vec<f64>,
    /// Of the final trials: one at a time on each device.
    pub finals: Vec<f64>,
}

impl TimeLeft {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.tune.iter().chain(&self.finals).sum()
    }
}

impl Sweep {
    /// Reads a run directory.
    ///
    /// # Errors
    /// `WatchError`.
    pub fn open(dir: &Path) -> Result<Self, WatchError> {
        let mut follower = Follower::new(dir)?;
        let Some(news) = follower.look()? else {
            return Err(LedgerError::Absent(dir.to_owned()).into());
        };
        Self::of(follower, news)?.measured()
    }

    /// The same for one look and no second, as `status` takes it: nothing is known of what slots
    /// have done, nor how fast trials end, and of attempts only those that have not ended and those
    /// at trials that failed for good.
    ///
    /// # Errors
    /// `WatchError`.
    pub fn glance(dir: &Path) -> Result<Self, WatchError> {
        let follower = Follower::new(dir)?;
        let news = follower.glance()?;
        Self::of(follower, news)?.measured()
    }

    /// Asks the ledger what trials have taken so far. Of a finished sweep nobody asks how long it
    /// takes.
    fn measured(mut self) -> Result<Self, WatchError> {
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

    /// Takes note of what is new in the ledger; says whether anything is.
    ///
    /// # Errors
    /// `WatchError`; the sweep is then as it was, and the next call tries again.
    pub fn refresh(&mut self) -> Result<bool, WatchError> {
        let Some(news) = self.follower.look()? else {
            return Ok(false);
        };
        if news.whole {
            *self = Self::of(self.follower.clone(), news)?;
            return Ok(true);
        }
        let changed = !news.attempts.is_empty()
            || news.holder != self.holder
            || news.session != self.session
            || news.waiting != self.waiting;
        self.waiting = news.waiting;
        let left = self.holder.is_some() && news.holder.is_none();
        self.holder = news.holder;
        self.session = news.session;
        let before = self.evaluation().selected();
        let mut rows = Vec::new();
        if left {
            // Nobody runs these any more; what the ledger says of them now comes after, and wins.
            rows.extend(
                self.tracker
                    .rows()
                    .values()
                    .filter(|row| row.state == TrialState::Running)
                    .cloned(),
            );
        }
        rows.extend(news.trials);
        settle(&mut rows, self.holder.is_some());
        self.note_failed(&rows);
        self.tracker.update(rows)?;
        self.note_attempts(
            news.attempts,
            news.epochs
                .into_iter()
                .map(|row| (row.id, (row.position, row.metrics)))
                .collect(),
        );
        if before != self.evaluation().selected() {
            self.finals = final_trials(
                self.grid(),
                &self.evaluation().selected(),
                &self.spec().seeds.final_,
            );
        }
        Ok(changed)
    }

    fn of(follower: Follower, news: News) -> Result<Self, WatchError> {
        let dir = follower.dir();
        // A folder that is given as `.` has a name all the same, which may be the sweep's.
        let dir = if dir.file_name().is_some() {
            dir.to_owned()
        } else {
            dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
        };
        let name = dir.join("spec.yaml").display().to_string();
        let text = news.spec.unwrap_or_default();
        let spec =
            spec::read(&text, &name).map_err(|diagnosis| WatchError::Spec(Box::new(diagnosis)))?;
        let grid = Grid::new(&spec);
        let mut rows = news.trials;
        settle(&mut rows, news.holder.is_some());
        let names = Names::new(&spec, &grid);
        let measured = vec![(0, 0.0); spec.arms.len()];
        let tune = tuning_trials(&grid, &spec.seeds.tune);
        let failed = rows
            .iter()
            .filter(|row| row.state == TrialState::Failed)
            .map(|row| row.id)
            .collect();
        let tracker = Tracker::new(
            spec,
            grid,
            rows.into_iter().map(|row| (row.id, row)).collect(),
        )?;
        let finals = final_trials(
            tracker.grid(),
            &tracker.evaluation().selected(),
            &tracker.spec().seeds.final_,
        );
        let mut sweep = Self {
            follower,
            names,
            tracker,
            holder: news.holder,
            session: news.session,
            waiting: news.waiting,
            versions: news.versions,
            tune,
            finals,
            last: HashMap::new(),
            running: BTreeMap::new(),
            failed,
            failing: BTreeSet::new(),
            measured,
            slot_times: SlotTimes::default(),
            ended: VecDeque::new(),
            work: BTreeMap::new(),
            devices: Vec::new(),
        };
        sweep.note_attempts(
            news.attempts,
            news.epochs
                .into_iter()
                .map(|row| (row.id, (row.position, row.metrics)))
                .collect(),
        );
        Ok(sweep)
    }

    fn note_failed(&mut self, rows: &[TrialRow]) {
        for row in rows {
            match row.state {
                TrialState::Failed => self.failed.insert(row.id),
                _ => self.failed.remove(&row.id),
            };
        }
    }

    fn note_attempts(
        &mut self,
        attempts: Vec<AttemptNews>,
        mut epochs: HashMap<TrialId, (Position, Metrics)>,
    ) {
        for attempt in attempts {
            let started = milliseconds(&attempt.started_at);
            if let Some((slot, device)) = &attempt.slot {
                let work = self.work.entry(*slot).or_default();
                work.device.clone_from(device);
                if attempt.outcome == "done" {
                    work.done += 1;
                    work.seconds += attempt.duration.unwrap_or(0.0);
                    let words = device_in_words(device, attempt.threads);
                    if let Err(place) = self.devices.binary_search(&words) {
                        self.devices.insert(place, words);
                    }
                }
            }
            self.running.remove(&attempt.number);
            if attempt.ended_at.is_none() && self.holder.is_some() {
                if let Some(trial) = self.planned(attempt.trial) {
                    let epoch = epochs.remove(&attempt.trial);
                    self.running.insert(
                        attempt.number,
                        Running {
                            trial,
                            started,
                            slot: attempt.slot.clone(),
                            epoch,
                        },
                    );
                }
            } else if attempt.outcome == "done" {
                if let Some(seconds) = attempt.duration {
                    let end = attempt.ended_at.as_deref().map_or(0, milliseconds);
                    let slot = attempt.slot.as_ref().map_or(0, |(slot, _)| *slot);
                    let seconds = self.slot_times.share_of(slot, end, seconds);
                    for &(arm, _) in self.tracker.places(attempt.trial.point) {
                        self.measured[arm] =
                            (self.measured[arm].0 + 1, self.measured[arm].1 + seconds);
                    }
                }
                if let Some(at) = attempt.ended_at {
                    self.ended.push_back(at);
                    if self.ended.len() > RECENT {
                        self.ended.pop_front();
                    }
                }
            }
            let failure = (attempt.outcome == "failed").then(|| {
                (
                    attempt.kind.unwrap_or(FailureKind::Error),
                    attempt.message.unwrap_or_default(),
                )
            });
            let last = Last {
                number: attempt.number,
                started,
                duration: attempt.duration,
                failure,
            };
            match self.last.get(&attempt.trial) {
                Some(known) if known.number > last.number => {}
                _ => {
                    match last.failure {
                        Some(_) => self.failing.insert(attempt.trial),
                        None => self.failing.remove(&attempt.trial),
                    };
                    self.last.insert(attempt.trial, last);
                }
            }
        }
        if self.holder.is_none() {
            self.running.clear();
        }
    }

    /// A trial of the plan by its id; None: the spec in force has it not.
    pub fn planned(&self, id: TrialId) -> Option<PlannedTrial> {
        let (arm, index) = *self.tracker.places(id.point).first()?;
        let phase = match () {
            () if self.spec().seeds.tune.contains(&id.seed) => Phase::Tune,
            () if self.spec().seeds.final_.contains(&id.seed) => Phase::Final,
            () => return None,
        };
        Some(PlannedTrial {
            id,
            phase,
            arm,
            index,
            group: None,
        })
    }

    /// The trials of the plan: the tuning trials, then the final ones of the points that are
    /// selected now.
    pub fn trials(&self) -> impl Iterator<Item = &PlannedTrial> {
        self.tune.iter().chain(&self.finals)
    }

    /// The state of a planned trial, in the words of lists.
    pub fn state_of(&self, trial: &PlannedTrial) -> &'static str {
        let row = self.tracker.rows().get(&trial.id);
        if self.evaluation().is_pruned(trial, row) {
            "pruned"
        } else {
            row.map_or(TrialState::Waiting, |row| row.state).name()
        }
    }

    /// The trials of the plan that failed for good. Most sweeps have none, and then nobody looks
    /// through all.
    pub fn failed(&self) -> impl Iterator<Item = &PlannedTrial> {
        let none = self.failed.is_empty();
        self.trials()
            .take_while(move |_| !none)
            .filter(|trial| self.failed.contains(&trial.id))
    }

    /// What the ledger holds of a trial that was ever started.
    pub fn row(&self, id: TrialId) -> Option<&TrialRow> {
        self.tracker.rows().get(&id)
    }

    /// What the ledger holds of every trial that was ever started.
    pub fn rows(&self) -> &HashMap<TrialId, TrialRow> {
        self.tracker.rows()
    }

    /// The versions of what is trained, and which of them trained each finished trial.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The last attempt at a trial.
    pub fn last(&self, id: TrialId) -> Option<&Last> {
        self.last.get(&id)
    }

    /// The trials that run, in the order in which they began.
    pub fn running(&self) -> impl ExactSizeIterator<Item = &Running> {
        self.running.values()
    }

    /// The spec in force.
    pub fn spec(&self) -> &Spec {
        self.tracker.spec()
    }

    /// Its grid.
    pub fn grid(&self) -> &Grid {
        self.tracker.grid()
    }

    /// The sweep in figures.
    pub fn evaluation(&self) -> &Evaluation {
        self.tracker.evaluation()
    }

    /// What people call its trials.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The run directory.
    pub fn dir(&self) -> &Path {
        self.follower.dir()
    }

    /// A reader of its ledger.
    ///
    /// # Errors
    /// The ledger's.
    pub fn reader(&self) -> Result<Reader, LedgerError> {
        self.follower.reader()
    }

    /// Who runs it.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// What workers that do not run yet wait for, and how many wait for it.
    pub fn waiting(&self) -> &[(String, u64)] {
        &self.waiting
    }

    /// The slots of the last run, by the names of their devices.
    pub fn slots(&self) -> Vec<&str> {
        self.session
            .as_ref()
            .map(|session| session.devices.split_whitespace().collect())
            .unwrap_or_default()
    }

    /// What each slot has done, in all runs of a coordinator together.
    pub fn work(&self) -> &BTreeMap<u32, Work> {
        &self.work
    }

    /// The devices on which trials have ended well, as the report names them.
    pub fn devices(&self) -> &[String] {
        &self.devices
    }

    /// How it stands as a whole.
    pub fn course(&self) -> Course {
        match &self.holder {
            Some(_) => Course::Running,
            None if self.evaluation().is_complete() => Course::Finished,
            None => Course::Stopped {
                killed: self
                    .session
                    .as_ref()
                    .is_some_and(|session| session.outcome.is_none()),
            },
        }
    }

    /// Trials that failed, by the way in which they did, most first.
    pub fn failures(&self) -> Vec<Failures> {
        let mut kinds: BTreeMap<&'static str, Failures> = BTreeMap::new();
        let failed = self
            .failing
            .iter()
            .filter_map(|id| Some((*id, self.last.get(id)?.failure.as_ref()?)));
        for (id, (kind, message)) in failed {
            if self.planned(id).is_none() {
                continue;
            }
            let found = kinds.entry(kind.name()).or_insert_with(|| Failures {
                kind: *kind,
                for_good: Vec::new(),
                again: 0,
                message: String::new(),
            });
            if self.failed.contains(&id) {
                found.for_good.push(id);
            } else {
                found.again += 1;
            }
            if found.message.is_empty() {
                found.message.clone_from(message);
            }
        }
        let mut list: Vec<Failures> = kinds.into_values().collect();
        list.sort_by_key(|one| std::cmp::Reverse((one.for_good.len(), one.again)));
        list
    }

    /// Trials a minute by the last ones; None unless some have ended while it runs.
    pub fn per_minute(&self) -> Option<f64> {
        self.holder.as_ref()?;
        let (first, last) = (
            milliseconds(self.ended.front()?),
            milliseconds(self.ended.back()?),
        );
        (last > first).then(|| (self.ended.len() - 1) as f64 * 60_000.0 / (last - first) as f64)
    }

    /// How long the rest takes. None: all is done, or no trial has ended that would tell.
    pub fn time_left(&self) -> Option<TimeLeft> {
        let (spec, evaluation) = (self.spec(), self.evaluation());
        let mean = |(arm, (count, sum)): (usize, &(u64, f64))| {
            (*count > 0).then(|| (arm, sum / *count as f64))
        };
        let measured: BTreeMap<usize, f64> =
            self.measured.iter().enumerate().filter_map(mean).collect();
        let slots = self.slots();
        if evaluation.is_complete() || measured.is_empty() || slots.is_empty() {
            return None;
        }
        let devices = slots.iter().collect::<HashSet<_>>().len();
        let firsts: Vec<Config> = self.grid().arms().iter().map(|arm| arm.config(0)).collect();
        let seconds = |arm: usize, count: u64, at_once: usize| {
            let work = estimate(spec, [(arm, &firsts[arm], count)], &measured)?;
            Some(work.work.as_secs_f64() / at_once as f64)
        };
        let (mut tune, mut finals) = (Vec::new(), Vec::new());
        for arm in &evaluation.arms {
            tune.push(seconds(arm.arm, arm.tune_tally.left(), slots.len())?);
            // An arm of which no point can be selected any more has no final trials.
            let comes = arm.selection.best.is_some() || arm.tune_tally.left() > 0;
            let all = spec.seeds.final_.len() as u64;
            let left = if comes {
                all - arm.final_tally.done - arm.final_tally.failed
            } else {
                0
            };
            finals.push(seconds(arm.arm, left, devices)?);
        }
        Some(TimeLeft { tune, finals })
    }
}

/// Nobody is there to run what a killed coordinator left marked as running.
fn settle(rows: &mut [TrialRow], held: bool) {
    if !held {
        rows.iter_mut()
            .filter(|row| row.state == TrialState::Running)
            .for_each(|row| row.state = TrialState::Waiting);
    }
}

/// A time of the ledger in milliseconds since 1970; 0 for what is none.
fn milliseconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>()
        .map_or(0, jiff::Timestamp::as_millisecond)
}
