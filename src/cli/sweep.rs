//! The whole way of a sweep, for `run` and `resume`: opens the ledger, runs the tuning trials, selects, runs the
//! final trials, reports. Puts the modules together; each does its own part.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::args::HowArgs;
use super::environment;
use super::error::{CliError, Outcome};
use super::printer::{Printer, count};
use super::report::{self, Written};
use super::sweep_file::{self, SweepFile};
use crate::aggregate::{evaluate, race};
use crate::grid::{Grid, TrialId};
use crate::ledger::{Committed, Opened, Reader, Stamped, TrialRow, TrialState, Write, Writer, open_for_run};
use crate::live::{Bars, Names, Plain};
use crate::plan::{Groups, Phase, PlannedTrial, final_trials, gather, shuffle, tuning_trials};
use crate::schedule::devices::{Machine, SlotDevice};
use crate::schedule::{
    Dispatcher, Launcher, Notice, Observer, PhaseEnd, Policy, Recorder, Settings, WorkerCommand, end_left, stop_listening,
};
use crate::spec::command::shell_path;
use crate::spec::{Prune, Spec, Task};

/// What to run, where, and how.
pub struct Request<'a> {
    /// The spec.
    pub file: SweepFile,
    /// The run directory.
    pub dir: PathBuf,
    /// The folder that the sweep is started from.
    pub folder: PathBuf,
    /// Whether a changed spec is welcome.
    pub accept_changes: bool,
    /// How.
    pub how: &'a HowArgs,
}

/// Runs a sweep to its end, or as far as it gets.
pub fn run(request: Request<'_>, printer: &Printer) -> Result<Outcome, CliError> {
    let Request { file, dir, folder, accept_changes, how } = request;
    if how.best_first && file.spec.prune == Prune::None {
        return Err(CliError::Usage(
            "--best-first needs `prune: safe` in the sweep file: without it every trial runs, whatever the order".to_owned(),
        ));
    }
    let grid = Grid::new(&file.spec);
    let slots = Machine::look().slots(&how.devices, file.spec.widest_resources())?;
    let start = environment::start(&file.spec, &folder, environment::Computing { pack: how.pack, tf32: how.tf32 })?;
    let devices = slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(" ");
    let session = environment::session(devices, &folder);
    let opened = open_for_run(&dir, &file.text, &file.spec, &session, accept_changes)?;
    greet(&opened, &dir, printer);

    let Opened { lock, connection, path, session, next_worker, .. } = opened;
    let (acknowledge, committed) = mpsc::unbounded_channel();
    // The receiver is gone only when the sweep is over.
    let writer = Rc::new(Writer::start(connection, path, move |committed| drop(acknowledge.send(committed))));
    let record = {
        let writer = Rc::clone(&writer);
        move |write| writer.send(Stamped { at: environment::now(), write })
    };
    let runtime = runtime()?;
    let workers = WorkerCommand { start, dir: dir.clone(), slots: slots.clone() };
    let configs = grid.clone();
    let dispatcher = dispatcher(
        &runtime,
        workers,
        settings(&file.spec, &slots, how.bundle.max(how.pack.unwrap_or(1)).into()),
        Box::new(move |trial| configs.arms()[trial.arm].config(trial.index)),
        (Box::new(record.clone()), committed),
        observer(&file.spec, &grid, printer),
        (session, next_worker),
    )?;
    let reader = Reader::open(&dir)?;
    let end = Phases { spec: &file.spec, grid: &grid, reader, slots: &slots, how, runtime: &runtime, dispatcher }.run();
    let outcome = match &end {
        Ok(PhaseEnd::Done) => outcome(&file.spec, &grid, &Reader::open(&dir)?)?,
        Ok(PhaseEnd::Interrupted) => Outcome::Interrupted,
        Ok(PhaseEnd::GivenUp(..)) | Err(_) => Outcome::SomeFailed,
    };
    // What left its process group is known by its mark only.
    let strays = end_left(&[], &dir);
    if strays > 0 {
        tracing::info!(strays, "ended processes that trials had left");
    }
    record(Write::SessionEnded { session, outcome: outcome.name() });
    drop(record);
    drop(writer);
    drop(lock);
    // The sweep is over and everything recorded: from here on Ctrl-C ends the program, as usual.
    stop_listening();
    match end? {
        PhaseEnd::Done => {
            let here = environment::folder().is_ok_and(|here| here == folder);
            let default = sweep_file::default_report_dir(&file.spec);
            // Beside the report of the run before, wherever one goes on with it.
            let default = if here || !folder.is_dir() { default } else { folder.join(default) };
            let out = how.out.clone().unwrap_or(default);
            let Written { text, .. } = report::write(&dir, &out)?;
            printer.data(&text)?;
            if outcome == Outcome::SomeFailed {
                printer.warn(&format!("some trials failed for good: see `pentagrid trials {} --state failed`", shell_path(&dir)));
            }
        }
        PhaseEnd::Interrupted => farewell(&file.spec, &grid, &dir, printer)?,
        PhaseEnd::GivenUp(fatal, log) => return Err(CliError::GivenUp { fatal, log, dir }),
    }
    Ok(outcome)
}

/// A runtime for a dispatcher: one thread is enough for the messages of hundreds of workers.
pub fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Unexpected(format!("cannot start the event loop: {error}")))
}

/// A dispatcher on a runtime.
pub fn dispatcher(
    runtime: &Runtime,
    workers: WorkerCommand,
    settings: Settings,
    config_of: Launcher,
    record: (Recorder, mpsc::UnboundedReceiver<Committed>),
    observer: Box<dyn Observer>,
    first_numbers: (i64, i64),
) -> Result<Dispatcher, CliError> {
    let _within = runtime.enter();
    Dispatcher::new(workers, settings, config_of, record, observer, first_numbers)
        .map_err(|error| CliError::Unexpected(format!("cannot listen to signals: {error}")))
}

/// The scheduler's settings for a sweep.
pub fn settings(spec: &Spec, slots: &[SlotDevice], bundle: usize) -> Settings {
    Settings {
        slots: slots.iter().map(|slot| slot.device).collect(),
        persistent: !matches!(spec.task, Task::Program(_)),
        // A program trains one trial.
        bundle: if matches!(spec.task, Task::Program(_)) { 1 } else { bundle },
        metric: spec.metric.name.clone(),
        heartbeat: Duration::from_secs(60),
        start: Duration::from_secs(120),
        grace: Duration::from_secs(5),
        limits: spec.limits.clone(),
        // Only GPUs are shared out so: cores are slots of their own.
        per_gpu: match slots.first() {
            Some(slot) if slot.name.starts_with("cuda") => {
                (0..spec.arms.len()).map(|arm| spec.resources_of(arm).per_gpu).collect()
            }
            _ => Vec::new(),
        },
        arms: spec.arms.iter().map(|arm| arm.label.clone()).collect(),
    }
}

/// Says what was found in the run directory, and ends what a killed coordinator left running.
fn greet(opened: &Opened, dir: &Path, printer: &Printer) {
    for remark in &opened.remarks {
        printer.say(remark);
    }
    let ended = end_left(&opened.left_workers, dir);
    if ended > 0 {
        let them = if ended == 1 { "1 process" } else { &format!("{ended} processes") };
        printer.say(&format!("ended {them} that a killed coordinator had left running"));
    }
    if opened.cut_off > 0 {
        printer.say(&format!(
            "cut off when the last run in {} was killed, and to start again: {}",
            dir.display(),
            count(opened.cut_off, "trial")
        ));
    }
}

fn observer(spec: &Spec, grid: &Grid, printer: &Printer) -> Box<dyn Observer> {
    let names = Names::new(spec, grid);
    match printer.bars() {
        Some(area) => Box::new(Bars::new(names, area)),
        None => {
            let printer = printer.clone();
            Box::new(Plain::new(names, move |line: &str| printer.say(line)))
        }
    }
}

/// The two phases of a sweep.
struct Phases<'a> {
    spec: &'a Spec,
    grid: &'a Grid,
    reader: Reader,
    slots: &'a [SlotDevice],
    how: &'a HowArgs,
    runtime: &'a Runtime,
    dispatcher: Dispatcher,
}

impl Phases<'_> {
    /// Only the trials run within the event loop: Polars, which selection uses, refuses to work inside one.
    fn run(mut self) -> Result<PhaseEnd, CliError> {
        let mut tuning = tuning_trials(self.grid, &self.spec.seeds.tune);
        if let Some(seed) = self.how.shuffle {
            shuffle(&mut tuning, seed);
        }
        if !self.how.no_sharing {
            Groups::of(self.spec, self.grid).mark(&mut tuning);
            gather(&mut tuning);
        }
        if let Some(race) = race(self.spec, self.grid, &self.rows()?) {
            self.dispatcher.race(race, self.how.best_first);
        }
        let mut end = self.phase(Phase::Tune, tuning.clone(), Policy::AllSlots)?;
        if matches!(end, PhaseEnd::Done) {
            end = self.finals()?;
        }
        // A final trial may have shown that the bound of `prune: safe` does not hold.
        if matches!(end, PhaseEnd::Done) && evaluate(self.spec, self.grid, &self.rows()?)?.tuning_left() > 0 {
            end = self.phase(Phase::Tune, tuning, Policy::AllSlots)?;
            if matches!(end, PhaseEnd::Done) {
                end = self.finals()?;
            }
        }
        match end {
            // All trials are done: a Ctrl-C while the workers leave only hurries them.
            PhaseEnd::Done => match self.runtime.block_on(self.dispatcher.close())? {
                PhaseEnd::Interrupted => Ok(PhaseEnd::Done),
                end => Ok(end),
            },
            stopped => Ok(stopped),
        }
    }

    fn finals(&mut self) -> Result<PhaseEnd, CliError> {
        let evaluation = evaluate(self.spec, self.grid, &self.rows()?)?;
        let finals = final_trials(self.grid, &evaluation.selected(), &self.spec.seeds.final_);
        self.phase(Phase::Final, finals, Policy::OnePerDevice)
    }

    fn rows(&self) -> Result<HashMap<TrialId, TrialRow>, CliError> {
        Ok(self.reader.trials()?.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Runs those trials of a phase that have no result yet.
    fn phase(&mut self, phase: Phase, trials: Vec<PlannedTrial>, policy: Policy) -> Result<PhaseEnd, CliError> {
        if trials.is_empty() {
            return Ok(PhaseEnd::Done);
        }
        let rows = self.rows()?;
        let mut arms = vec![(0, 0, 0); self.grid.arms().len()];
        let mut left = Vec::new();
        for trial in trials {
            let (all, done, failed) = &mut arms[trial.arm];
            *all += 1;
            match rows.get(&trial.id).map(|row| row.state) {
                Some(TrialState::Done) => *done += 1,
                Some(TrialState::Failed) if !self.how.retry_failed => *failed += 1,
                _ => left.push(trial),
            }
        }
        let slots = match policy {
            Policy::AllSlots => self.slots.len(),
            Policy::OnePerDevice => self.slots.iter().map(|slot| slot.device).collect::<HashSet<_>>().len(),
        };
        self.dispatcher.tell(&Notice::PhaseStarted { phase, arms, slots });
        let end = self.runtime.block_on(self.dispatcher.run(left, policy))?;
        self.dispatcher.tell(&Notice::PhaseEnded { phase });
        Ok(end)
    }
}

/// How a sweep that was run to its end ended.
fn outcome(spec: &Spec, grid: &Grid, reader: &Reader) -> Result<Outcome, CliError> {
    let rows = reader.trials()?.into_iter().map(|row| (row.id, row)).collect();
    let evaluation = evaluate(spec, grid, &rows)?;
    Ok(if evaluation.failed() == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// Says what an interrupted sweep has kept, and how to go on.
fn farewell(spec: &Spec, grid: &Grid, dir: &Path, printer: &Printer) -> Result<(), CliError> {
    let rows = Reader::open(dir)?.trials()?.into_iter().map(|row| (row.id, row)).collect();
    let evaluation = evaluate(spec, grid, &rows)?;
    let sum = |tally: fn(&crate::aggregate::ArmEvaluation) -> u64| evaluation.arms.iter().map(tally).sum::<u64>();
    let tune = (sum(|arm| arm.tune_tally.done), sum(|arm| arm.tune_tally.planned));
    let finals = (sum(|arm| arm.final_tally.done), grid.arms().len() as u64 * spec.seeds.final_.len() as u64);
    let kept: Vec<String> = [(tune, "tuning"), (finals, "final")]
        .into_iter()
        .filter(|((_, planned), _)| *planned > 0)
        .map(|((done, planned), phase)| format!("{done} of {planned} {phase}"))
        .collect();
    printer.warn(&format!(
        "interrupted; kept in {dir}: the results of {} trials\ngo on with: pentagrid resume {}",
        kept.join(" and "),
        shell_path(dir),
        dir = dir.display()
    ));
    Ok(())
}
