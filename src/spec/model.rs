//! What a sweep is, once it has been read and found valid. Built only by `parse` and `validate`; everyone
//! downstream (grid, plan, report) reads it and may rely on the rules that they enforce.

use std::collections::BTreeMap;

use super::task::Task;
use super::value::ParamValue;

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
    /// The arms, in the order of the file; at least one.
    pub arms: Vec<Arm>,
    /// Published figures to show beside ours: arm name, then metric name.
    pub published: BTreeMap<String, BTreeMap<String, PublishedFigure>>,
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

/// The seeds of a sweep. The two lists are disjoint and each is free of repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// Every point of every arm is trained once with each of these. Empty only if every arm has a single point.
    pub tune: Vec<u64>,
    /// The selected point of each arm is trained once with each of these; may be empty.
    pub final_: Vec<u64>,
}

/// One arm: a grid of its own, compared with the other arms in the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its key in the file; `main` where the spec has no arms.
    pub name: String,
    /// How tables and figures call it; the name, where no label is given.
    pub label: String,
    /// All its parameters, common ones first, in the order of the file. Their product is the arm's grid.
    pub axes: Vec<Axis>,
}

/// One parameter and the values it takes. One value makes a constant.
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
