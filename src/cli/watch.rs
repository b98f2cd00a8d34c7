//! `pentagrid watch`: how a sweep stands, drawn anew whenever it changes. On a terminal as a table, elsewhere as lines.

use std::time::Duration;

use super::args::WatchArgs;
use super::error::{CliError, Outcome};
use super::plan::thousands;
use super::printer::Printer;
use super::status::{describe, gather};
use super::sweep::runtime;
use crate::aggregate::Tally;
use crate::live::{Course, Sweep, human_duration};
use crate::spec::command::shell_path;

/// Time between two looks at the ledger.
const PACE: Duration = Duration::from_millis(500);

/// Watches a sweep until it has ended.
pub fn watch(arguments: &WatchArgs, printer: &Printer) -> Result<Outcome, CliError> {
    // Whoever has seen the first line may press Ctrl-C at once.
    let runtime = runtime()?;
    let mut interrupted = runtime
        .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()) })
        .map_err(|error| CliError::Unexpected(format!("cannot listen to signals: {error}")))?;
    let mut sweep = Sweep::open(&arguments.dir)?;
    let dir = shell_path(&arguments.dir);
    let mut shown = Shown { printer, dir, last: String::new(), lines: 0 };
    shown.show(&sweep)?;
    while !arguments.once && sweep.course() == Course::Running {
        // Out of the event loop again before the sweep is brought up to date: Polars refuses to work inside one.
        let stop = runtime.block_on(async {
            tokio::select! {
                _ = interrupted.recv() => true,
                () = tokio::time::sleep(PACE) => false,
            }
        });
        if stop {
            return Ok(Outcome::Interrupted);
        }
        if sweep.refresh()? {
            shown.show(&sweep)?;
        }
    }
    if !printer.draws() && sweep.course() != Course::Running {
        printer.data(&last_line(&sweep, &shown.dir))?;
    }
    Ok(match sweep.course() {
        Course::Stopped { .. } => Outcome::Interrupted,
        Course::Finished if sweep.evaluation().failed() > 0 => Outcome::SomeFailed,
        Course::Finished | Course::Running => Outcome::Done,
    })
}

/// What stands on the terminal.
struct Shown<'a> {
    printer: &'a Printer,
    dir: String,
    last: String,
    /// How many lines of it can be drawn over.
    lines: usize,
}

impl Shown<'_> {
    fn show(&mut self, sweep: &Sweep) -> Result<(), CliError> {
        if !self.printer.draws() {
            let line = line(sweep);
            if line != self.last {
                self.printer.data(&line)?;
                self.last = line;
            }
            return Ok(());
        }
        let mut text = describe(&gather(sweep), sweep.spec(), &self.dir);
        if let Some(rate) = sweep.per_minute() {
            text.push_str(&format!("{rate:.1} trials/min\n"));
        }
        self.lines = self.printer.redraw(&text, self.lines)?;
        Ok(())
    }
}

/// How far the sweep is, in one line.
fn line(sweep: &Sweep) -> String {
    let evaluation = sweep.evaluation();
    let sum = |count: &dyn Fn(&Tally) -> u64| evaluation.arms.iter().map(|arm| count(&arm.tune_tally)).sum::<u64>();
    let finals = |count: &dyn Fn(&Tally) -> u64| evaluation.arms.iter().map(|arm| count(&arm.final_tally)).sum::<u64>();
    let mut parts = Vec::new();
    if !sweep.spec().seeds.tune.is_empty() {
        parts.push(format!("tuning {} of {}", thousands(sum(&|tally| tally.done)), thousands(sum(&|tally| tally.planned))));
    }
    let planned = (sweep.spec().arms.len() * sweep.spec().seeds.final_.len()) as u64;
    if planned > 0 {
        parts.push(format!("final {} of {}", thousands(finals(&|tally| tally.done)), thousands(planned)));
    }
    for (count, what) in [
        (sum(&|tally| tally.pruned), "pruned"),
        (sum(&|tally| tally.diverged) + finals(&|tally| tally.diverged), "diverged"),
        (evaluation.failed(), "failed"),
        (sweep.running().len() as u64, "running"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", thousands(count)));
        }
    }
    if let Some(left) = sweep.time_left().filter(|_| sweep.course() == Course::Running) {
        let left = Duration::try_from_secs_f64(left.total()).unwrap_or_default();
        parts.push(format!("about {} left", human_duration(left)));
    }
    format!("{}: {}", sweep.spec().name, parts.join(", "))
}

/// How it ended, and what comes next.
fn last_line(sweep: &Sweep, dir: &str) -> String {
    let name = &sweep.spec().name;
    match sweep.course() {
        Course::Finished => format!("{name}: finished; tables: pentagrid report {dir}"),
        Course::Stopped { killed: true } => format!("{name}: the coordinator was killed; go on with: pentagrid resume {dir}"),
        Course::Stopped { killed: false } | Course::Running => format!("{name}: not running; go on with: pentagrid resume {dir}"),
    }
}
