//! A sweep that has been read and found valid. Only `document` builds it; the modules downstream
//! (grid, plan, report) may rely on the rules that it checks.

mod claim;
mod launcher;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use claim::{Claim, ClaimKind, Way};
pub use launcher::{CommandSpec, LauncherSpec, SlurmSpec};
pub use sources::{MetricsSource, OutputPattern};

pub use super::at::At;
use super::command::Piece;
pub use super::goal::Goal;
use super::shape::Shape;
use super::task::Task;
use pentagrid_protocol::ParamValue;

/// A valid sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Name of the sweep: the default run directory is `runs/<name>`.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The task: what trains.
    pub task: Task,
    /// The metric that selects points.
    pub metric: Metric,
    /// Where a program's metrics are read from, beside its own metrics file.
    pub sources: Vec<MetricsSource>,
    /// The seeds of each point, and those of the selected points.
    pub seeds: Seeds,
    /// Whether points that cannot win any more get no further seeds.
    pub prune: Prune,
    /// The arms, in the order of the file; at least one.
    pub arms: Vec<Arm>,
    /// How long trials may take and how often they may fail.
    pub limits: Limits,
    /// The share of the machine that a trial takes.
    pub resources: Resources,
    /// The same for each arm, by its number; empty if no arm has its own.
    pub arm_resources: Vec<Resources>,
    /// Parameters of a worker: trials that agree in all of these have work in common. Empty: no
    /// trials have.
    pub affinity: Vec<String>,
    /// Environment variables of the worker or program, in the order of the file. Only a program's
    /// may hold macros of a trial.
    pub env: Vec<(String, Vec<Piece>)>,
    /// The working folder of the worker or program, relative to the folder that the sweep was
    /// started from; None: that folder.
    pub workdir: Option<String>,
    /// How workers and programs are started. It changes no result.
    pub launcher: LauncherSpec,
    /// Published figures to show beside the sweep's: by arm name, then by metric name.
    pub published: BTreeMap<String, BTreeMap<String, PublishedFigure>>,
    /// Claims to check against the results, in the order of the file.
    pub claims: Vec<Claim>,
    /// Whether final trials run one at a time on each device, so that Table II can show their times;
    /// None: if there are times.
    pub timed: Option<bool>,
    /// What the user should know of how the file was read, a sentence each.
    pub remarks: Vec<String>,
}

/// The metric of Table II: seconds that a trial trained.
pub const TRAINING_SECONDS: &str = "training_seconds";

/// The metric that selection maximises or minimises.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name among the final metrics of a trial.
    pub name: String,
    /// Which way is better.
    pub goal: Goal,
    /// Which value of its history is a trial's.
    pub at: At,
}

/// As a line for the user: `maximize val_acc`, `maximize val_acc (best)`.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.goal.name(), self.name)?;
        match self.at {
            At::Last => Ok(()),
            at => write!(f, " ({at})"),
        }
    }
}

/// Which tuning trials need not run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Prune {
    /// None: all run.
    #[default]
    None,
    /// Safe racing: a point whose mean could not reach the best complete one even if every seed
    /// that it lacks gave the best value gets no further seeds.
    Safe {
        /// The best value that the metric can take in the goal's direction; finite.
        best: f64,
    },
}

/// The seeds of a sweep. The two lists are disjoint, and each is without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// Every point of every arm is trained once with each of these. Empty only if every arm has a
    /// single point.
    pub tune: Vec<u64>,
    /// The selected point of each arm is trained once with each of these; may be empty.
    pub final_: Vec<u64>,
}

/// How long trials may take and how often they may fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For all arms.
    pub all: Limit,
    /// For each arm, by its number; may be empty.
    pub arms: Vec<Limit>,
}

/// The limits of the sweep or of an arm. What is None is unlimited, or has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// An attempt that takes longer is stopped and has failed.
    pub timeout: Option<Duration>,
    /// How often a trial is retried, if its kind of failure is retried at all.
    pub retries: Option<u32>,
    /// Maximum number of trials that may fail permanently before the sweep ends.
    pub max_failures: Option<u32>,
}

impl Limits {
    /// An arm's own limits.
    pub fn of_arm(&self, arm: usize) -> Limit {
        self.arms.get(arm).copied().unwrap_or_default()
    }

    /// The limits of a trial of that arm: the arm's own, and where it has none, those of the sweep.
    pub fn of(&self, arm: usize) -> Limit {
        let own = self.of_arm(arm);
        let all = self.all;
        Limit {
            timeout: own.timeout.or(all.timeout),
            retries: own.retries.or(all.retries),
            max_failures: own.max_failures.or(all.max_failures),
        }
    }
}

/// The share of the machine that a trial takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Number of trials that share a GPU; at least 1.
    pub per_gpu: u32,
    /// Number of CPU threads of a trial; at least 1. Always 1 for the built-in task.
    pub threads: u32,
}

impl Spec {
    /// Whether the file speaks of training times: by its task, its metric or a published figure.
    pub fn mentions_times(&self) -> bool {
        let by_task = self
            .task
            .built_in()
            .is_some_and(|task| task.metrics.contains(&TRAINING_SECONDS));
        let mut published = self.published.values();
        by_task
            || self.metric.name == TRAINING_SECONDS
            || published.any(|figures| figures.contains_key(TRAINING_SECONDS))
    }

    /// The share of the machine that a trial of that arm takes.
    pub fn resources_of(&self, arm: usize) -> Resources {
        self.arm_resources
            .get(arm)
            .copied()
            .unwrap_or(self.resources)
    }

    /// The maximum over all arms of the trials on a GPU and of the threads of a trial.
    pub fn widest_resources(&self) -> Resources {
        (0..self.arms.len())
            .map(|arm| self.resources_of(arm))
            .reduce(|a, b| Resources {
                per_gpu: a.per_gpu.max(b.per_gpu),
                threads: a.threads.max(b.threads),
            })
            .unwrap_or(self.resources)
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            per_gpu: 1,
            threads: 1,
        }
    }
}

/// One arm: a grid of its own, compared with the other arms in the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its key in the file; `main` where the spec has no arms.
    pub name: String,
    /// What tables and figures call it; the name, if no label is given.
    pub label: String,
    /// All its parameters, common ones first, in the order of the file, each with the values that
    /// it has in some point.
    pub axes: Vec<Axis>,
    /// Which combinations of the axes' values are its points: all, unless the file says otherwise.
    pub shape: Shape,
}

/// One parameter and its values. A parameter with one value is a constant, unless some points lack
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Parameter name; nested parameters are joined by dots.
    pub name: String,
    /// Its values, in the order of the file: at least one, without repeats.
    pub values: Vec<ParamValue>,
}

/// A figure from a publication.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedFigure {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, if it was published.
    pub std: Option<f64>,
    /// The number of runs, if it was published.
    pub n: Option<u32>,
    /// The number of images, if the mean is a percentage of images. Then `n` is given, and the mean
    /// is from 0 to 100.
    pub images: Option<u32>,
}
