//! Runs a sweep from its sweep file to its report: opens the ledger, ends what a killed coordinator
//! left, runs the phases, writes the report. Puts the modules together; each does its own part.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::counted_files::CountedFiles;
use super::dispatch::{dispatcher, runtime, settings};
use super::ending::{self, Outcome};
use super::environment::{self, Computing};
use super::error::SweepError;
use super::file::SweepFile;
use super::find_program;
use super::fingerprint::{self, Subject, Taken};
use super::ledger_rows::sweep_rows;
use super::leftovers;
use super::observer::Observer;
use super::open::OpenSweep;
use super::options::RunOptions;
use super::phases::{Phases, RETRY_INTERVAL, rows};
use super::redact;
use super::slots::{self, Placement};
use super::watched::Watched;
use crate::aggregate::{Evaluation, evaluate, start_threads};
use crate::grid::Grid;
use crate::ledger::{
    LedgerError, Opened, Reader, Waiting, Write, Writer, check_path, open_for_run,
};
use crate::report::write::{
    WrittenReport, check_output_dir, default_report_dir, refuse_other_run, write_report,
};
use crate::schedule::{
    Launcher, Mark, Orphans, PhaseEnd, Recording, WorkerCommand, end_left, stop_listening, ulimits,
};
use crate::spec::{Prune, Spec};

/// What to run, where, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The sweep file.
    pub file: SweepFile,
    /// The run directory; it is made if it is not there.
    pub dir: PathBuf,
    /// The folder that the sweep is started from, which relative paths in the sweep file belong to.
    pub folder: PathBuf,
    /// How.
    pub options: &'a RunOptions,
}

/// How a run ended that did what it could.
#[derive(Debug)]
pub enum Finished {
    /// All phases ran, and the report was written.
    Reported {
        /// What came of it.
        outcome: Outcome,
        /// The report.
        report: Box<WrittenReport>,
        /// What the user should not miss, a message each.
        warnings: Vec<String>,
    },
    /// The user stopped it. All results so far are kept.
    Interrupted {
        /// Finished and planned tuning trials.
        tuning: (u64, u64),
        /// Finished and planned final trials.
        finals: (u64, u64),
    },
}

/// Starts or resumes a sweep, and runs it to its end or as far as it gets.
///
/// # Errors
/// `SweepError`: what is asked for cannot be run, the ledger cannot be used, the sweep was given up,
/// or the report cannot be written. Everything that was recorded is kept.
pub fn run(request: Request<'_>, observer: &dyn Observer) -> Result<Finished, SweepError> {
    let Request {
        file,
        dir,
        folder,
        options,
    } = request;
    let spec = &file.spec;
    if options.best_first && spec.prune == Prune::None {
        return Err(SweepError::Refused(
            "--best-first needs `prune: safe` in the sweep file: without it every trial runs, in any order".to_owned(),
        ));
    }
    let secrets = environment::secrets(spec);
    observer.hide(&secrets);
    let report_dir = match &options.report_dir {
        Some(out) => out.clone(),
        None => {
            let out = unnamed_report_dir(spec, &dir, &folder);
            refuse_other_run(&out, &dir)?;
            out
        }
    };

    // What is wrong with the run directory is wrong with the folder that has its name, too.
    check_path(&dir)?;
    check_output_dir(&report_dir)?;

    let grid = Grid::new(spec);
    let Placement { launcher, slots } = slots::place(spec, &options.devices, options.launcher)?;
    let slots = slots::within_limits(slots, spec, &launcher, observer)?;
    if let Launcher::Slurm(slurm) = &launcher {
        for remark in &slurm.remarks {
            observer.say(remark);
        }
    }
    if ulimits::has_plenty_of_files() {
        start_threads()?;
    }
    for remark in &spec.remarks {
        observer.say(remark);
    }
    let computing = Computing {
        pack: options.pack,
        tf32: options.tf32,
    };
    let start = environment::start(spec, &folder, computing, &launcher)?;
    let workdir = environment::working_folder(spec, &folder);
    if let Some(warning) = find_program::handover_warning(spec, &workdir) {
        observer.warn(warning);
    }

    let devices: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let mut session = environment::session(devices.join(" "), &folder);
    secrets.redact_in(&mut session.command);
    let subject = Subject {
        spec,
        folder: &folder,
        launcher: &launcher,
        computing,
        run_dir: &dir,
    };
    let mut files = CountedFiles::default();
    let opened = open_for_run(
        &dir,
        sweep_rows(&file.text, spec, &grid),
        &session,
        options.consent,
        |key| {
            let taken = fingerprint::read(subject, key);
            files = taken.files;
            taken.fingerprint
        },
        &|waiting: Waiting| {
            observer.warn(&format!(
                "{waiting}: waiting until it is free (Ctrl-C to stop)"
            ));
        },
    )?;
    let mark = Mark {
        legacy: opened.identity.of_earlier_version,
        ..Mark::new(&dir, &opened.identity.id)
    };
    let ended = leftovers::end(&opened, &dir, &mark, observer);

    let Opened {
        claim,
        connection,
        session,
        next_worker,
        identity,
        fingerprint,
        key,
        ..
    } = opened;
    let (acknowledge, committed) = mpsc::unbounded_channel();
    // The receiver is gone only when the sweep is over.
    let writer = Rc::new(Writer::start(connection, claim, move |committed| {
        drop(acknowledge.send(committed));
    }));
    let record = {
        let writer = Rc::clone(&writer);
        move |mut write| {
            redact::redact(&secrets, &mut write);
            writer.send(write);
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
    let bundle = options.bundle.max(options.pack.unwrap_or(1));
    let mut settings = settings(
        spec,
        &slots,
        bundle.into(),
        &launcher,
        longest(spec, &reader)?,
    );
    settings.warned_of_notes = reader.has_notes()?;
    let configs = grid.clone();
    let dispatcher = dispatcher(
        &runtime,
        workers,
        settings,
        Box::new(move |trial| configs[trial.arm].config(trial.index)),
        Recording {
            record: Box::new(record.clone()),
            committed,
            session,
            next_worker,
        },
        observer.progress(spec, &grid),
    )?;
    let rows = rows(&reader)?;
    let mut phases = Phases {
        spec,
        grid: &grid,
        reader,
        rows,
        slots: &slots,
        options,
        runtime: &runtime,
        dispatcher,
        watched: Watched {
            subject,
            key,
            taken: Taken { fingerprint, files },
            session,
            record: Box::new(record.clone()),
            observer,
        },
    };
    let end = phases.run();
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
        if matches!(&end, Err(SweepError::Ledger(LedgerError::Unwritten { .. }))) {
            writer.abandon();
        }
        writer.finish(|line| {
            // Every result is recorded: Ctrl-C need not wait for the rest.
            stop_listening();
            observer.warn(line);
        });
    }
    // The sweep is over and everything recorded: from here on Ctrl-C ends the program, as usual.
    stop_listening();

    match end? {
        (PhaseEnd::Done, evaluation) => finish(&file.spec, &dir, &report_dir, evaluation),
        (PhaseEnd::Interrupted, _) => interrupted(spec, &grid, &dir),
        (PhaseEnd::GivenUp(fatal, log), _) => Err(SweepError::GivenUp { fatal, log, dir }),
    }
}

/// Writes the report of a sweep whose phases have all run.
fn finish(
    spec: &Spec,
    dir: &Path,
    report_dir: &Path,
    evaluation: Option<Evaluation>,
) -> Result<Finished, SweepError> {
    let report = write_report(OpenSweep::frozen(dir)?.source(), report_dir)?;
    // What the report has read is the last word: results may have disappeared since.
    let is_whole = report.complete && report.unselected.is_empty();
    let outcome = match evaluation.as_ref().map(ending::outcome) {
        Some(Outcome::Done) if !is_whole => Outcome::Incomplete,
        outcome => outcome.unwrap_or(Outcome::Incomplete),
    };
    let warnings = evaluation
        .iter()
        .flat_map(|evaluation| ending::warnings(spec, dir, evaluation))
        .collect();
    Ok(Finished::Reported {
        outcome,
        report: Box::new(report),
        warnings,
    })
}

/// Counts what an interrupted sweep has kept.
fn interrupted(spec: &Spec, grid: &Grid, dir: &Path) -> Result<Finished, SweepError> {
    let evaluation = evaluate(spec, grid, &rows(&Reader::open(dir)?)?)?;
    Ok(Finished::Interrupted {
        tuning: (
            evaluation.sum(|arm| arm.tune_tally.done),
            evaluation.sum(|arm| arm.tune_tally.planned),
        ),
        finals: (
            evaluation.sum(|arm| arm.final_tally.done),
            grid.arms().len() as u64 * spec.seeds.final_.len() as u64,
        ),
    })
}

/// Where the report goes if no folder is named: beside the report of the run before, wherever the
/// sweep is resumed from.
fn unnamed_report_dir(spec: &Spec, dir: &Path, folder: &Path) -> PathBuf {
    let default = default_report_dir(dir, spec);
    let is_here = environment::folder().is_ok_and(|here| here == folder);
    if is_here || !folder.is_dir() {
        default
    } else {
        folder.join(default)
    }
}

/// The longest that a trial of each arm has taken.
fn longest(spec: &Spec, reader: &Reader) -> Result<Vec<Option<Duration>>, SweepError> {
    let known = reader.longest_durations()?;
    let longest = spec.arms.iter().map(|arm| {
        let seconds = *known.get(&arm.name)?;
        Duration::try_from_secs_f64(seconds).ok()
    });
    Ok(longest.collect())
}
