//! The descriptor of a built-in task: what it reports and how that is shown, what its trials can
//! share, how long they take.

use pentagrid_protocol::Config;

/// What the program knows of a built-in task.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name in a sweep file.
    pub name: &'static str,
    /// The program that trains its trials, a worker.
    pub program: &'static str,
    /// Variables of the environment that change what that program computes.
    pub variables: &'static [&'static str],
    /// Final metrics, in the order of tables.
    pub metrics: &'static [&'static str],
    /// What it reports for every epoch, in the order of columns.
    pub history: &'static [&'static str],
    /// Those of `history` that every trial reports.
    pub common_history: &'static [&'static str],
    /// How its metrics are named in tables and figures.
    pub labels: &'static [MetricLabel],
    /// Metrics of Table I.
    pub table_metrics: &'static [&'static str],
    /// What Table I shows, for its caption.
    pub table_caption: &'static str,
    /// Heading of the first column of tables: what an arm is.
    pub corner: &'static str,
    /// A note on what Table II's times contain.
    pub note_on_time: &'static str,
    /// Why a trial that is run again by itself may round differently.
    pub note_on_rounding: &'static str,
    /// Which learning curves its report shows.
    pub figures: FigureSet,
    /// Returns the unit of a metric: `points`; empty where it has none.
    pub unit: fn(metric: &str) -> &'static str,
    /// Returns what the trials that have work in common with this configuration agree in.
    pub affinity: fn(&Config) -> Option<String>,
    /// Returns what a trial does after it leaves the common work, whenever that is.
    pub second_phase: fn(&Config) -> Option<String>,
    /// Returns how many epochs a trial has.
    pub epochs: fn(&Config) -> Option<u32>,
    /// Returns how long a trial takes on one core of the reference machine, in seconds
    /// (docs/benchmarks.md).
    pub reference_seconds: fn(&Config) -> Option<f64>,
}

/// How a metric is named for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricLabel {
    /// The metric.
    pub metric: &'static str,
    /// The heading of its column.
    pub heading: &'static str,
    /// The label of its axis, with its unit.
    pub axis: &'static str,
}

/// Which learning curves a report shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureSet {
    /// The paper's figures 1 to 8.
    Paper,
    /// A figure for each metric.
    EachMetric,
}

impl BuiltIn {
    /// Returns how a metric is named for people, if it has a name of its own.
    pub fn label(&self, metric: &str) -> Option<&'static MetricLabel> {
        self.labels.iter().find(|label| label.metric == metric)
    }
}

/// A task is its name.
impl PartialEq for BuiltIn {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for BuiltIn {}
