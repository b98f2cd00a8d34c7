//! Names of columns in every table for other programs: CSV and Parquet files, SQL views,
//! TensorBoard, Optuna, JUnit. Users may give a parameter and a metric the same name, or that of a
//! fixed column; one rule here tells them apart.

use std::collections::{BTreeMap, HashSet};

use super::model::Spec;

/// The fixed columns of all tables.
const FIXED: [&str; 21] = [
    "trial",
    "arm",
    "label",
    "position",
    "point",
    "seed",
    "phase",
    "state",
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
#[derive(Clone, Debug)]
pub struct ColumnNames {
    parameters: BTreeMap<String, String>,
    metrics: BTreeMap<String, String>,
    /// Names in use, in lower case.
    taken: HashSet<String>,
}

impl ColumnNames {
    /// Names the columns of parameters and metrics.
    pub fn new<'a>(
        parameters: impl IntoIterator<Item = &'a str>,
        metrics: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut names = Self {
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            taken: FIXED.map(str::to_owned).into(),
        };
        for parameter in parameters {
            if !names.parameters.contains_key(parameter) {
                let column = names.free("param_", parameter.to_owned());
                names.parameters.insert(parameter.to_owned(), column);
            }
        }

        // Metrics without a clash come first: they keep their names independent of the others.
        let mut metrics: Vec<&str> = metrics.into_iter().collect();
        metrics.sort_unstable();
        metrics.dedup();
        let (clear, clashing): (Vec<&str>, Vec<&str>) = metrics
            .into_iter()
            .partition(|metric| !names.taken.contains(&metric.to_ascii_lowercase()));
        for metric in clear.into_iter().chain(clashing) {
            let column = names.free("metric_", metric.to_owned());
            names.metrics.insert(metric.to_owned(), column);
        }
        names
    }

    /// Names the columns of a sweep whose trials report these metrics.
    pub fn of<'a>(spec: &'a Spec, metrics: impl IntoIterator<Item = &'a str>) -> Self {
        let parameters = spec
            .arms
            .iter()
            .flat_map(|arm| &arm.axes)
            .map(|axis| axis.name.as_str());
        Self::new(parameters, metrics)
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
        self.free("metric_", column)
    }

    /// Takes a name, with as many prefixes as it needs.
    fn free(&mut self, prefix: &str, mut name: String) -> String {
        while !self.taken.insert(name.to_ascii_lowercase()) {
            name.insert_str(0, prefix);
        }
        name
    }
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
        .map(|name| names.free("param_", (*name).to_owned()))
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
                "metric_metric_lr",
                "metric_seed",
                "loss",
                "metric_arm",
                "metric_LR"
            ]
        );
        assert_eq!(
            [names.figure("loss", "mean"), names.figure("loss", "std")],
            ["metric_loss_mean", "loss_std"]
        );
    }

    #[test]
    fn a_metric_without_a_clash_keeps_its_name() {
        let names = ColumnNames::new(["lr"], ["lr", "metric_lr"]);
        assert_eq!(
            [names.metric("metric_lr"), names.metric("lr")],
            ["metric_lr", "metric_metric_lr"]
        );
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
            all.extend(unique(&metrics).iter().map(|name| names.metric(name).to_owned()));
            for metric in unique(&metrics) {
                all.extend(["mean", "std", "n", "published_mean"].map(|figure| names.figure(&metric, figure)));
            }
            let lower: HashSet<String> = all.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assert_eq!(lower.len(), all.len(), "{:?}", all);
        }
    }
}
