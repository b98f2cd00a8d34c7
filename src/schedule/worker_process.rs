//! What the dispatcher knows of the latest process in a slot.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::log_end::{log_end, log_end_of};
use super::slot_index::SlotIndex;
use crate::ledger::WorkerId;

/// How much of a log's end is shown or searched, in bytes.
const MAX_LOG_END: u64 = 2000;

/// The latest process of a slot, and its log.
#[derive(Debug)]
pub(super) struct SlotProcess {
    /// Number of the process in the ledger; 0 before the first one.
    pub worker: WorkerId,
    pub log: Log,
    pub state: ProcessState,
}

/// Whether there is a process.
#[derive(Debug)]
pub(super) enum ProcessState {
    /// No process has been spawned, or its exit has been observed.
    Absent,
    /// A process has been spawned, and its exit has not been observed.
    Running(RunningProcess),
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct RunningProcess {
    /// Its process id, which is its process group's too.
    pub pid: u32,
    /// When the kernel started it, in clock ticks since boot; 0 if that is unknown.
    pub start_ticks: u64,
    /// Messages for it. None: it takes none, or was told to end.
    pub stdin: Option<mpsc::UnboundedSender<String>>,
    /// Whether it was told to end.
    pub told_to_end: bool,
    /// The kernel's count of processes killed for lack of memory when it was started.
    pub oom_kills_before: u64,
    /// The name of what was started: `srun`, `ssh`, or the worker's own program.
    pub program: Arc<str>,
    /// The job or step that it belongs to, as Slurm numbers it.
    pub job: Option<String>,
    /// Why it waits in a queue.
    pub queue_reason: Option<String>,
    /// Whether it understands heartbeats of the coordinator.
    pub understands_heartbeats: bool,
    /// Whether this program was suspended long enough for the process to give up on its
    /// heartbeats.
    pub missed_heartbeats: bool,
}

/// The log of a slot's latest process.
#[derive(Debug)]
pub(super) struct Log {
    /// Its path, relative to the run directory.
    pub name: Arc<str>,
    /// The open file; None before the first process.
    pub file: Option<Arc<File>>,
    /// Where the present trial's part begins, or the next one's after a trial has ended.
    pub mark: u64,
}

impl SlotProcess {
    /// A slot in which no process has been spawned.
    pub(crate) fn absent(slot: SlotIndex) -> Self {
        Self {
            worker: WorkerId(0),
            log: Log {
                name: log_name(slot).into(),
                file: None,
                mark: 0,
            },
            state: ProcessState::Absent,
        }
    }

    /// The process, if it runs.
    pub(crate) fn running(&self) -> Option<&RunningProcess> {
        match &self.state {
            ProcessState::Absent => None,
            ProcessState::Running(process) => Some(process),
        }
    }

    /// The process, if it runs, to change it.
    pub(crate) fn running_mut(&mut self) -> Option<&mut RunningProcess> {
        match &mut self.state {
            ProcessState::Absent => None,
            ProcessState::Running(process) => Some(process),
        }
    }

    /// Takes out a process whose exit has been observed.
    pub(crate) fn take_running(&mut self) -> Option<RunningProcess> {
        match std::mem::replace(&mut self.state, ProcessState::Absent) {
            ProcessState::Absent => None,
            ProcessState::Running(process) => Some(process),
        }
    }
}

impl RunningProcess {
    /// Sends a line to its stdin, if it takes any.
    pub(crate) fn send(&self, line: String) {
        if let Some(stdin) = &self.stdin {
            // A process that has closed its stdin is ending; its exit brings its trials back.
            let _ = stdin.send(line);
        }
    }
}

impl Log {
    /// The length of the log, in the run directory `dir`.
    pub(crate) fn size(&self, dir: &Path) -> u64 {
        let metadata = match &self.file {
            Some(file) => file.metadata(),
            None => std::fs::metadata(dir.join(&*self.name)),
        };
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// The end of the log after `begin`, in the run directory `dir`.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn end(&self, dir: &Path, begin: u64) -> std::io::Result<String> {
        match &self.file {
            // The open file is the right one, even if another one has taken its name.
            Some(file) => log_end_of(file, begin, None, MAX_LOG_END),
            None => log_end(&dir.join(&*self.name), begin, None, MAX_LOG_END),
        }
    }
}

/// The log of a slot's workers, relative to the run directory.
pub(super) fn log_name(slot: SlotIndex) -> String {
    format!("logs/worker-{slot}.log")
}
