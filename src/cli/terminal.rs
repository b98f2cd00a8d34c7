//! The thread that writes to stderr. Printing never waits for its reader: a terminal after Ctrl-S,
//! or a pipe that is not read, delays this thread only. What does not fit into its queue is left
//! out, and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::drawn::Drawn;
use super::sink::{Sink, write_all};
use crate::progress::Board;
use crate::text::{count, form};

/// Maximum size of the lines that wait to be written.
const MAX_QUEUED: usize = 4 << 20;
/// Lines are written together up to this size.
const BATCH: usize = 64 << 10;
/// Time between two looks at what the bars show.
const FRAME: Duration = Duration::from_millis(100);
/// How long to wait at the end for a reader that takes nothing.
const MAX_STANDSTILL: Duration = Duration::from_secs(2);
/// How long to wait at the end in all.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Gives what the bars show.
pub(super) type BoardSource = Arc<dyn Fn() -> Board + Send + Sync>;

/// A handle of the thread. Clones share it.
#[derive(Clone)]
pub(super) struct Terminal(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    asked: Condvar,
    /// Nothing is left to write.
    idle: Condvar,
    /// How often something was written, by which waiting threads see that the reader reads.
    progress: AtomicU64,
    sink: Sink,
    /// Whether bars can be drawn.
    draws: bool,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    bytes: usize,
    /// Lines that found no room.
    left_out: u64,
    board: Option<BoardSource>,
    /// The bars are to be drawn once more before the thread is idle.
    redraw: bool,
    /// The thread runs, or could not be started.
    started: Option<bool>,
    /// The thread is writing.
    busy: bool,
    /// `progress` when waiting for the reader was given up.
    given_up_at: Option<u64>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    /// A terminal, or any other sink. The thread starts with the first line.
    pub(crate) fn new(sink: Sink, draws: bool) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            asked: Condvar::new(),
            idle: Condvar::new(),
            progress: AtomicU64::new(0),
            sink,
            draws,
        }))
    }

    /// Has lines written. Where too much waits already they are left out, unless they matter more
    /// than what has been said.
    pub(crate) fn say(&self, text: String, matters: bool) {
        let mut state = self.0.lock();
        if !self.0.start(&mut state) {
            drop(state);
            // Without a thread there is nothing but to wait for the reader.
            let _ = write_all(&self.0.sink, (text + "\n").as_bytes(), &self.0.progress);
            return;
        }
        if state.bytes + text.len() > MAX_QUEUED && !matters {
            state.left_out += text.lines().count().max(1) as u64;
            return;
        }
        state.mention_left_out();
        state.push(text);
        self.0.asked.notify_one();
    }

    /// Shows bars from here on.
    pub(crate) fn show(&self, board: BoardSource) {
        let mut state = self.0.lock();
        if self.0.start(&mut state) {
            state.board = Some(board);
            self.0.asked.notify_one();
        }
    }

    /// Waits until all that was said is written, as long as the reader reads.
    pub(crate) fn flush(&self) {
        let shared = &self.0;
        let mut state = shared.lock();
        if state.started != Some(true)
            || state.given_up_at == Some(shared.progress.load(Ordering::Relaxed))
        {
            return;
        }
        state.redraw = state.board.is_some();
        shared.asked.notify_one();
        let began = Instant::now();
        let mut moved = (began, shared.progress.load(Ordering::Relaxed));
        while !state.is_idle() {
            let (next, _) = shared
                .idle
                .wait_timeout(state, FRAME)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            let now = (Instant::now(), shared.progress.load(Ordering::Relaxed));
            if now.1 != moved.1 {
                moved = now;
            }
            if now.0 - moved.0 > MAX_STANDSTILL || now.0 - began > MAX_WAIT {
                state.given_up_at = Some(now.1);
                return;
            }
        }
    }
}

impl State {
    fn push(&mut self, text: String) {
        self.bytes += text.len();
        self.lines.push_back(text);
    }

    /// Says where lines are missing.
    fn mention_left_out(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.push(format!(
                "({} {} left out here: the terminal or pipe did not take {})",
                count(left_out, "line"),
                form(left_out, "was", "were"),
                form(left_out, "it", "them")
            ));
        }
    }

    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.left_out == 0 && !self.busy && !self.redraw
    }
}

impl Shared {
    /// The state, whole even after a panic: each change of it is complete when the lock is given
    /// back.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, unless it runs; says whether it does.
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        *state.started.get_or_insert_with(|| {
            let shared = Arc::clone(self);
            std::thread::Builder::new()
                .name("terminal".to_owned())
                .spawn(move || shared.work())
                .is_ok()
        })
    }

    /// The thread's part: it lives as long as the program.
    fn work(&self) {
        let mut drawn = self.draws.then(|| Drawn::new(Arc::clone(&self.sink)));
        let mut state = self.lock();
        loop {
            if state.lines.is_empty() {
                state.mention_left_out();
            }
            if state.lines.is_empty() && !state.redraw {
                let frame = state.board.is_some() && drawn.is_some();
                self.idle.notify_all();
                state = match frame {
                    true => {
                        self.asked
                            .wait_timeout(state, FRAME)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                    false => self
                        .asked
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                };
            }
            let mut text = String::new();
            while text.len() < BATCH
                && let Some(line) = state.lines.pop_front()
            {
                state.bytes -= line.len();
                text += &line;
                text.push('\n');
            }
            let board = state.board.clone();
            let last = state.lines.is_empty();
            state.busy = true;
            drop(state);

            match (&mut drawn, board) {
                (Some(drawn), Some(board)) => drawn.draw(&board(), &text),
                // An error of stderr cannot be reported anywhere else.
                _ => drop(write_all(&self.sink, text.as_bytes(), &self.progress)),
            }
            self.progress.fetch_add(1, Ordering::Relaxed);

            state = self.lock();
            state.busy = false;
            // What was said in the last moments has its own turn.
            state.redraw &= !(last && state.lines.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Whether a write was attempted, whether the reader reads, and what it has taken.
    #[derive(Default)]
    struct Reader {
        asked: bool,
        open: bool,
        taken: Vec<u8>,
    }

    type Gate = (Mutex<Reader>, Condvar);

    /// A reader that takes nothing until it is let go.
    fn gated() -> (Sink, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        let inner = Arc::clone(&gate);
        let sink = move |bytes: &[u8]| {
            let (lock, changed) = &*inner;
            let mut reader = lock.lock().unwrap();
            reader.asked = true;
            changed.notify_all();
            let mut reader = changed.wait_while(reader, |reader| !reader.open).unwrap();
            reader.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        };
        (Arc::new(sink), gate)
    }

    #[test]
    fn a_reader_that_takes_nothing_delays_nothing_and_is_told_what_it_missed() {
        let (sink, gate) = gated();
        let terminal = Terminal::new(sink, false);
        let line = "x".repeat(1 << 20);
        terminal.say("first".to_owned(), false);
        // From here on nothing leaves the queue, however late the thread is given a processor.
        drop(
            gate.1
                .wait_while(gate.0.lock().unwrap(), |reader| !reader.asked)
                .unwrap(),
        );
        for _ in 0..20 {
            terminal.say(line.clone(), false);
        }
        terminal.say("the error".to_owned(), true);
        terminal.flush();
        terminal.flush();
        gate.0.lock().unwrap().open = true;
        gate.1.notify_all();
        terminal.flush();
        terminal.0.lock().given_up_at = None;
        terminal.flush();
        let said = String::from_utf8(gate.0.lock().unwrap().taken.clone()).unwrap();
        let long = format!("{line}\n").repeat(MAX_QUEUED >> 20);
        let missing = "(16 lines were left out here: the terminal or pipe did not take them)";
        assert_eq!(
            said.replace(&line, "x"),
            format!("first\n{long}{missing}\nthe error\n").replace(&line, "x")
        );
    }

    #[test]
    fn all_is_written_in_order_where_writing_would_block() {
        let taken = Arc::new(Mutex::new((0, Vec::new())));
        let inner = Arc::clone(&taken);
        let sink: Sink = Arc::new(move |bytes: &[u8]| {
            let mut state = inner.lock().unwrap();
            state.0 += 1;
            match state.0 % 3 {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                _ => {
                    let some = bytes.len().min(7);
                    state.1.extend_from_slice(&bytes[..some]);
                    Ok(some)
                }
            }
        });
        let terminal = Terminal::new(sink, false);
        let lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        lines
            .iter()
            .for_each(|line| terminal.say(line.clone(), false));
        terminal.flush();
        assert_eq!(
            String::from_utf8(taken.lock().unwrap().1.clone()).unwrap(),
            lines.join("\n") + "\n"
        );
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let terminal = Terminal::new(
            Arc::new(|_: &[u8]| Err(ErrorKind::BrokenPipe.into())),
            false,
        );
        (0..3).for_each(|_| terminal.say("lost".to_owned(), true));
        terminal.flush();
        assert!(terminal.0.lock().is_idle());
    }
}
