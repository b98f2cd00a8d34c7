//! What the dispatcher keeps of a slot's latest process.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::launch::LocalWorker;
use super::log_end::{log_end, log_end_of};

/// How much of a log's end is shown or searched, in bytes.
const LOG_END: u64 = 2000;

/// What a slot's latest process is known by.
#[derive(Debug)]
pub(super) struct Process {
    pub worker: i64,
    pub local: Option<LocalWorker>,
    pub pid: u32,
    /// When the kernel started it, in clock ticks since boot; 0 where that is unknown.
    pub start_ticks: u64,
    /// Whether it is there: started, and its end not seen.
    pub alive: bool,
    /// Whether it was told to end.
    pub ending: bool,
    /// Its log, relative to the run directory.
    pub log: Arc<str>,
    /// The same, open; None before there was a process.
    pub log_file: Option<Arc<File>>,
    /// Size of the slot's log when its present trial was sent to it, or its last one ended.
    pub log_mark: u64,
    /// How many processes the kernel had killed for lack of memory when this one was started.
    pub killed_before: u64,
    /// The name of what was really started: `srun`, `ssh`, or the worker's own program.
    pub program: Arc<str>,
    /// Its job or step, by Slurm's numbers.
    pub job: Option<String>,
    /// What it waits for in a queue.
    pub waits: Option<String>,
    /// Whether it understands heartbeats of ours.
    pub heartbeats: bool,
    /// Whether it may have missed them for so long that it has ended itself: this program was
    /// stopped meanwhile.
    pub unheard: bool,
}

impl Process {
    /// No process yet.
    pub fn none(slot: usize) -> Self {
        Self {
            worker: 0,
            local: None,
            pid: 0,
            start_ticks: 0,
            alive: false,
            ending: false,
            log: log_name(slot).into(),
            log_file: None,
            log_mark: 0,
            killed_before: 0,
            program: "".into(),
            job: None,
            waits: None,
            heartbeats: false,
            unheard: false,
        }
    }

    /// How long its log is, in the run directory `dir`.
    pub fn log_size(&self, dir: &Path) -> u64 {
        let metadata = match &self.log_file {
            Some(file) => file.metadata(),
            None => std::fs::metadata(dir.join(&*self.log)),
        };
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// The end of its log from there on, in the run directory `dir`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn log_end(&self, dir: &Path, begin: u64) -> std::io::Result<String> {
        match &self.log_file {
            // Whatever lies under its name by now.
            Some(file) => log_end_of(file, begin, None, LOG_END),
            None => log_end(&dir.join(&*self.log), begin, None, LOG_END),
        }
    }
}

/// The log of a slot's workers, relative to the run directory.
pub(super) fn log_name(slot: usize) -> String {
    format!("logs/worker-{slot}.log")
}
