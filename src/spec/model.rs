//! What a sweep is, once it has been read and found valid. Built only by `parse` and `validate`;
//! everyone downstream (grid, plan, report) reads it and may rely on the rules that they enforce.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ParamValue;
use super::command::Piece;
use super::launcher::LauncherSpec;
use super::shape::Shape;
use super::task::Task;

/// A valid sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Name of the sweep: the default run directory is `runs/<name>`.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Who trains.
    pub task: Task,
    /// What selection looks at.
    pub metric: Metric,
    /// Which seeds each point gets, and which the winners get.
    pub seeds: Seeds,
    /// Whether points that cannot win any more get no further seeds.
    pub prune: Prune,
    /// The arms, in the order of the file; at least one.
    pub arms: Vec<Arm>,
    /// How long trials may take and how often they may fail.
    pub limits: Limits,
    /// What a trial takes of the machine.
    pub resources: Resources,
    /// The same for each arm, by its number; empty where no arm has its own.
    pub arm_resources: Vec<Resources>,
    /// Parameters of a worker's trials: those that agree in all of them have work in common. Empty:
    /// none have.
    pub affinity: Vec<String>,
    /// Environment variables of the worker or program, in the order of the file. Macros of a trial
    /// only for a program.
    pub env: Vec<(String, Vec<Piece>)>,
    /// The folder that it is started in, relative to the one that the sweep was started from; None:
    /// that one.
    pub workdir: Option<String>,
    /// How workers and programs are started. Changes no result.
    pub launcher: LauncherSpec,
    /// Published figures to show beside ours: arm name, then metric name.
    pub published: BTreeMap<String, BTreeMap<String, PublishedFigure>>,
    /// Sentences to judge by the results, in the order of the file.
    pub claims: Vec<Claim>,
}

/// The metric that selection maximises or minimises.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name among the final metrics of a trial.
    pub name: String,
    /// Which way is better.
    pub goal: Goal,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Higher is better.
    Maximize,
    /// Lower is better.
    Minimize,
}

/// Which tuning trials need not run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Prune {
    /// All run.
    #[default]
    None,
    /// Safe racing: a point whose mean could not reach the best complete one even if every seed
    /// that it lacks gave the best value gets no further seeds.
    Safe {
        /// The best value that the metric can take in the goal's direction; finite.
        best: f64,
    },
}

/// The seeds of a sweep. The two lists are disjoint and each is free of repeats.
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
    /// Each arm's own, by its number; may be empty.
    pub arms: Vec<Limit>,
}

/// The limits of the sweep or of an arm. What is None is not limited, or left to the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// An attempt that takes longer is ended, and has failed.
    pub timeout: Option<Duration>,
    /// How often a trial is tried again, if its kind of failure is tried again at all.
    pub retries: Option<u32>,
    /// More trials than these failing for good end the sweep.
    pub max_failures: Option<u32>,
}

impl Limits {
    /// An arm's own limits.
    pub fn of_arm(&self, arm: usize) -> Limit {
        self.arms.get(arm).copied().unwrap_or_default()
    }

    /// The limits that hold for a trial of that arm: its own, and where it has none, those of all.
    pub fn of(&self, arm: usize) -> Limit {
        let (own, all) = (self.of_arm(arm), self.all);
        Limit {
            timeout: own.timeout.or(all.timeout),
            retries: own.retries.or(all.retries),
            max_failures: own.max_failures.or(all.max_failures),
        }
    }
}

/// What a trial takes of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// How many trials share a GPU; at least 1.
    pub per_gpu: u32,
    /// How many CPU threads a trial uses; at least 1. Always 1 for the built-in task.
    pub threads: u32,
}

impl Spec {
    /// What a trial of that arm takes of the machine.
    pub fn resources_of(&self, arm: usize) -> Resources {
        self.arm_resources
            .get(arm)
            .copied()
            .unwrap_or(self.resources)
    }

    /// The most slots that a GPU may need, and the most threads that a trial may use.
    pub fn widest_resources(&self) -> Resources {
        let all = (0..self.arms.len()).map(|arm| self.resources_of(arm));
        all.reduce(|a, b| Resources {
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
    /// How tables and figures call it; the name, where no label is given.
    pub label: String,
    /// All its parameters, common ones first, in the order of the file, with the values that they
    /// take in some point.
    pub axes: Vec<Axis>,
    /// Which combinations of these are its points: all, unless the file says otherwise.
    pub shape: Shape,
}

/// One parameter and the values it takes. One value makes a constant, unless some points lack the
/// parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Parameter name; nested parameters are joined by dots.
    pub name: String,
    /// Its values, in the order of the file: at least one, free of repeats.
    pub values: Vec<ParamValue>,
}

/// A figure that somebody published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedFigure {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, where one was published.
    pub std: Option<f64>,
    /// Over how many runs, where that was published.
    pub n: Option<u32>,
    /// On how many images, where the mean is a percentage of images: then `n` is there and the mean
    /// lies in 0 to 100.
    pub images: Option<u32>,
}

/// A sentence about the arms, in a form that results can confirm or contradict. Arms are numbers in
/// `Spec::arms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The sentence; one line, not empty.
    pub says: String,
    /// The key of its kind in the file: `highest`, `less`, `ratio`...
    pub key: &'static str,
    /// What it means.
    pub kind: ClaimKind,
}

/// What a claim says. `Spec` holds only such as name arms that there are, and an arm never beside
/// itself.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimKind {
    /// The arm's mean of a final metric is beyond that of each of the others (`highest`, `lowest`,
    /// `greater`, `less`).
    Beyond {
        /// Beyond in which direction.
        way: Way,
        /// The final metric.
        metric: String,
        /// The arm.
        arm: usize,
        /// The others; at least one.
        others: Vec<usize>,
    },
    /// The mean of a final metric of one arm is so many times that of another (`ratio`).
    Ratio {
        /// The final metric.
        metric: String,
        /// The arm above the line.
        of: usize,
        /// The arm below it.
        to: usize,
        /// The ratio; greater than 0.
        is: f64,
        /// By what share of it the measured one may differ; greater than 0, less than 1.
        within: f64,
    },
    /// The mean of a final metric of each of the arms is on one side of a value (`at_least`,
    /// `at_most`).
    Bound {
        /// `Up`: at least the value.
        way: Way,
        /// The final metric.
        metric: String,
        /// The arms; at least one.
        arms: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// From about that epoch on, a metric of the history does not get much better (`saturates`).
    Saturates {
        /// The metric of the history.
        metric: String,
        /// Which way it gets better.
        goal: Goal,
        /// The arms; at least one.
        arms: Vec<usize>,
        /// The epoch; at least 1.
        at: f64,
        /// By how many epochs the measured one may differ; 0 or greater.
        within: f64,
        /// What share of the whole improvement may be left; at least 0, less than 1.
        tolerance: f64,
    },
    /// At every epoch of every trial one metric of the history is greater than another
    /// (`always_above`).
    AlwaysAbove {
        /// The greater one.
        metric: String,
        /// The lesser one.
        than: String,
        /// The arms; at least one.
        arms: Vec<usize>,
    },
}

/// A direction on the axis of a metric; which way is better is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Towards greater values.
    Up,
    /// Towards lesser values.
    Down,
}

impl Goal {
    /// The word for it in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }
}
