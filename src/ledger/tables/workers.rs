//! Commands about workers.

use rusqlite::params;

use super::super::write::{Stamped, Write};
use super::Tables;

impl Tables<'_> {
    /// Inserts a worker, with what it said and how it ended if that is already known.
    pub(super) fn start_worker(
        &mut self,
        started: &Stamped,
        hello: Option<&Stamped>,
        ended: Option<&Stamped>,
    ) -> rusqlite::Result<()> {
        let Write::WorkerStarted {
            worker,
            session,
            slot,
            device,
            pid,
            start_ticks,
            launcher,
        } = &started.write
        else {
            return self.apply(started);
        };

        let hello = match hello.map(|hello| &hello.write) {
            Some(Write::WorkerHello { hello, .. }) => Some(hello),
            _ => None,
        };
        let outcome = match ended.map(|ended| &ended.write) {
            Some(Write::WorkerEnded { outcome, .. }) => Some(outcome),
            _ => None,
        };
        self.statements.new_worker.execute(params![
            worker.0,
            session,
            *slot as i64,
            device,
            pid,
            *start_ticks as i64,
            &*started.at,
            launcher,
            hello.map(|hello| &hello.program),
            hello.map(|hello| &hello.version),
            hello.map(|hello| &hello.device),
            hello.map(|hello| hello.libraries.join(", ")),
            hello.map(|hello| hello.threads),
            ended.map(|ended| &*ended.at),
            outcome,
        ])?;
        Ok(())
    }

    /// Updates the row of a worker: its place in a queue, what it said, or its end.
    pub(super) fn update_worker(&mut self, command: &Stamped) -> rusqlite::Result<()> {
        let statements = &mut self.statements;
        let changed = match &command.write {
            Write::WorkerPlaced {
                worker,
                host,
                job,
                waits,
            } => statements
                .worker_placed
                .execute(params![worker.0, host, job, waits]),
            Write::WorkerHello { worker, hello } => statements.worker_hello.execute(params![
                worker.0,
                hello.program,
                hello.version,
                hello.device,
                hello.libraries.join(", "),
                hello.threads
            ]),
            Write::WorkerEnded { worker, outcome } => {
                statements
                    .worker_ended
                    .execute(params![worker.0, &*command.at, outcome])
            }
            _ => return self.apply(command),
        };
        changed.map(drop)
    }
}
