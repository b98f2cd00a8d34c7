//! Names of columns in every table for other programs: CSV and Parquet files, SQL views,
//! TensorBoard, Optuna, JUnit. Users may give a parameter and a metric the same name, or that of a
//! fixed column; one rule here tells them apart.

use std::collections::{BTreeMap, HashSet};

use super::model::Spec;

/// The fixed columns of all tables.
const FIXED: [&str; 22] = [
    "trial",
    "arm",
    "label",
    "position",
    "point",
    "seed",
    "phase",
    "state",
    "version",
    "failures",
    "failure",
    "config",
    "metrics",
    "epoch",
    "n",
    "same_as",
    "shared_epochs",
    "selected",
    "planned",
    "diverged",
    "pruned",
    "duration",
];

/// The columns of the parameters and metrics of a sweep.
///
/// A parameter's column has its name, unless that is a fixed column: then it has the prefix
/// `param_`. A metric's column has its name, unless that is a fixed column or a parameter's: then
/// it has the prefix `metric_`. A prefix is repeated until the name is free. Names that differ only
/// in the case of ASCII letters count as the same, as in SQL.
///
/// Of several metrics that want one name, the first in order gets it. The order is that in which
/// trials first reported them, so that a column keeps its name whatever is reported later.
#[derive(Clone, Debug)]
pub struct ColumnNames {
    parameters: BTreeMap<String, String>,
    metrics: BTreeMap<String, String>,
    /// Names of fixed columns, of parameters, and of what is derived from metrics, in lower case. No
    /// file has a metric's column beside one that is derived from a metric.
    derived: HashSet<String>,
    /// Names of fixed columns, of parameters and of metrics, in lower case.
    taken: HashSet<String>,
}

impl ColumnNames {
    /// Names the columns of parameters, and of metrics in the order in which they were first
    /// reported.
    pub fn new<'a>(
        parameters: impl IntoIterator<Item = &'a str>,
        metrics: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut names = Self {
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            derived: HashSet::new(),
            taken: FIXED.map(str::to_owned).into(),
        };
        for parameter in parameters {
            if !names.parameters.contains_key(parameter) {
                let column = free(&mut names.taken, "param_", parameter.to_owned());
                names.parameters.insert(parameter.to_owned(), column);
            }
        }

        names.derived.clone_from(&names.taken);
        names.with(metrics)
    }

    /// Names the columns of a sweep whose trials report these metrics, in the order in which they
    /// were first reported. The metric that selects comes before them.
    pub fn of<'a>(spec: &'a Spec, metrics: impl IntoIterator<Item = &'a str>) -> Self {
        let parameters = spec
            .arms
            .iter()
            .flat_map(|arm| &arm.axes)
            .map(|axis| axis.name.as_str());
        Self::new(
            parameters,
            std::iter::once(spec.metric.name.as_str()).chain(metrics),
        )
    }

    /// The same columns, and further ones for those of these metrics that have none.
    #[must_use]
    pub fn with<'a>(mut self, metrics: impl IntoIterator<Item = &'a str>) -> Self {
        for metric in metrics {
            if !self.metrics.contains_key(metric) {
                let column = free(&mut self.taken, "metric_", metric.to_owned());
                self.metrics.insert(metric.to_owned(), column);
            }
        }
        self
    }

    /// The column of a parameter.
    pub fn parameter<'a>(&'a self, name: &'a str) -> &'a str {
        self.parameters.get(name).map_or(name, String::as_str)
    }

    /// The column of a metric.
    pub fn metric<'a>(&'a self, name: &'a str) -> &'a str {
        self.metrics.get(name).map_or(name, String::as_str)
    }

    /// Names a column that is derived from a metric's, such as its mean: `loss_mean`. A name in use
    /// gets the prefix `metric_`.
    pub fn figure(&mut self, metric: &str, figure: &str) -> String {
        let column = format!("{}_{figure}", self.metric(metric));
        free(&mut self.derived, "metric_", column)
    }
}

/// Takes a name, with as many prefixes as it needs.
fn free(taken: &mut HashSet<String>, prefix: &str, mut name: String) -> String {
    while !taken.insert(name.to_ascii_lowercase()) {
        name.insert_str(0, prefix);
    }
    name
}

/// Returns the headings of parameters in a file that has columns of its own, `own`. Each is unique:
/// a name in use gets the prefix `param_`.
pub fn apart(parameters: &[&str], own: &[&str]) -> Vec<String> {
    let mut names = ColumnNames::new([], []);
    names
        .taken
        .extend(own.iter().map(|name| name.to_ascii_lowercase()));
    parameters
        .iter()
        .map(|name| free(&mut names.taken, "param_", (*name).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_in_use_gets_a_prefix() {
        let mut names = ColumnNames::new(
            ["lr", "n", "arm", "loss_mean"],
            ["lr", "seed", "loss", "arm", "LR"],
        );
        let parameters =
            ["lr", "n", "arm", "loss_mean"].map(|name| names.parameter(name).to_owned());
        assert_eq!(parameters, ["lr", "param_n", "param_arm", "loss_mean"]);
        let metrics = ["lr", "seed", "loss", "arm", "LR"].map(|name| names.metric(name).to_owned());
        assert_eq!(
            metrics,
            [
                "metric_lr",
                "metric_seed",
                "loss",
                "metric_arm",
                "metric_metric_LR"
            ]
        );
        assert_eq!(
            [names.figure("loss", "mean"), names.figure("loss", "std")],
            ["metric_loss_mean", "loss_std"]
        );
    }

    #[test]
    fn a_metric_keeps_its_name_whatever_is_reported_later() {
        let first = ColumnNames::new(["lr"], ["loss", "lr"]);
        let mut later = first
            .clone()
            .with(["metric_lr", "Loss", "loss", "loss_mean"]);
        for metric in ["loss", "lr"] {
            assert_eq!(first.metric(metric), later.metric(metric));
        }
        assert_eq!(
            ["metric_lr", "Loss"].map(|metric| later.metric(metric)),
            ["metric_metric_lr", "metric_Loss"]
        );
        assert_eq!(later.figure("loss", "mean"), "loss_mean");
        assert_eq!(later.figure("loss_mean", "mean"), "loss_mean_mean");
        assert_eq!(ColumnNames::new(["lr"], ["lr"]).metric("lr"), "metric_lr");
        assert_eq!(apart(&["x", "mean"], &["mean", "std"]), ["x", "param_mean"]);
        assert_eq!(apart(&["x", "X"], &[]), ["x", "param_X"]);
    }

    proptest! {
        #[test]
        fn no_two_columns_have_the_same_name(
            parameters in prop::collection::vec("(param_|metric_){0,2}(lr|LR|n|seed|x|loss)(_mean)?", 0..6),
            metrics in prop::collection::vec("(param_|metric_){0,2}(lr|LR|n|seed|x|loss)(_mean|_std|_published)?", 0..6),
        ) {
            let mut names = ColumnNames::new(parameters.iter().map(String::as_str), metrics.iter().map(String::as_str));
            let unique = |list: &[String]| list.iter().cloned().collect::<std::collections::BTreeSet<_>>();
            let mut all: Vec<String> = FIXED.map(str::to_owned).into();
            all.extend(unique(&parameters).iter().map(|name| names.parameter(name).to_owned()));
            let mut derived = all.clone();
            all.extend(unique(&metrics).iter().map(|name| names.metric(name).to_owned()));
            for metric in unique(&metrics) {
                derived.extend(["mean", "std", "n", "published_mean"].map(|figure| names.figure(&metric, figure)));
            }
            for columns in [all, derived] {
                let lower: HashSet<String> = columns.iter().map(|name| name.to_ascii_lowercase()).collect();
                prop_assert_eq!(lower.len(), columns.len(), "{:?}", columns);
            }
        }
    }
}
