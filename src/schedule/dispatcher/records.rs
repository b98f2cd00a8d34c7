//! The dispatcher's part that knows who did what, and where in the logs.

use std::io::Write as _;
use std::sync::Arc;

use super::super::action::{Fatal, Record, Time};
use super::super::failures;
use super::Dispatcher;
use crate::ledger::{LogMark, WorkerId, Write};
use crate::protocol::FromWorker;

impl Dispatcher {
    /// Adds what only the dispatcher knows: who, and where in the log.
    pub(super) fn dated(&mut self, record: Record) -> Write {
        let seconds = |duration: Time| duration.as_secs_f64();
        match record {
            Record::Started { slot, trial } => Write::TrialStarted {
                trial: trial.id,
                phase: trial.phase,
                worker: WorkerId(self.processes[slot].worker),
                log: LogMark {
                    file: Arc::clone(&self.processes[slot].log),
                    offset: self.processes[slot].log_mark,
                },
            },
            Record::Epoch {
                trial,
                position,
                values,
                ..
            } => Write::Epoch {
                trial: trial.id,
                position,
                values,
            },
            Record::Done {
                slot,
                trial,
                metrics,
                shared,
                duration,
            } => Write::TrialDone {
                trial: trial.id,
                metrics,
                shared,
                log_end: self.mark_log(slot),
                duration: seconds(duration),
            },
            Record::Failed {
                slot,
                trial,
                kind,
                message,
                for_good,
                duration,
            } => Write::TrialFailed {
                trial: trial.id,
                phase: trial.phase,
                kind,
                message,
                permanent: for_good,
                log_end: self.mark_log(slot),
                duration: seconds(duration),
            },
            Record::Interrupted {
                slot,
                trial,
                message,
            } => Write::TrialInterrupted {
                trial: trial.id,
                message,
                log_end: self.log_size(slot),
            },
        }
    }

    /// Where a trial's part of the log ends, and the next one's begins.
    fn mark_log(&mut self, slot: usize) -> u64 {
        self.processes[slot].log_mark = self.log_size(slot);
        self.processes[slot].log_mark
    }

    /// Appends a failure's message that is too long to be recorded whole to the log of its worker.
    pub(super) fn log_long_failure(&self, slot: usize, message: &FromWorker) {
        let FromWorker::Failed { message, .. } = message else {
            return;
        };
        if !failures::is_too_long(message) {
            return;
        }
        let Some(mut log) = self.processes[slot].log_file.as_deref() else {
            return;
        };
        if let Err(error) = log.write_all(format!("{message}\n").as_bytes()) {
            tracing::warn!(slot, "cannot write a failure's message to the log: {error}");
        }
    }

    pub(super) fn log_size(&self, slot: usize) -> u64 {
        self.processes[slot].log_size(&self.workers.dir)
    }

    pub(super) fn log_end_for(&self, fatal: &Fatal) -> Option<String> {
        let (Fatal::NoStart { slot, .. } | Fatal::AllAlike { slot, .. }) = fatal else {
            return None;
        };
        let end = self.processes[*slot].log_end(&self.workers.dir, 0).ok()?;
        (!end.trim().is_empty()).then_some(end)
    }
}
