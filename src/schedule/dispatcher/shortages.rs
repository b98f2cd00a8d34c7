//! The dispatcher's part that tells when nothing can be started for now: because this machine lacks
//! something, or because the program is away.

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
        self.files
            .missing()
            .map(|path| format!("{} is not there any more", path.display()))
    }

    /// A shortage that a process which has ended with an exit code may have ended for: what it
    /// needs is away, or the disk that its log and its metrics are on is full. A worker that had
    /// said hello had all that it needs.
    pub(super) fn is_short_at_exit(&self, slot: usize, exit: Exit) -> Option<String> {
        let suspect = match self.workers.start {
            Start::Worker(_) => self.reactor.is_starting(slot),
            Start::Program(_) => true,
        };
        if exit == Exit::Code(0)
            || !matches!(exit, Exit::Code(_))
            || !suspect
            || self.processes[slot].ending
        {
            return None;
        }
        self.is_away().or_else(|| self.is_full())
    }

    /// What the disk of the run directory has nothing left of.
    pub(super) fn is_full(&self) -> Option<String> {
        let disk = nix::sys::statvfs::statvfs(&self.workers.dir).ok()?;
        // File systems that make inodes as they need them have none to count.
        let lacks = match (
            disk.blocks_available(),
            disk.files(),
            disk.files_available(),
        ) {
            (0, _, _) => "space",
            (_, 1.., 0) => "inodes",
            _ => return None,
        };
        Some(format!(
            "no {lacks} left on the disk of {}",
            self.workers.dir.display()
        ))
    }

    /// What an agent could not start, if that is a shortage where it stands.
    pub(super) fn is_refused_elsewhere(&mut self, proof: &Proof) -> Option<String> {
        let Some((refusal, why)) = proof.refusal() else {
            self.proven.elsewhere |= proof.has_seen_the_end();
            return None;
        };
        refusal.is_shortage(self.proven.elsewhere).then_some(why)
    }

    /// Whether the system has refused to make a trial's folder: nothing of the trial was there that
    /// could be to blame.
    pub(super) fn has_no_folder(&self, error: &io::Error, trial: &PlannedTrial) -> bool {
        let folder = self.workers.dir.join(TRIALS).join(trial.id.to_string());
        error.raw_os_error().is_some() && folder.symlink_metadata().is_err()
    }
}
