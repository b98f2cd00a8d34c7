//! The whole way of a sweep, for `run` and `resume`: opens the ledger, runs the tuning trials,
//! selects, runs the final trials, reports. Puts the modules together; each does its own part.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::args::HowArgs;
use super::ending;
use super::environment;
use super::error::{CliError, Outcome};
use super::find_program;
use super::fingerprint::{self, Subject};
use super::leftovers;
use super::made_report;
use super::output_dirs;
use super::places::{self, Places};
use super::printer::Printer;
use super::recorded;
use super::report;
use super::sweep_file::SweepFile;
use crate::aggregate::{Evaluation, evaluate, race, start_threads};
use crate::grid::{Grid, TrialId};
use crate::ledger::{
    Committed, LedgerError, Opened, Reader, Stamped, TrialRow, TrialState, Waiting, Write, Writer,
    open_for_run,
};
use crate::plan::{
    Fingerprint, Groups, Phase, PlannedTrial, final_trials, gather, shuffle, tuning_trials,
};
use crate::progress::{Bars, Names, Plain};
use crate::schedule::devices::SlotDevice;
use crate::schedule::ulimits;
use crate::schedule::{
    ConfigOf, Dispatcher, Launcher, Mark, Notice, Observer, Orphans, PhaseEnd, Policy, Recorder,
    Settings, WorkerCommand, end_left, stop_listening,
};
use crate::spec::command::shell_path;
use crate::spec::{Prune, Spec, Task};

/// When the user is told that another program keeps the ledger from being read, and how often after
/// that.
const FIRST_MESSAGE: Duration = Duration::from_secs(4);
const MESSAGE_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait between two tries to read it.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// What to run, where, and how.
pub struct Request<'a> {
    /// The spec.
    pub file: SweepFile,
    /// The run directory.
    pub dir: PathBuf,
    /// The folder that the sweep is started from.
    pub folder: PathBuf,
    /// How.
    pub how: &'a HowArgs,
}

/// Runs a sweep to its end, or as far as it gets.
pub fn run(request: Request<'_>, printer: &Printer) -> Result<Outcome, CliError> {
    let Request {
        file,
        dir,
        folder,
        how,
    } = request;
    if how.best_first && file.spec.prune == Prune::None {
        return Err(CliError::Usage(
            "--best-first needs `prune: safe` in the sweep file: without it every trial runs, whatever the order".to_owned(),
        ));
    }
    let secrets = environment::secrets(&file.spec);
    printer.hide(secrets.clone());
    let out = how
        .out
        .clone()
        .unwrap_or_else(|| default_out(&file.spec, &dir, &folder));
    if how.out.is_none() {
        output_dirs::refuse_others(&out, &dir)?;
    }
    let grid = Grid::new(&file.spec);
    let Places { launcher, slots } = places::find(&file.spec, &how.devices, how.launcher)?;
    let slots = places::with_room(slots, &file.spec, &launcher, printer)?;
    if let Launcher::Slurm(slurm) = &launcher {
        slurm.remarks.iter().for_each(|remark| printer.say(remark));
    }
    if ulimits::has_plenty_of_files() {
        start_threads()?;
    }
    let computing = environment::Computing {
        pack: how.pack,
        tf32: how.tf32,
    };
    let start = environment::start(&file.spec, &folder, computing, &launcher)?;
    if let Some(warning) = find_program::handover_warning(&file.spec, &folder) {
        printer.warn(warning);
    }
    let devices = slots
        .iter()
        .map(|slot| slot.name.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let mut session = environment::session(devices, &folder);
    secrets.redact_in(&mut session.command);
    let subject = Subject {
        spec: &file.spec,
        folder: &folder,
        launcher: &launcher,
        computing,
        run_dir: &dir,
    };
    let waits = |waiting: Waiting| {
        printer.warn(&format!(
            "{waiting}: waiting until it is free (Ctrl-C to stop)"
        ))
    };
    let opened = open_for_run(
        &dir,
        &file.text,
        &file.spec,
        &session,
        how.consent(),
        |key| fingerprint::take(subject, key),
        &waits,
    )?;
    let mark = Mark {
        legacy: opened.identity.of_earlier_version,
        ..Mark::new(&dir, &opened.identity.id)
    };
    let ended = leftovers::end(&opened, &dir, &mark, printer);

    let Opened {
        claim,
        connection,
        session,
        next_worker,
        identity,
        fingerprint: taken,
        key,
        ..
    } = opened;
    let (acknowledge, committed) = mpsc::unbounded_channel();
    // The receiver is gone only when the sweep is over.
    let writer = Rc::new(Writer::start(connection, claim, move |committed| {
        drop(acknowledge.send(committed))
    }));
    let clock = Rc::new(environment::Clock::default());
    let record = {
        let writer = Rc::clone(&writer);
        move |mut write| {
            recorded::redact(&secrets, &mut write);
            writer.send(Stamped {
                at: clock.now(),
                write,
            });
        }
    };
    // Only now that they have ended: if this program had been killed before, the next one would
    // have had to end them.
    for worker in ended {
        record(Write::WorkerEnded {
            worker,
            outcome: "left by a killed coordinator".to_owned(),
        });
    }
    let runtime = runtime()?;
    // Processes of other launchers have rules of their own for how they are ended.
    let orphans = if launcher.is_local() {
        Orphans::adopt()
    } else {
        None
    };
    let workers = WorkerCommand {
        start,
        dir: dir.clone(),
        identity: identity.id,
        slots: slots.clone(),
        launcher: launcher.clone(),
    };
    let reader = Reader::open(&dir)?;
    reader.wait_at_most(RETRY_INTERVAL)?;
    let longest = longest(&file.spec, &reader)?;
    let configs = grid.clone();
    let dispatcher = dispatcher(
        &runtime,
        workers,
        Settings {
            warned_of_notes: reader.has_notes()?,
            ..settings(
                &file.spec,
                &slots,
                how.bundle.max(how.pack.unwrap_or(1)).into(),
                &launcher,
                longest,
            )
        },
        Box::new(move |trial| configs.arms()[trial.arm].config(trial.index)),
        (Box::new(record.clone()), committed),
        observer(&file.spec, &grid, printer),
        (session, next_worker),
    )?;
    let rows = rows(&reader)?;
    let watched = Watched {
        subject,
        key,
        taken,
        session,
        record: Box::new(record.clone()),
        printer,
    };
    let mut phases = Phases {
        spec: &file.spec,
        grid: &grid,
        reader,
        rows,
        ran: false,
        slots: &slots,
        how,
        runtime: &runtime,
        dispatcher,
        watched,
    };
    let end = phases.run();
    let ran = phases.ran;
    // The dispatcher writes to the ledger, too, and must be gone before it is closed.
    drop(phases);
    let outcome = match &end {
        Ok((PhaseEnd::Done, Some(evaluation))) => Some(ending::outcome(evaluation)),
        Ok((PhaseEnd::Interrupted, _)) => Some(Outcome::Interrupted),
        Ok(_) | Err(_) => None,
    };
    // What left its process group is known by its mark only.
    let strays = end_left(&[], &mark) + orphans.map_or(0, Orphans::end_all);
    if strays > 0 {
        tracing::info!(strays, "ended processes that trials had left");
    }
    record(Write::SessionEnded {
        session,
        outcome: outcome.map_or("failed", Outcome::name),
    });
    drop(record);
    if let Some(writer) = Rc::into_inner(writer) {
        if matches!(&end, Err(CliError::Ledger(LedgerError::Unwritten { .. }))) {
            writer.abandon();
        }
        writer.finish(|line| {
            // Every result is recorded: Ctrl-C need not wait for the rest.
            stop_listening();
            printer.warn(line);
        });
    }
    // The sweep is over and everything recorded: from here on Ctrl-C ends the program, as usual.
    stop_listening();
    let (end, evaluation) = end?;
    let mut is_whole = true;
    match end {
        PhaseEnd::Done => {
            // With nothing run, the report of the run before may be this one's too.
            let made = if ran {
                None
            } else {
                made_report::find(&dir, &out)?
            };
            let text = match made {
                Some(text) => text,
                None => {
                    let written = report::write(&dir, &out)?;
                    // What the report has read is the last word: results may have disappeared
                    // since.
                    is_whole = written.complete && written.unselected.is_empty();
                    written.text
                }
            };
            printer.text(&text)?;
            for warning in evaluation
                .iter()
                .flat_map(|evaluation| ending::warnings(&file.spec, &dir, evaluation))
            {
                printer.warn(&warning);
            }
        }
        PhaseEnd::Interrupted => farewell(&file.spec, &grid, &dir, printer)?,
        PhaseEnd::GivenUp(fatal, log) => return Err(CliError::GivenUp { fatal, log, dir }),
    }
    Ok(match outcome {
        Some(Outcome::Done) if !is_whole => Outcome::Incomplete,
        outcome => outcome.unwrap_or(Outcome::Incomplete),
    })
}

/// Where the report goes that no `--out` names: beside the report of the run before, wherever one
/// goes on with it.
fn default_out(spec: &Spec, dir: &Path, folder: &Path) -> PathBuf {
    let default = output_dirs::default_report_dir(dir, spec);
    let here = environment::folder().is_ok_and(|here| here == folder);
    if here || !folder.is_dir() {
        default
    } else {
        folder.join(default)
    }
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
    config_of: ConfigOf,
    record: (Recorder, mpsc::UnboundedReceiver<Committed>),
    observer: Box<dyn Observer>,
    first_numbers: (i64, i64),
) -> Result<Dispatcher, CliError> {
    let _within = runtime.enter();
    Dispatcher::new(
        workers,
        settings,
        config_of,
        record,
        observer,
        first_numbers,
    )
    .map_err(|error| CliError::Unexpected(format!("cannot listen to signals: {error}")))
}

/// The scheduler's settings for a sweep.
pub fn settings(
    spec: &Spec,
    slots: &[SlotDevice],
    bundle: usize,
    launcher: &Launcher,
    longest: Vec<Option<Duration>>,
) -> Settings {
    Settings {
        queued: launcher.has_queue(),
        agent: launcher.has_agent(matches!(spec.task, Task::Program(_))),
        all_end: match launcher {
            Launcher::Slurm(slurm) => slurm.ends_in,
            Launcher::Local | Launcher::Prefix(_) => None,
        },
        longest,
        slots: slots.iter().map(|slot| slot.device).collect(),
        persistent: !matches!(spec.task, Task::Program(_)),
        // A program trains one trial.
        bundle: if matches!(spec.task, Task::Program(_)) {
            1
        } else {
            bundle
        },
        metric: spec.metric.name.clone(),
        heartbeat: Duration::from_secs(60),
        start: launcher.start(),
        grace: Duration::from_secs(5),
        shortage: environment::shortage_limit(),
        limits: spec.limits.clone(),
        // Only GPUs are shared out so: cores are slots of their own.
        per_gpu: match slots.first() {
            Some(slot) if slot.name.starts_with("cuda") => (0..spec.arms.len())
                .map(|arm| spec.resources_of(arm).per_gpu)
                .collect(),
            _ => Vec::new(),
        },
        arms: spec.arms.iter().map(|arm| arm.label.clone()).collect(),
        warned_of_notes: false,
    }
}

/// The longest that a trial of each arm has taken.
fn longest(spec: &Spec, reader: &Reader) -> Result<Vec<Option<Duration>>, CliError> {
    let known = reader.longest_durations()?;
    let of = |arm: &crate::spec::Arm| Duration::try_from_secs_f64(*known.get(&arm.name)?).ok();
    Ok(spec.arms.iter().map(of).collect())
}

fn observer(spec: &Spec, grid: &Grid, printer: &Printer) -> Box<dyn Observer> {
    let names = Names::new(spec, grid);
    let write = {
        let printer = printer.clone();
        move |line: &str| printer.say(line)
    };
    if printer.has_bars() {
        let bars = Bars::new(names, write);
        printer.show(bars.source());
        Box::new(bars)
    } else {
        Box::new(Plain::new(names, write))
    }
}

/// The two phases of a sweep.
struct Phases<'a> {
    spec: &'a Spec,
    grid: &'a Grid,
    reader: Reader,
    /// What the ledger holds of each trial.
    rows: HashMap<TrialId, TrialRow>,
    /// Whether any trial was left to be run.
    ran: bool,
    slots: &'a [SlotDevice],
    how: &'a HowArgs,
    runtime: &'a Runtime,
    dispatcher: Dispatcher,
    watched: Watched<'a>,
}

/// What is trained, watched for edits while trials run.
struct Watched<'a> {
    subject: Subject<'a>,
    key: [u8; 32],
    /// The fingerprint as it was last taken.
    taken: Fingerprint,
    session: i64,
    record: Recorder,
    printer: &'a Printer,
}

impl Watched<'_> {
    /// Looks whether the code was edited since the last look. Programs read it again for each
    /// trial, so which of the trials that ran since then ran which code is not known: their version
    /// is noted as such.
    fn look(&mut self) {
        let mut now = fingerprint::take(self.subject, &self.key);
        let before = Fingerprint {
            edited: Vec::new(),
            ..self.taken.clone()
        };
        // A file that is away at this moment was not edited: no trial can have run without it.
        let code: Vec<String> = now
            .since(&before)
            .code
            .into_iter()
            .filter(|line| !line.ends_with(" is gone"))
            .collect();
        if now.is_same(&before) || code.is_empty() {
            return;
        }
        self.printer.warn(&format!(
            "what is trained was changed while trials ran, so which of them ran the changed code is not known:\n  {}\n\
             `pentagrid run ... --rerun-changed` runs the trials of this run again; files that the trials themselves write belong \
             in .gitignore or in the trial's folder (PENTAGRID_DIR)",
            code.join("\n  ")
        ));
        now.edited = self.taken.edited.clone();
        now.edited.extend(
            code.into_iter()
                .map(|line| format!("while trials ran: {line}")),
        );
        (self.record)(Write::Edited {
            session: self.session,
            fingerprint: Box::new(now.clone()),
        });
        self.taken = now;
    }
}

impl Phases<'_> {
    /// Only the trials run within the event loop: Polars, which selection uses, refuses to work
    /// inside one.
    fn run(&mut self) -> Result<(PhaseEnd, Option<Evaluation>), CliError> {
        let mut tuning = tuning_trials(self.grid, &self.spec.seeds.tune);
        if let Some(seed) = self.how.shuffle {
            shuffle(&mut tuning, seed);
        }
        if !self.how.no_sharing {
            Groups::of(self.spec, self.grid).mark(&mut tuning);
            gather(&mut tuning);
        }
        if let Some(race) = race(self.spec, self.grid, &self.rows) {
            self.dispatcher.race(race, self.how.best_first);
        }
        let mut end = self.phase(Phase::Tune, tuning.clone(), Policy::AllSlots)?;
        let mut evaluation = None;
        if matches!(end, PhaseEnd::Done) {
            (end, evaluation) = self.finals()?;
        }
        // A final trial may have shown that the bound of `prune: safe` does not hold.
        let held_back =
            |evaluation: &Evaluation| evaluation.beyond.is_some() && evaluation.tuning_left() > 0;
        if matches!(end, PhaseEnd::Done) && evaluation.as_ref().is_some_and(held_back) {
            end = self.phase(Phase::Tune, tuning, Policy::AllSlots)?;
            if matches!(end, PhaseEnd::Done) {
                (end, evaluation) = self.finals()?;
            }
        }
        match end {
            // All trials are done: a Ctrl-C while the workers leave only hurries them.
            PhaseEnd::Done => match self.runtime.block_on(self.dispatcher.close())? {
                PhaseEnd::Interrupted => Ok((PhaseEnd::Done, evaluation)),
                end => Ok((end, evaluation)),
            },
            stopped => Ok((stopped, None)),
        }
    }

    /// Runs the final trials of the points that are selected now. How it ended, and how the sweep
    /// stands after them.
    fn finals(&mut self) -> Result<(PhaseEnd, Option<Evaluation>), CliError> {
        let tuned = evaluate(self.spec, self.grid, &self.rows)?;
        if let Some(unreported) = tuned
            .unreported(&self.spec.metric.name)
            .filter(|_| !self.spec.seeds.tune.is_empty())
        {
            self.runtime.block_on(self.dispatcher.close())?;
            return Err(CliError::Unreported { unreported });
        }
        // All tuning trials were run. Where results are missing all the same, something else has
        // changed the ledger: what would be selected now may not be the best point.
        if tuned.tuning_left() > 0 {
            return Ok((PhaseEnd::Done, Some(tuned)));
        }
        let finals = final_trials(self.grid, &tuned.selected(), &self.spec.seeds.final_);
        let changed = self.left(&finals) > 0;
        let end = self.phase(Phase::Final, finals, Policy::OnePerDevice)?;
        let evaluation = if changed {
            evaluate(self.spec, self.grid, &self.rows)?
        } else {
            tuned
        };
        Ok((end, Some(evaluation)))
    }

    /// Whether a trial has still to be run.
    fn is_left(&self, trial: &PlannedTrial) -> bool {
        match self.rows.get(&trial.id).map(|row| row.state) {
            Some(TrialState::Done) => false,
            Some(TrialState::Failed) => self.how.retry_failed,
            _ => true,
        }
    }

    fn left(&self, trials: &[PlannedTrial]) -> usize {
        trials.iter().filter(|trial| self.is_left(trial)).count()
    }

    /// Runs those trials of a phase that have no result yet.
    fn phase(
        &mut self,
        phase: Phase,
        trials: Vec<PlannedTrial>,
        policy: Policy,
    ) -> Result<PhaseEnd, CliError> {
        if trials.is_empty() {
            return Ok(PhaseEnd::Done);
        }
        let mut arms = vec![(0, 0, 0); self.grid.arms().len()];
        let mut left = Vec::new();
        for trial in trials {
            let (all, done, failed) = &mut arms[trial.arm];
            *all += 1;
            match self.rows.get(&trial.id).map(|row| row.state) {
                _ if self.is_left(&trial) => left.push(trial),
                Some(TrialState::Done) => *done += 1,
                _ => *failed += 1,
            }
        }
        let runs = !left.is_empty();
        let slots = match policy {
            Policy::AllSlots => self.slots.len(),
            Policy::OnePerDevice => self
                .slots
                .iter()
                .map(|slot| slot.device)
                .collect::<HashSet<_>>()
                .len(),
        };
        self.dispatcher
            .tell(&Notice::PhaseStarted { phase, arms, slots });
        let end = self.runtime.block_on(self.dispatcher.run(left, policy))?;
        self.dispatcher.tell(&Notice::PhaseEnded { phase });
        if runs {
            self.ran = true;
            match self.read_rows()? {
                Some(rows) => self.rows = rows,
                None => return Ok(PhaseEnd::Interrupted),
            }
            self.watched.look();
        }
        Ok(end)
    }

    /// What the ledger holds of each trial, once no other program has it locked. None: the user did
    /// not wait for that.
    fn read_rows(&mut self) -> Result<Option<HashMap<TrialId, TrialRow>>, CliError> {
        let began = Instant::now();
        let mut next_message = FIRST_MESSAGE;
        loop {
            match rows(&self.reader) {
                Err(CliError::Ledger(error)) if error.is_busy() => {}
                Err(error) => return Err(error),
                Ok(rows) => return Ok(Some(rows)),
            }
            if began.elapsed() >= next_message {
                next_message = began.elapsed() + MESSAGE_INTERVAL;
                let what = self.reader.locked(began.elapsed()).to_string();
                self.dispatcher
                    .tell(&Notice::LedgerLocked { what, results: 0 });
            }
            if self
                .runtime
                .block_on(self.dispatcher.is_stopped_within(RETRY_INTERVAL))
            {
                return Ok(None);
            }
        }
    }
}

/// What the ledger holds of each trial.
fn rows(reader: &Reader) -> Result<HashMap<TrialId, TrialRow>, CliError> {
    Ok(reader
        .trials()?
        .into_iter()
        .map(|row| (row.id, row))
        .collect())
}

/// Says what an interrupted sweep has kept, and how to go on.
fn farewell(spec: &Spec, grid: &Grid, dir: &Path, printer: &Printer) -> Result<(), CliError> {
    let evaluation = evaluate(spec, grid, &rows(&Reader::open(dir)?)?)?;
    let sum = |tally: fn(&crate::aggregate::ArmEvaluation) -> u64| {
        evaluation.arms.iter().map(tally).sum::<u64>()
    };
    let tune = (
        sum(|arm| arm.tune_tally.done),
        sum(|arm| arm.tune_tally.planned),
    );
    let finals = (
        sum(|arm| arm.final_tally.done),
        grid.arms().len() as u64 * spec.seeds.final_.len() as u64,
    );
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
