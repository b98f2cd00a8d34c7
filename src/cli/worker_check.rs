//! `pentagrid worker-check`: tells the author of a worker what it does wrong.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::args::WorkerCheckArgs;
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::files;
use crate::ledger::Identity;
use crate::machine::search_path;
use crate::printable::one_line;
use crate::schedule::conformance::{Check, Subject, Verdict, check};
use crate::schedule::devices::Machine;
use crate::schedule::{explained, log_end};
use crate::spec::{Config, Resources};
use crate::sweep::{self, Outcome, SweepError};
use crate::text::count;

/// How much of the worker's log is shown when something is wrong, in bytes.
const LOG_END: u64 = 2000;

/// What was found, as JSON.
#[derive(Serialize)]
struct Checked {
    passed: bool,
    checks: Vec<CheckedPromise>,
    log: String,
}

#[derive(Serialize)]
struct CheckedPromise {
    what: &'static str,
    verdict: &'static str,
    seen: String,
    help: Option<&'static str>,
}

/// Checks a worker.
pub(crate) fn worker_check(
    arguments: &WorkerCheckArgs,
    printer: &Printer,
) -> Result<Outcome, CliError> {
    let config: Config = serde_json::from_str(&arguments.config).map_err(|error| {
        CliError::Usage(format!(
            "--config {:?} is no JSON object of parameters: {error}\nwrite for example --config '{{\"lr\": 0.1}}'",
            arguments.config
        ))
    })?;
    let slot = Machine::detect()
        .slots(&arguments.devices, Resources::default())
        .map_err(SweepError::from)?
        .swap_remove(0);
    // An unpredictable name: every user may put links into this folder.
    let log = std::env::temp_dir().join(format!(
        "pentagrid-worker-check-{}.log",
        Identity::random().id
    ));
    files::create(&log).map_err(|source| CliError::File {
        what: "cannot create",
        path: log.clone(),
        source,
    })?;
    let subject = Subject {
        command: arguments.command.clone(),
        environment: slot.environment,
        log: log.clone(),
        config,
        metric: arguments.metric.clone(),
        trial_timeout: Duration::from_secs(arguments.patience),
    };
    let checks = sweep::runtime()?
        .block_on(check(&subject))
        .map_err(|error| {
            let program = arguments.command.first().map_or("", String::as_str);
            let here = std::env::current_dir().unwrap_or_default();
            let error = explained(&error, program, &here, &search_path());
            CliError::Usage(format!("cannot start {program:?}: {error}"))
        })?;
    if arguments.json {
        return as_json(checks, &log, printer);
    }
    let mut bad = 0;
    for (what, verdict) in &checks {
        let (mark, seen, help) = match verdict {
            Verdict::Good(seen) => ("ok  ", seen, None),
            Verdict::Odd(seen) => ("note", seen, None),
            Verdict::Bad(seen, help) => ("BAD ", seen, Some(*help)),
        };
        printer.text(&format!("{mark}  {what}: {}", one_line(seen)))?;
        if let Some(help) = help {
            bad += 1;
            printer.text(&format!("      {help}"))?;
        }
    }
    let said = log_end(&log, 0, None, LOG_END).unwrap_or_default();
    // The log has been read; a file that stays in the temporary folder would do no harm.
    let _ = std::fs::remove_file(&log);
    if bad == 0 {
        printer.text(&format!(
            "{}, nothing against the protocol",
            count(checks.len(), "check")
        ))?;
        return Ok(Outcome::Done);
    }
    if !said.trim().is_empty() {
        let lines: Vec<String> = said
            .trim_end()
            .lines()
            .map(|line| format!("  | {line}"))
            .collect();
        printer.text(&format!(
            "\nThe end of what it wrote on stderr:\n{}",
            lines.join("\n")
        ))?;
    }
    printer.text(&format!(
        "{}, {bad} against the protocol: see docs/protocol.md",
        count(checks.len(), "check")
    ))?;
    Ok(Outcome::SomeFailed)
}

impl From<Check> for CheckedPromise {
    fn from((what, verdict): Check) -> Self {
        let (verdict, seen, help) = match verdict {
            Verdict::Good(seen) => ("good", seen, None),
            Verdict::Odd(seen) => ("odd", seen, None),
            Verdict::Bad(seen, help) => ("bad", seen, Some(help)),
        };
        Self {
            what,
            verdict,
            seen,
            help,
        }
    }
}

fn as_json(checks: Vec<Check>, log: &Path, printer: &Printer) -> Result<Outcome, CliError> {
    let checks: Vec<CheckedPromise> = checks.into_iter().map(CheckedPromise::from).collect();
    let passed = checks.iter().all(|check| check.verdict != "bad");
    let answer = Checked {
        passed,
        checks,
        log: log_end(log, 0, None, LOG_END).unwrap_or_default(),
    };
    // As above.
    let _ = std::fs::remove_file(log);
    printer.data(&json::document(&answer)?)?;
    Ok(if passed {
        Outcome::Done
    } else {
        Outcome::SomeFailed
    })
}
