//! The dispatcher's part that tells when nothing can be started for now: because this machine lacks something, or because the program
//! is away.

use std::io;

use super::super::action::{Action, Exit};
use super::super::launch::Proof;
use super::super::start::{Start, TRIALS};
use super::Dispatcher;
use crate::plan::PlannedTrial;

/// Whether the sweep's program is known to start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Proven {
    /// Whether a process of it, or of what it is behind, has been started on this machine.
    pub here: bool,
    /// Whether an agent has started it.
    pub elsewhere: bool,
}

impl Dispatcher {
    /// Puts back what was to be started in a slot.
    pub(super) fn postpone(&mut self, slot: usize, why: &str) -> Vec<Action> {
        let now = self.began.elapsed();
        self.reactor.on_start_postponed(now, slot, why)
    }

    /// What the command line needs and is not there, though it was when the sweep began.
    pub(super) fn is_away(&self) -> Option<String> {
        self.files.missing().map(|path| format!("{} is not there any more", path.display()))
    }

    /// The same, of a process that has ended with an exit code: it may have ended for that. A worker that had said hello had all that
    /// it needs.
    pub(super) fn is_away_at_exit(&self, slot: usize, exit: Exit) -> Option<String> {
        let suspect = match self.workers.start {
            Start::Worker(_) => self.reactor.is_starting(slot),
            Start::Program(_) => true,
        };
        let failed = matches!(exit, Exit::Code(code) if code != 0);
        self.is_away().filter(|_| failed && suspect && !self.processes[slot].ending)
    }

    /// What an agent could not start, if that is a shortage where it stands.
    pub(super) fn is_refused_elsewhere(&mut self, proof: &Proof) -> Option<String> {
        let Some((refusal, why)) = proof.refusal() else {
            self.proven.elsewhere |= proof.has_seen_the_end();
            return None;
        };
        refusal.is_shortage(self.proven.elsewhere).then_some(why)
    }

    /// Whether the system has refused to make a trial's folder: nothing of the trial was there that could be to blame.
    pub(super) fn has_no_folder(&self, error: &io::Error, trial: &PlannedTrial) -> bool {
        let folder = self.workers.dir.join(TRIALS).join(trial.id.to_string());
        error.raw_os_error().is_some() && folder.symlink_metadata().is_err()
    }
}
