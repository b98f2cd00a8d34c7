//! The result of a program that has exited well: from its metrics file, or else from its output.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::ProgramPlan;
use super::collect_error::CollectError;
use super::follower::on_a_thread;
use super::source::keys_for;
use crate::collect::quoted;
use crate::protocol::{FailureKind, FromWorker, Metrics, Reported, note_text};
use crate::schedule::launch::last_line::{Printed, last_line};

/// Output up to this length is searched without a thread, in bytes.
const MAX_INLINE_SEARCH: u64 = 16 << 10;
/// How many keys of the sweep file a message suggests.
const MAX_ADVICE: usize = 3;

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

/// What a program that has exited well has reported.
pub(super) struct Report {
    /// In its own metrics file, if it has written one.
    pub own: Option<Reported>,
    /// In the files that the sweep file names.
    pub collected: Result<Option<Reported>, CollectError>,
    /// What each of these has found, for a message.
    pub sources: Vec<String>,
}

/// The last message of a program that has exited well.
pub(super) async fn outcome(plan: ProgramPlan, report: Report, output: Output) -> FromWorker {
    let ProgramPlan {
        trial,
        metric,
        folder,
        ..
    } = plan;
    let collected = match report.collected {
        Ok(collected) => collected,
        Err(error) => {
            return FromWorker::Failed {
                trial,
                kind: FailureKind::BadMetrics,
                message: error.to_string(),
            };
        }
    };

    // What a program reports on purpose counts more than what it logs.
    let mut metrics = collected;
    if let Some(own) = &report.own {
        metrics.get_or_insert_default().extend(own);
    }
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

    let not_a_number = not_a_number.or_else(|| {
        let value = metrics.notes.get(&metric)?;
        Some(format!("{:?}", quoted(&note_text(value))))
    });
    let reported = describe_reported(&metrics.numbers, not_a_number);
    let advice = advice(&folder, &metric, &report.sources);
    let message =
        format!("the program ended well, but without the metric {metric:?}: {reported} ({advice})");
    FromWorker::Failed {
        trial,
        kind: FailureKind::MissingMetric,
        message,
    }
}

/// Says how the metric can be found.
fn advice(folder: &Path, metric: &str, sources: &[String]) -> String {
    let own = format!(
        "write {{\"{metric}\": VALUE}} as a line to the file named by PENTAGRID_METRICS, or print it as the last line"
    );
    let unread = keys_for(folder).into_iter().filter(|(key, _)| {
        let key = format!("`metrics: {key}`");
        !sources.iter().any(|source| source.starts_with(&key))
    });
    let found: Vec<String> = unread
        .take(MAX_ADVICE)
        .map(|(key, file)| {
            format!(
                "`metrics: {key}` in the sweep file would read {}",
                file.display()
            )
        })
        .collect();
    match (sources, found.as_slice()) {
        ([], []) => own,
        ([], found) => found.join("; "),
        (sources, found) => [sources, found].concat().join("; "),
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
