//! The result of a program that has exited well: from its metrics file, or else from its output.

use std::fs::File;
use std::sync::Arc;

use super::follower::on_a_thread;
use crate::protocol::{FailureKind, FromWorker, Metrics, Reported};
use crate::schedule::launch::last_line::{Printed, last_line};

/// Output up to this length is searched without a thread, in bytes.
const MAX_INLINE_SEARCH: u64 = 16 << 10;

/// Where a program's output is.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub log: Arc<File>,
    /// Where it begins in the log.
    pub begin: u64,
}

impl Output {
    /// Searches the output for metrics. Output that cannot be read has none.
    async fn search(self, metric: String) -> Printed {
        let size = self
            .log
            .metadata()
            .map_or(0, |metadata| metadata.len().saturating_sub(self.begin));
        if size <= MAX_INLINE_SEARCH {
            return last_line(&self.log, self.begin, &metric).unwrap_or_default();
        }
        let search = move || last_line(&self.log, self.begin, &metric).unwrap_or_default();
        on_a_thread(search).await.unwrap_or_default()
    }
}

/// The last message of a program that has exited well. `metrics` are those of its metrics file, if
/// it has written one.
pub(super) async fn outcome(
    trial: String,
    metric: String,
    metrics: Option<Reported>,
    output: Output,
) -> FromWorker {
    let mut not_a_number = None;
    let metrics = match metrics {
        Some(metrics) => metrics,
        None => {
            let printed = output.search(metric.clone()).await;
            not_a_number = printed.not_a_number;
            printed.values.or(printed.others).unwrap_or_default()
        }
    };
    if metric.is_empty() || metrics.get(&metric).is_some() {
        return FromWorker::done(trial, metrics);
    }

    let reported = describe_reported(&metrics.numbers, not_a_number);
    let message = format!(
        "the program ended well, but without the metric {metric:?}: {reported} (write {{\"{metric}\": VALUE}} as a line to the file named by \
         PENTAGRID_METRICS, or print it as the last line)"
    );
    FromWorker::Failed {
        trial,
        kind: FailureKind::MissingMetric,
        message,
    }
}

/// Says what a program reported instead of the metric.
fn describe_reported(metrics: &Metrics, not_a_number: Option<String>) -> String {
    if let Some(value) = not_a_number {
        return format!("its output has it as {value}, which is not a number");
    }
    if metrics.0.is_empty() {
        return "it reported no metrics".to_owned();
    }
    let names: Vec<&str> = metrics.0.keys().map(String::as_str).collect();
    format!("it reported {}", names.join(", "))
}
