//! Watches what is trained for edits while trials run. Programs read their code again for each
//! trial, so a result may belong to the edited code.

use super::fingerprint::{self, Subject};
use super::observer::Observer;
use crate::ledger::Write;
use crate::plan::Fingerprint;
use crate::schedule::Recorder;

/// What is trained, watched for edits while trials run.
pub(super) struct Watched<'a> {
    /// What a fingerprint is taken of.
    pub subject: Subject<'a>,
    /// The key that hides values in fingerprints.
    pub key: [u8; 32],
    /// The fingerprint as it was last taken.
    pub taken: Fingerprint,
    /// Number of this session.
    pub session: i64,
    /// Where records go.
    pub record: Recorder,
    /// Who is told.
    pub observer: &'a dyn Observer,
}

impl Watched<'_> {
    /// Records and tells whether the code was edited since the last check. Which of the trials that
    /// ran since then ran which code is not known: their version is recorded as edited.
    pub fn check(&mut self) {
        let mut now = fingerprint::take(self.subject, &self.key);
        let before = Fingerprint {
            edited: Vec::new(),
            ..self.taken.clone()
        };
        // A file that is away at this moment was not edited: no trial can have run without it.
        let mut code = now.since(&before).code;
        code.retain(|line| !line.ends_with(" is gone"));
        if now.is_same(&before) || code.is_empty() {
            return;
        }

        self.observer.warn(&format!(
            "what is trained was changed while trials ran, so which of them ran the changed code is not known:\n  {}\n\
             `pentagrid run ... --rerun-changed` runs the trials of this run again; files that the trials themselves write belong \
             in .gitignore or in the trial's folder (PENTAGRID_DIR)",
            code.join("\n  ")
        ));
        now.edited = self.taken.edited.clone();
        now.edited
            .extend(code.iter().map(|line| format!("while trials ran: {line}")));
        (self.record)(Write::Edited {
            session: self.session,
            fingerprint: Box::new(now.clone()),
        });
        self.taken = now;
    }
}
