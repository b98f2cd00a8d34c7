//! What is recorded of texts that come from programs: without the values of secret variables.

use crate::ledger::Write;
use crate::secrets::Secrets;

/// Hides secrets in what is about to be recorded.
pub(super) fn redact(secrets: &Secrets, write: &mut Write) {
    match write {
        Write::TrialFailed { message, .. } | Write::TrialInterrupted { message, .. } => {
            secrets.redact_in(message)
        }
        Write::WorkerEnded { outcome, .. } => secrets.redact_in(outcome),
        Write::WorkerHello { hello, .. } => {
            let named = [&mut hello.program, &mut hello.version, &mut hello.device];
            named
                .into_iter()
                .chain(&mut hello.libraries)
                .for_each(|text| secrets.redact_in(text));
        }
        Write::WorkerPlaced {
            host, job, waits, ..
        } => {
            [host, job, waits]
                .into_iter()
                .flatten()
                .for_each(|text| secrets.redact_in(text));
        }
        Write::Epoch {
            values: reported, ..
        }
        | Write::TrialDone {
            metrics: reported, ..
        } => {
            reported.notes.for_each_text(|text| secrets.redact_in(text));
        }
        Write::WorkerStarted { .. }
        | Write::TrialStarted { .. }
        | Write::Edited { .. }
        | Write::SessionEnded { .. } => {}
    }
}
