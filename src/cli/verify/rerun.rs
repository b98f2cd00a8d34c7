//! Runs trials again with workers of their own, in a scratch folder. Writes nothing into the ledger.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use tokio::sync::mpsc;

use super::super::error::CliError;
use super::compare::{Rerun, keep};
use crate::grid::{Grid, TrialId};
use crate::ledger::{Committed, Write};
use crate::plan::PlannedTrial;
use crate::schedule::{
    Dispatcher, PhaseEnd, Policy, Recording, VERIFY, WorkerCommand, stop_listening,
};
use crate::spec::Spec;
use crate::sweep::{self, SweepError, Unobserved};

/// Results by trial.
type Results = HashMap<TrialId, Rerun>;

/// Runs trials again. None: Ctrl-C was pressed. `workers.dir` is the scratch folder, which is
/// removed unless the reruns were given up.
pub(super) fn rerun(
    trials: &[PlannedTrial],
    spec: &Spec,
    grid: &Grid,
    workers: WorkerCommand,
    run_dir: &Path,
) -> Result<Option<Results>, CliError> {
    let scratch = workers.dir.clone();
    std::fs::create_dir_all(scratch.join("logs")).map_err(|source| CliError::File {
        what: "cannot create",
        path: scratch.clone(),
        source,
    })?;

    let results: Rc<RefCell<Results>> = Rc::default();
    let runtime = sweep::runtime()?;
    let configs = grid.clone();
    let settings = sweep::settings(spec, &workers.slots, 1, &workers.launcher, Vec::new());
    let mut dispatcher: Dispatcher = sweep::dispatcher(
        &runtime,
        workers,
        settings,
        Box::new(move |trial| configs[trial.arm].config(trial.index)),
        recording(&results),
        Box::new(Unobserved),
    )?;
    let end = runtime.block_on(async {
        match dispatcher.run(trials.to_vec(), Policy::AllSlots).await? {
            PhaseEnd::Done => Ok(dispatcher.close().await?),
            stopped => Ok::<_, CliError>(stopped),
        }
    })?;
    drop(dispatcher);
    // From here on Ctrl-C ends the program, as usual, also if its output is not read.
    stop_listening();

    // The files of reruns are of no further use, except for the log of one that was given up.
    if !matches!(end, PhaseEnd::GivenUp(..)) {
        drop(std::fs::remove_dir_all(&scratch));
        // The parent folder stays while another `verify` has its scratch folder there.
        drop(std::fs::remove_dir(run_dir.join(VERIFY)));
    }
    match end {
        PhaseEnd::Done => Ok(Some(results.take())),
        PhaseEnd::Interrupted => Ok(None),
        PhaseEnd::GivenUp(fatal, log) => Err(CliError::Sweep(SweepError::GivenUp {
            fatal,
            log,
            dir: run_dir.to_owned(),
        })),
    }
}

/// Keeps what is reported instead of writing it into a ledger, and acknowledges it at once.
fn recording(results: &Rc<RefCell<Results>>) -> Recording {
    let (acknowledge, committed) = mpsc::unbounded_channel();
    let results = Rc::clone(results);
    let record = move |write: Write| {
        if write.is_about_trial() {
            keep(&mut results.borrow_mut(), write);
            // The dispatcher holds the receiver while it calls this.
            let _ = acknowledge.send(Committed::Count(1));
        }
    };
    Recording {
        record: Box::new(record),
        committed,
        session: 0,
        next_worker: 1,
    }
}
