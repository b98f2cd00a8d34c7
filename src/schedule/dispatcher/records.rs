//! The dispatcher's part that completes records: which worker, and where in its log.

use std::io::Write as _;
use std::sync::Arc;

use super::super::action::{Fatal, Record};
use super::super::failures;
use super::super::slot_index::SlotIndex;
use super::Dispatcher;
use crate::ledger::{LogMark, Write};
use crate::protocol::FromWorker;

impl Dispatcher {
    /// Adds to a record what only the dispatcher knows.
    pub(super) fn completed(&mut self, record: Record) -> Write {
        match record {
            Record::Started { slot, trial } => {
                let process = &self.processes[slot];
                Write::TrialStarted {
                    trial: trial.id,
                    phase: trial.phase,
                    worker: process.worker,
                    log: LogMark {
                        file: Arc::clone(&process.log.name),
                        offset: process.log.mark,
                    },
                }
            }
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
                duration: duration.as_secs_f64(),
            },
            Record::Failed {
                slot,
                trial,
                kind,
                message,
                permanent,
                duration,
            } => Write::TrialFailed {
                trial: trial.id,
                phase: trial.phase,
                kind,
                message,
                permanent,
                log_end: self.mark_log(slot),
                duration: duration.as_secs_f64(),
            },
            Record::Interrupted {
                slot,
                trial,
                message,
            } => Write::TrialInterrupted {
                trial: trial.id,
                message,
                log_end: self.processes[slot].log.size(&self.workers.dir),
            },
        }
    }

    /// Marks where a trial's part of the log ends, and the next one's begins.
    pub(super) fn mark_log(&mut self, slot: SlotIndex) -> u64 {
        let log = &mut self.processes[slot].log;
        log.mark = log.size(&self.workers.dir);
        log.mark
    }

    /// Appends a failure's message to the log of its worker, if it is too long to be recorded
    /// whole.
    pub(super) fn log_long_failure(&self, slot: SlotIndex, message: &FromWorker) {
        let FromWorker::Failed { message, .. } = message else {
            return;
        };
        if !failures::is_too_long(message) {
            return;
        }
        let Some(mut file) = self.processes[slot].log.file.as_deref() else {
            return;
        };
        if let Err(error) = file.write_all(format!("{message}\n").as_bytes()) {
            tracing::warn!(%slot, "cannot write a failure's message to the log: {error}");
        }
    }

    /// The end of the log that explains why a sweep was given up.
    pub(super) fn log_end_for(&self, fatal: &Fatal) -> Option<String> {
        let (Fatal::NoStart { slot, .. } | Fatal::AllAlike { slot, .. }) = fatal else {
            return None;
        };
        let end = self.processes[*slot].log.end(&self.workers.dir, 0).ok()?;
        (!end.trim().is_empty()).then_some(end)
    }
}
