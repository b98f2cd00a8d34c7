//! What is recorded of texts that come from programs: without the values of secret variables.

use std::borrow::Cow;

use crate::ledger::Write;
use crate::protocol::Reported;
use crate::secrets::Secrets;

/// Hides secrets in the names of metrics and notes, which few sweeps have.
fn redact_names(secrets: &Secrets, reported: &mut Reported) {
    let is_secret = |name: &String| matches!(secrets.redact(name), Cow::Owned(_));
    if reported.numbers.0.keys().any(is_secret) {
        let numbers = std::mem::take(&mut reported.numbers.0).into_iter();
        let renamed = numbers.map(|(name, value)| (secrets.redact(&name).into_owned(), value));
        reported.numbers.0 = renamed.collect();
    }
    if reported.notes.iter().any(|(name, _)| is_secret(name)) {
        reported.notes.for_each_name(|name| secrets.redact_in(name));
    }
}

/// Hides secrets in what is about to be recorded.
pub(super) fn redact(secrets: &Secrets, write: &mut Write) {
    match write {
        Write::TrialFailed { message, .. } | Write::TrialInterrupted { message, .. } => {
            secrets.redact_in(message);
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
            redact_names(secrets, reported);
        }
        Write::WorkerStarted { .. }
        | Write::TrialStarted { .. }
        | Write::Edited { .. }
        | Write::SessionEnded { .. } => {}
    }
}
