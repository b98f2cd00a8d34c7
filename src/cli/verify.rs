//! `pentagrid verify`: reruns finished trials and compares every metric and every row of history
//! bit for bit, wall-clock times aside. Writes nothing into the ledger.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, hash_map::RandomState};
use std::hash::BuildHasher;
use std::rc::Rc;

use serde::Serialize;
use tokio::sync::mpsc;

use super::args::{LauncherArg, VerifyArgs};
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::grid::TrialId;
use crate::ledger::{Committed, Identity, Reader, TrialRow, TrialState, VersionRow, Write};
use crate::plan::{PlannedTrial, all_trials, shuffle};
use crate::printable::one_line;
use crate::progress::Names;
use crate::protocol::{Metrics, Place, Position, Real, Unit};
use crate::schedule::{PhaseEnd, Policy, Recording, WorkerCommand};
use crate::schedule::{VERIFY, scratch_name, stop_listening};
use crate::shell::shell_path;
use crate::spec::Spec;
use crate::sweep::{
    self, Computing, OpenSweep, Outcome, Placement, Subject, SweepError, Unobserved, place,
    take_fingerprint, within_limits,
};
use crate::text::count;

/// What a trial gave: final metrics, and history by epoch.
#[derive(Debug, Default)]
struct Rerun {
    metrics: Option<Metrics>,
    history: BTreeMap<Position, Metrics>,
    failure: Option<String>,
}

/// Results by trial.
type Results = Rc<RefCell<HashMap<TrialId, Rerun>>>;

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

/// A metric that is not what was recorded.
#[derive(Serialize)]
struct Difference {
    /// Of the history; None: a final metric.
    epoch: Option<Place>,
    /// The same, of a history by steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Place>,
    metric: String,
    recorded: Option<Real>,
    now: Option<Real>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: Option<Real>| {
            value.map_or("nothing".to_owned(), |value| format!("{:?}", value.0))
        };
        if let Some(epoch) = self.epoch {
            write!(f, "epoch {epoch} ")?;
        }
        if let Some(step) = self.step {
            write!(f, "step {step} ")?;
        }
        write!(
            f,
            "{}: recorded {}, now {}",
            self.metric,
            show(self.recorded),
            show(self.now)
        )
    }
}

/// Reruns finished trials and compares.
pub fn verify(arguments: &VerifyArgs, printer: &Printer) -> Result<Outcome, CliError> {
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
    let computing = Computing::default();
    let subject = Subject {
        spec: &spec,
        folder: &folder,
        launcher: &launcher,
        computing,
        run_dir: &arguments.dir,
    };
    let mut present = None;
    let retrained = ledger.retrained(|key| {
        let fingerprint = take_fingerprint(subject, key);
        present = Some(fingerprint.clone());
        fingerprint
    })?;
    if let Some(retrained) = retrained {
        let lines: Vec<&str> = retrained.difference.lines().map(String::as_str).collect();
        let of = count(retrained.trials as usize, "finished trial");
        printer.warn(&format!(
            "what is trained has changed since {of} ran, so results may differ:\n  {}",
            lines.join("\n  ")
        ));
    }
    let versions = ledger.versions()?;
    let is_present = |version: &&VersionRow| {
        present
            .as_ref()
            .is_some_and(|present| version.fingerprint.is_same(present))
    };
    let present = versions.list.iter().find(is_present);
    let present = present.map(|version| version.number);
    let names = Names::new(&spec, &grid);
    // The metric may have been changed since a trial ran: a rerun needs only what was recorded.
    let mut asked = spec.clone();
    asked.metric.name = metric_of_all(&spec, &chosen, &rows);
    printer.say(&format!(
        "rerunning {}",
        count(chosen.len(), "finished trial")
    ));

    let results: Results = Rc::default();
    // Logs of reruns do not mix with the sweep's own, nor with those of another call.
    let scratch = arguments.dir.join(scratch_name());
    std::fs::create_dir_all(scratch.join("logs")).map_err(|source| CliError::File {
        what: "cannot create",
        path: scratch.clone(),
        source,
    })?;
    // A trial is compared with itself, not with what its neighbours made of its last bits.
    let alone = Computing {
        pack: Some(1),
        ..Default::default()
    };
    let workers = WorkerCommand {
        start: sweep::start(&asked, &folder, alone, &launcher)?,
        dir: scratch.clone(),
        identity: ledger.identity()?.unwrap_or_else(|| Identity::random().id),
        slots: slots.clone(),
        launcher: launcher.clone(),
    };
    let runtime = sweep::runtime()?;
    let (acknowledge, committed) = mpsc::unbounded_channel();
    let record = {
        let results = Rc::clone(&results);
        move |write: Write| {
            if write.is_about_trial() {
                note(&mut results.borrow_mut(), write);
                // The dispatcher, which holds the receiver, is the one who calls this.
                let _ = acknowledge.send(Committed::Count(1));
            }
        }
    };
    let configs = grid.clone();
    let mut dispatcher = sweep::dispatcher(
        &runtime,
        workers,
        sweep::settings(&asked, &slots, 1, &launcher, Vec::new()),
        Box::new(move |trial| configs[trial.arm].config(trial.index)),
        Recording {
            record: Box::new(record),
            committed,
            session: 0,
            next_worker: 1,
        },
        Box::new(Unobserved),
    )?;
    let end = runtime.block_on(async {
        match dispatcher.run(chosen.clone(), Policy::AllSlots).await? {
            PhaseEnd::Done => Ok(dispatcher.close().await?),
            stopped => Ok::<_, CliError>(stopped),
        }
    })?;
    // With it goes the thread that makes folders ready.
    drop(dispatcher);
    // From here on Ctrl-C ends the program, as usual, also if its output is not read.
    stop_listening();
    // What reruns wrote is of no further use, but for the log of one that was given up.
    if !matches!(end, PhaseEnd::GivenUp(..)) {
        drop(std::fs::remove_dir_all(&scratch));
        // Others may be at work beside it.
        drop(std::fs::remove_dir(arguments.dir.join(VERIFY)));
    }
    match end {
        PhaseEnd::Done => {}
        PhaseEnd::Interrupted => return Ok(Outcome::Interrupted),
        PhaseEnd::GivenUp(fatal, log) => {
            return Err(CliError::Sweep(SweepError::GivenUp {
                fatal,
                log,
                dir: arguments.dir.clone(),
            }));
        }
    }

    let mut verified = Verified {
        same: 0,
        differ: 0,
        trials: Vec::with_capacity(chosen.len()),
    };
    for trial in &chosen {
        let again = results.borrow_mut().remove(&trial.id).unwrap_or_default();
        let failure = match again.metrics {
            Some(_) => None,
            None => Some(
                again
                    .failure
                    .clone()
                    .unwrap_or_else(|| "no result".to_owned()),
            ),
        };
        let differences = compare(&ledger, &rows[&trial.id], &again)?;
        let (id, what, same) = (
            trial.id.to_string(),
            names.trial(trial),
            failure.is_none() && differences.is_empty(),
        );
        let other_version = versions
            .of(trial.id)
            .filter(|version| !same && Some(*version) != present);
        let mut lines: Vec<String> = match &failure {
            Some(failure) => vec![format!("the rerun failed: {}", one_line(failure))],
            None => differences
                .iter()
                .map(|difference| one_line(&difference.to_string()).into_owned())
                .collect(),
        };
        if let Some(version) = other_version {
            lines.push(format!(
                "version {version} of what is trained gave the recorded result, and another one ran now"
            ));
        }
        match (arguments.json, same) {
            (true, _) => {}
            (false, true) => printer.text(&format!("same    {id} {what}"))?,
            (false, false) => {
                printer.text(&format!("DIFFERS {id} {what}\n  {}", lines.join("\n  ")))?
            }
        }
        *(if same {
            &mut verified.same
        } else {
            &mut verified.differ
        }) += 1;
        verified.trials.push(VerifiedTrial {
            trial: id,
            what,
            same,
            failure,
            differences,
            other_version,
        });
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
    let rounding = verified
        .trials
        .iter()
        .any(|trial| trial.failure.is_none() && !trial.same);
    if let Some(task) = spec.task.built_in()
        && rounding
    {
        printer.say(task.note_on_rounding);
    }
    Ok(if verified.differ == 0 {
        Outcome::Done
    } else {
        Outcome::SomeFailed
    })
}

/// A metric that each of these trials has reported: the one that selects, if they have it. Empty if
/// there is none.
fn metric_of_all(
    spec: &Spec,
    trials: &[PlannedTrial],
    rows: &HashMap<TrialId, TrialRow>,
) -> String {
    let have = |name: &str| {
        trials.iter().all(|trial| {
            let metrics = rows.get(&trial.id).and_then(|row| row.metrics.as_ref());
            metrics.is_some_and(|metrics| metrics.get(name).is_some())
        })
    };
    if have(&spec.metric.name) {
        return spec.metric.name.clone();
    }
    let first = trials.first().and_then(|trial| rows.get(&trial.id));
    let names = first.and_then(|row| row.metrics.as_ref());
    names
        .into_iter()
        .flat_map(|metrics| metrics.0.keys())
        .find(|name| have(name))
        .cloned()
        .unwrap_or_default()
}

/// The trials to rerun: those that were named, or some drawn at random.
fn choose(
    arguments: &VerifyArgs,
    planned: Vec<PlannedTrial>,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Vec<PlannedTrial>, CliError> {
    let is_done = |id: TrialId| {
        rows.get(&id)
            .is_some_and(|row| row.state == TrialState::Done)
    };
    if arguments.trial.is_empty() {
        let mut done: Vec<PlannedTrial> = planned
            .into_iter()
            .filter(|trial| is_done(trial.id))
            .collect();
        if done.is_empty() {
            return Err(CliError::Usage(format!(
                "{} has no finished trials to rerun yet",
                arguments.dir.display()
            )));
        }
        // Another draw at each call, so that repeated calls cover more and more of the sweep.
        shuffle(&mut done, RandomState::new().hash_one(0));
        done.truncate(arguments.n as usize);
        return Ok(done);
    }
    let find = |typed: &String| {
        let fits = |id: TrialId| match typed.split_once('-') {
            Some((point, seed)) => {
                id.point.to_string().starts_with(point) && id.seed.to_string() == seed
            }
            None => id.point.to_string().starts_with(typed.as_str()),
        };
        let found: Vec<PlannedTrial> = planned
            .iter()
            .filter(|trial| fits(trial.id) && is_done(trial.id))
            .copied()
            .collect();
        match found[..] {
            [trial] => Ok(trial),
            [] => Err(CliError::Usage(format!(
                "{typed} is no finished trial of this sweep; `pentagrid trials {} --state done` lists them",
                shell_path(&arguments.dir)
            ))),
            [first, second, ..] => Err(CliError::Usage(format!(
                "{typed:?} is not enough to tell {} finished trials apart, {} and {} among them",
                found.len(),
                first.id,
                second.id
            ))),
        }
    };
    arguments.trial.iter().map(find).collect()
}

fn note(results: &mut HashMap<TrialId, Rerun>, write: Write) {
    match write {
        Write::TrialStarted { trial, .. } => drop(results.insert(trial, Rerun::default())),
        // As the ledger does: several rows of one position are one.
        Write::Epoch {
            trial,
            position,
            values,
        } => {
            results
                .entry(trial)
                .or_default()
                .history
                .entry(position)
                .or_default()
                .0
                .extend(values.numbers.0);
        }
        Write::TrialDone { trial, metrics, .. } => {
            results.entry(trial).or_default().metrics = Some(metrics.numbers)
        }
        Write::TrialFailed {
            trial,
            kind,
            message,
            ..
        } => {
            results.entry(trial).or_default().failure = Some(format!("{kind}: {message}"));
        }
        _ => {}
    }
}

/// What differs between a recorded trial and its rerun; nothing where the rerun failed.
fn compare(
    ledger: &Reader,
    recorded: &TrialRow,
    again: &Rerun,
) -> Result<Vec<Difference>, CliError> {
    let Some(metrics) = &again.metrics else {
        return Ok(Vec::new());
    };
    let mut all = differences(
        None,
        recorded.metrics.as_ref().unwrap_or(&Metrics::default()),
        metrics,
    );
    let history: BTreeMap<Position, Metrics> = ledger
        .history_of(recorded.id)?
        .into_iter()
        .map(|row| (row.position, row.metrics))
        .collect();
    let empty = Metrics::default();
    let positions: std::collections::BTreeSet<Position> = history
        .keys()
        .chain(again.history.keys())
        .copied()
        .collect();
    for position in positions {
        let (was, is) = (
            history.get(&position).unwrap_or(&empty),
            again.history.get(&position).unwrap_or(&empty),
        );
        all.extend(differences(Some(position), was, is));
    }
    Ok(all)
}

fn differences(position: Option<Position>, was: &Metrics, is: &Metrics) -> Vec<Difference> {
    let (was, is) = (was.without_wall_clock(), is.without_wall_clock());
    let names: std::collections::BTreeSet<&String> = was.0.keys().chain(is.0.keys()).collect();
    names
        .into_iter()
        .filter(|name| was.0.get(*name) != is.0.get(*name))
        .map(|name| Difference {
            epoch: position.and_then(|position| position.of(Unit::Epoch)),
            step: position.and_then(|position| position.of(Unit::Step)),
            metric: name.clone(),
            recorded: was.0.get(name).copied(),
            now: is.0.get(name).copied(),
        })
        .collect()
}
