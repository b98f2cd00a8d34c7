//! Watches what is trained for edits while trials run. Programs read their code again for each
//! trial, so a result may belong to the edited code.

use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::fingerprint::{self, Subject, Taken};
use super::observer::Observer;
use crate::ledger::Write;
use crate::schedule::Recorder;

/// Minimum time between two checks of the files. An edit that is undone sooner is not seen.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum length of the pause after a check, as a multiple of the time that the check took: the
/// processor cores belong to the trials.
const PAUSE_FACTOR: u32 = 20;
/// Maximum number of edits that are reported and recorded. After the first one the results are known to
/// be of edited code, and a trial that writes files that count would fill the ledger.
const MAX_EDITS: usize = 20;

/// What is trained, watched for edits while trials run.
pub(super) struct Watched<'a> {
    /// What a fingerprint is taken of.
    pub subject: Subject<'a>,
    /// The key that hides values in fingerprints.
    pub key: [u8; 32],
    /// The fingerprint as it was last taken, and its files.
    pub taken: Taken,
    /// Number of this session.
    pub session: i64,
    /// Where records go.
    pub record: Recorder,
    /// Shows the warnings.
    pub observer: &'a dyn Observer,
}

impl Watched<'_> {
    /// Runs trials to their end in the event loop, and records edits as soon as they are seen: if
    /// this program is killed, the next one knows of them.
    pub(crate) fn during<T>(&mut self, runtime: &Runtime, trials: impl Future<Output = T>) -> T {
        let subject = self.subject;
        let key = self.key;
        let files = self.taken.clone();
        std::thread::scope(|scope| {
            // Dropped at the end of the scope's body, which ends the thread.
            let (_running, ended) = channel();
            let (found, mut edits) = mpsc::unbounded_channel();
            // Without a thread, edits are seen at the end of the phase.
            let spawned = std::thread::Builder::new()
                .name("edits".to_owned())
                .spawn_scoped(scope, move || look(subject, &key, files, &ended, &found));
            if let Err(error) = spawned {
                tracing::warn!(%error, "cannot watch for edits while trials run");
            }

            let end = runtime.block_on(async {
                tokio::pin!(trials);
                loop {
                    tokio::select! {
                        biased;
                        end = &mut trials => break end,
                        Some(now) = edits.recv() => self.compare(now),
                    }
                }
            });
            while let Ok(now) = edits.try_recv() {
                self.compare(now);
            }
            end
        })
    }

    /// Looks at everything once more, also for new files.
    pub(crate) fn check(&mut self) {
        self.compare(fingerprint::read(self.subject, &self.key));
    }

    /// Records and tells whether the code was edited since it was last looked at. Which of the
    /// trials that ran since then ran which code is not known: their version is recorded as edited.
    fn compare(&mut self, mut now: Taken) {
        let known = std::mem::take(&mut self.taken.fingerprint.edited);
        // A file that is away at this moment was not edited: no trial can have run without it.
        let mut code = now.fingerprint.since(&self.taken.fingerprint).code;
        code.retain(|line| !line.ends_with(" is gone"));
        let edits = code.iter().map(|line| format!("while trials ran: {line}"));
        let new: Vec<String> = edits
            .filter(|line| !known.contains(line))
            .take(MAX_EDITS.saturating_sub(known.len()))
            .collect();

        now.fingerprint.edited = known;
        now.fingerprint.edited.extend(new.iter().cloned());
        self.taken = now;
        if new.is_empty() {
            return;
        }

        self.observer.warn(&format!(
            "what is trained was changed while trials ran, so which of them ran the changed code is not known:\n  {}\n\
             `pentagrid run ... --rerun-changed` runs the trials of this run again; files that the trials themselves write belong \
             in .gitignore or in the trial's folder (PENTAGRID_DIR)",
            code.join("\n  ")
        ));
        (self.record)(Write::Edited {
            session: self.session,
            fingerprint: Box::new(self.taken.fingerprint.clone()),
        });
    }
}

/// Looks at the files until the trials have ended, and sends what is trained whenever one of them
/// was written.
fn look(
    subject: Subject<'_>,
    key: &[u8; 32],
    mut last: Taken,
    ended: &Receiver<()>,
    found: &mpsc::UnboundedSender<Taken>,
) {
    let mut pause = CHECK_INTERVAL;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let began = Instant::now();
        if !last.files.are_untouched() {
            let mut now = fingerprint::read(subject, key);
            now.files.add_missing(&last.files);
            last = now.clone();
            if found.send(now).is_err() {
                return;
            }
        }
        pause = CHECK_INTERVAL.max(began.elapsed() * PAUSE_FACTOR);
    }
}
