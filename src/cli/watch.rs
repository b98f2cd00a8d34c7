//! `pentagrid watch`: shows a sweep and redraws it whenever it changes. On a terminal as a table,
//! elsewhere as lines.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use super::args::WatchArgs;
use super::error::CliError;
use super::printer::Printer;
use super::standing::{describe, gather};
use crate::monitor::{Status, Sweep};
use crate::printable::one_line;
use crate::progress::human_duration;
use crate::schedule::{listen_to, next_signal};
use crate::shell::shell_path;
use crate::sweep::{Outcome, outcome_of, runtime, warnings_of};
use crate::text::thousands;

/// Time between two reads of the ledger.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Watches a sweep until it has ended.
pub(crate) fn watch(arguments: &WatchArgs, printer: &Printer) -> Result<Outcome, CliError> {
    // A user who has seen the first line may press Ctrl-C at once.
    let runtime = runtime()?;
    let interrupted = runtime
        .block_on(async { listen_to(Signal::SIGINT) })
        .map_err(|error| CliError::Unexpected(format!("cannot listen to signals: {error}")))?;
    let mut sweep = Sweep::open(&arguments.dir)?;
    let dir = shell_path(&arguments.dir);

    let mut shown = Shown {
        printer,
        runtime,
        interrupted,
        dir,
        last: String::new(),
        lines: 0,
    };

    let mut stopped = shown.show(&sweep)?;
    while !stopped && !arguments.once && sweep.status() == Status::Running {
        stopped = shown
            .wait_for(async { tokio::time::sleep(POLL_INTERVAL).await })
            .is_none();
        // Out of the event loop again before the sweep is brought up to date: Polars refuses to
        // work inside one.
        if !stopped && sweep.refresh()? {
            stopped = shown.show(&sweep)?;
        }
    }
    if !stopped && !printer.draws() && sweep.status() != Status::Running {
        let lines = last_lines(&sweep, &shown.dir);
        stopped = shown.write(move |printer| printer.text(&lines))?.is_none();
    }
    if stopped {
        return Ok(Outcome::Interrupted);
    }

    Ok(match sweep.status() {
        Status::Stopped { .. } if matches!(sweep.last_outcome(), Some("incomplete" | "failed")) => {
            Outcome::Incomplete
        }
        Status::Stopped { .. } => Outcome::Interrupted,
        Status::Finished => outcome_of(sweep.evaluation()),
        Status::Running => Outcome::Done,
    })
}

/// What stands on the terminal.
struct Shown<'a> {
    printer: &'a Printer,
    runtime: Runtime,
    interrupted: Option<tokio::signal::unix::Signal>,
    dir: String,
    last: String,
    /// How many lines of it can be drawn over.
    lines: usize,
}

impl Shown<'_> {
    /// Shows the sweep as it stands; says whether Ctrl-C was pressed before that was done.
    fn show(&mut self, sweep: &Sweep) -> Result<bool, CliError> {
        if !self.printer.draws() {
            let line = line(sweep);
            if line == self.last {
                return Ok(false);
            }
            self.last.clone_from(&line);
            return Ok(self.write(move |printer| printer.text(&line))?.is_none());
        }
        let mut text = describe(&gather(sweep), sweep.spec(), &self.dir);
        if let Some(rate) = sweep.per_minute() {
            text.push_str(&format!("{rate:.1} trials/min\n"));
        }
        let before = self.lines;
        let drawn = self.write(move |printer| printer.redraw(&text, before))?;
        self.lines = drawn.unwrap_or(before);
        Ok(drawn.is_none())
    }

    /// Writes on its own thread, so that Ctrl-C works although the reader takes nothing. None: it was
    /// pressed first.
    fn write<T: Send + 'static>(
        &mut self,
        write: impl FnOnce(&Printer) -> Result<T, CliError> + Send + 'static,
    ) -> Result<Option<T>, CliError> {
        let (report, written) = tokio::sync::oneshot::channel();
        let printer = self.printer.clone();
        let thread = std::thread::Builder::new().spawn(move || drop(report.send(write(&printer))));
        thread.map_err(|error| CliError::Unexpected(format!("cannot start a thread: {error}")))?;
        match self.wait_for(written) {
            None => Ok(None),
            Some(Ok(written)) => written.map(Some),
            Some(Err(_)) => Err(CliError::Unexpected(
                "the output could not be written".to_owned(),
            )),
        }
    }

    /// Waits for something; None: Ctrl-C was pressed first.
    fn wait_for<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let interrupted = &mut self.interrupted;
        self.runtime.block_on(async {
            tokio::select! {
                done = what => Some(done),
                () = next_signal(interrupted) => None,
            }
        })
    }
}

/// How far the sweep is, in one line.
fn line(sweep: &Sweep) -> String {
    let evaluation = sweep.evaluation();
    let mut parts = Vec::new();

    if !sweep.spec().seeds.tune.is_empty() {
        parts.push(format!(
            "tuning {} of {}",
            thousands(evaluation.sum(|arm| arm.tune_tally.done)),
            thousands(evaluation.sum(|arm| arm.tune_tally.planned))
        ));
    }
    let planned = (sweep.spec().arms.len() * sweep.spec().seeds.final_.len()) as u64;
    if planned > 0 {
        parts.push(format!(
            "final {} of {}",
            thousands(evaluation.sum(|arm| arm.final_tally.done)),
            thousands(planned)
        ));
    }

    let diverged = evaluation.sum(|arm| arm.tune_tally.diverged + arm.final_tally.diverged);
    for (trials, what) in [
        (evaluation.sum(|arm| arm.tune_tally.pruned), "pruned"),
        (diverged, "diverged"),
        (evaluation.failed(), "failed"),
        (sweep.running().len() as u64, "running"),
    ] {
        if trials > 0 {
            parts.push(format!("{} {what}", thousands(trials)));
        }
    }

    if let Some(left) = sweep
        .time_left()
        .filter(|_| sweep.status() == Status::Running)
    {
        let left = Duration::try_from_secs_f64(left.total()).unwrap_or_default();
        parts.push(format!("about {} left", human_duration(left)));
    }
    format!("{}: {}", one_line(&sweep.spec().name), parts.join(", "))
}

/// How the sweep ended, with its warnings and the command to run next.
fn last_lines(sweep: &Sweep, dir: &str) -> String {
    let name = &sweep.spec().name;
    match sweep.status() {
        Status::Finished => {
            let evaluation = sweep.evaluation();
            let unreported = evaluation.unreported(&sweep.spec().metric.name);
            let reasons = match unreported {
                Some(unreported) => vec![unreported.to_string()],
                None => warnings_of(sweep.spec(), sweep.dir(), evaluation),
            };
            let lines: String = reasons
                .iter()
                .map(|reason| format!("{name}: {}\n", one_line(reason)))
                .collect();
            format!("{lines}{name}: finished; tables: pentagrid report {dir}")
        }
        Status::Stopped { killed: true } => {
            format!("{name}: the coordinator was killed; resume with: pentagrid resume {dir}")
        }
        Status::Stopped { killed: false } | Status::Running => {
            let how = match sweep.last_outcome() {
                Some("incomplete") => "trials are left, although every trial was run",
                Some("failed") => "stopped by an error",
                _ => "not running",
            };
            format!("{name}: {how}; resume with: pentagrid resume {dir}")
        }
    }
}
