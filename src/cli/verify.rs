//! `pentagrid verify`: reruns finished trials and compares every metric and every row of history
//! bit for bit, wall-clock times aside. Writes nothing into the ledger.

mod choose;
mod compare;
mod rerun;

use serde::Serialize;

use self::choose::{choose, metric_of_all};
use self::compare::Difference;
use self::rerun::rerun;
use super::args::{LauncherArg, VerifyArgs};
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::ledger::{Identity, Reader};
use crate::plan::all_trials;
use crate::printable::one_line;
use crate::progress::Names;
use crate::schedule::{WorkerCommand, scratch_name};
use crate::sweep::{
    self, Computing, OpenSweep, Outcome, Placement, Subject, place, take_fingerprint, within_limits,
};
use crate::text::count;

/// What was compared, as JSON.
#[derive(Serialize)]
struct Verified {
    same: usize,
    differ: usize,
    trials: Vec<VerifiedTrial>,
}

#[derive(Serialize)]
struct VerifiedTrial {
    trial: String,
    /// Arm, values and seed.
    what: String,
    same: bool,
    /// Why the rerun failed, if it did.
    failure: Option<String>,
    differences: Vec<Difference>,
    /// The version of what is trained that gave the recorded result, if the rerun differs and is of
    /// another version.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_version: Option<i64>,
}

impl VerifiedTrial {
    /// The trial as text, with a line for each difference.
    fn described(&self) -> String {
        if self.same {
            return format!("same    {} {}", self.trial, self.what);
        }

        let mut lines = match &self.failure {
            Some(failure) => vec![format!("the rerun failed: {}", one_line(failure))],
            None => self
                .differences
                .iter()
                .map(|difference| one_line(&difference.to_string()).into_owned())
                .collect(),
        };
        if let Some(version) = self.other_version {
            lines.push(format!(
                "version {version} of what is trained gave the recorded result, and another one ran now"
            ));
        }
        format!(
            "DIFFERS {} {}\n  {}",
            self.trial,
            self.what,
            lines.join("\n  ")
        )
    }
}

/// Reruns finished trials and compares.
pub(super) fn verify(arguments: &VerifyArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::open(&arguments.dir)?;
    printer.hide(sweep::secrets(&sweep.spec));
    let rows = sweep.trials()?;
    let selected = sweep.evaluate(&rows)?.selected();
    let planned = all_trials(&sweep.spec, &sweep.grid, &selected);
    let chosen = choose(arguments, planned, &rows)?;
    let folder = sweep.folder()?;
    let OpenSweep {
        ledger, spec, grid, ..
    } = sweep;

    let launcher = arguments.launcher.map(LauncherArg::kind);
    let Placement { launcher, slots } = place(&spec, &arguments.devices, launcher)?;
    let slots = within_limits(slots, &spec, &launcher, printer)?;
    let subject = Subject {
        spec: &spec,
        folder: &folder,
        launcher: &launcher,
        computing: Computing::default(),
        run_dir: &arguments.dir,
    };
    let present = present_version(&ledger, subject, printer)?;

    // The metric may have been changed since a trial ran: a rerun needs only what was recorded.
    let mut asked = spec.clone();
    asked.metric.name = metric_of_all(&spec, &chosen, &rows);
    printer.say(&format!(
        "rerunning {}",
        count(chosen.len(), "finished trial")
    ));

    // A trial is compared with itself, not with a pack whose other trials change its rounding.
    let alone = Computing {
        pack: Some(1),
        ..Default::default()
    };
    let workers = WorkerCommand {
        start: sweep::start(&asked, &folder, alone, &launcher)?,
        // Logs of reruns do not mix with the sweep's own, nor with those of another call.
        dir: arguments.dir.join(scratch_name()),
        identity: ledger.identity()?.unwrap_or_else(|| Identity::random().id),
        slots,
        launcher: launcher.clone(),
    };
    let Some(mut reruns) = rerun(&chosen, &asked, &grid, workers, &arguments.dir)? else {
        return Ok(Outcome::Interrupted);
    };

    let names = Names::new(&spec, &grid);
    let versions = ledger.versions()?;
    let mut verified = Verified {
        same: 0,
        differ: 0,
        trials: Vec::with_capacity(chosen.len()),
    };
    for trial in &chosen {
        let again = reruns.remove(&trial.id).unwrap_or_default();
        let failure = again.failure();
        let differences = again.compare(&ledger, &rows[&trial.id])?;
        let same = failure.is_none() && differences.is_empty();
        let version = versions.of(trial.id).filter(|_| !same);
        let one = VerifiedTrial {
            trial: trial.id.to_string(),
            what: names.trial(trial),
            same,
            failure,
            differences,
            other_version: version.filter(|version| Some(*version) != present),
        };
        if !arguments.json {
            printer.text(&one.described())?;
        }

        if same {
            verified.same += 1;
        } else {
            verified.differ += 1;
        }
        verified.trials.push(one);
    }

    if arguments.json {
        printer.data(&json::document(&verified)?)?;
    } else {
        let of = count(chosen.len(), "trial");
        printer.text(&format!(
            "{} of {of} gave the same metrics and history, bit for bit",
            verified.same
        ))?;
    }
    let mut trials = verified.trials.iter();
    if let Some(task) = spec.task.built_in()
        && trials.any(|trial| trial.failure.is_none() && !trial.same)
    {
        printer.say(task.note_on_rounding);
    }
    Ok(if verified.differ == 0 {
        Outcome::Done
    } else {
        Outcome::SomeFailed
    })
}

/// Returns the recorded version that is the same as what would be trained now, and warns if there
/// are results of another one.
fn present_version(
    ledger: &Reader,
    subject: Subject<'_>,
    printer: &Printer,
) -> Result<Option<i64>, CliError> {
    let mut present = None;
    let retrained = ledger.retrained(|key| {
        let fingerprint = take_fingerprint(subject, key);
        present = Some(fingerprint.clone());
        fingerprint
    })?;
    if let Some(retrained) = retrained {
        let lines: Vec<&str> = retrained.difference.lines().map(String::as_str).collect();
        let of = count(retrained.trials, "finished trial");
        printer.warn(&format!(
            "what is trained has changed since {of} ran, so results may differ:\n  {}",
            lines.join("\n  ")
        ));
    }

    let Some(present) = present else {
        return Ok(None);
    };
    let versions = ledger.versions()?;
    let found = versions
        .list
        .iter()
        .find(|version| version.fingerprint.is_same(&present));
    Ok(found.map(|version| version.number))
}
