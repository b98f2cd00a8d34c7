//! The dispatcher's part that decides whether nothing can be started for now: because this machine
//! lacks something, or because the program is missing.

use std::io;

use super::super::action::{Action, Exit};
use super::super::launch::ExitEvidence;
use super::super::slot_index::SlotIndex;
use super::super::worker_command::{Start, TRIALS};
use super::super::worker_process::RunningProcess;
use super::Dispatcher;
use crate::plan::PlannedTrial;

/// Whether the sweep's program is known to start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Proven {
    /// Whether it, or its launcher, has been started on this machine.
    pub here: bool,
    /// Whether an agent has started it.
    pub elsewhere: bool,
}

impl Dispatcher {
    /// Puts back what was to be started in a slot.
    pub(super) fn postpone(&mut self, slot: SlotIndex, why: &str) -> Vec<Action> {
        let now = self.now();
        self.reactor.on_start_postponed(now, slot, why)
    }

    /// Which file of the command line is missing, if one was there when the sweep began.
    pub(super) fn missing_file(&self) -> Option<String> {
        self.files
            .missing()
            .map(|path| format!("{} is not there any more", path.display()))
    }

    /// The shortage for which a process may have ended with an exit code: a file that it needs is
    /// missing, or the disk of its log and its metrics is full. A worker that had said hello had
    /// all that it needs.
    pub(super) fn shortage_at_exit(
        &self,
        slot: SlotIndex,
        exit: Exit,
        process: &RunningProcess,
    ) -> Option<String> {
        let is_suspect = match self.workers.start {
            Start::Worker(_) => self.reactor.is_starting(slot),
            Start::Program(_) => true,
        };
        match exit {
            Exit::Code(1.. | ..=-1) if is_suspect && !process.told_to_end => {
                self.missing_file().or_else(|| self.full_disk())
            }
            _ => None,
        }
    }

    /// What the disk of the run directory has nothing left of.
    pub(super) fn full_disk(&self) -> Option<String> {
        let disk = nix::sys::statvfs::statvfs(&self.workers.dir).ok()?;
        // File systems that create inodes as needed report none.
        let has_inodes = disk.files() > 0;
        let lacks = if disk.blocks_available() == 0 {
            "space"
        } else if has_inodes && disk.files_available() == 0 {
            "inodes"
        } else {
            return None;
        };
        Some(format!(
            "no {lacks} left on the disk of {}",
            self.workers.dir.display()
        ))
    }

    /// What an agent could not start, if its machine lacked something.
    pub(super) fn remote_shortage(&mut self, evidence: &ExitEvidence) -> Option<String> {
        let Some((refusal, why)) = evidence.refusal() else {
            self.proven.elsewhere |= evidence.has_seen_the_end();
            return None;
        };
        refusal.is_shortage(self.proven.elsewhere).then_some(why)
    }

    /// Whether the system has refused to make a trial's folder: then nothing of the trial was there
    /// that could be to blame.
    pub(super) fn has_no_folder(&self, error: &io::Error, trial: &PlannedTrial) -> bool {
        let folder = self.workers.dir.join(TRIALS).join(trial.id.to_string());
        error.raw_os_error().is_some() && folder.symlink_metadata().is_err()
    }
}
