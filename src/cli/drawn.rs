//! The bars as they stand on the terminal, drawn by indicatif. Belongs to the thread that writes to
//! stderr.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::sink::{Sink, write_all};
use crate::progress::{Bar, Board};

/// Time between two steps of what turns while a trial runs.
const TURN: Duration = Duration::from_millis(250);

/// What stands on the terminal.
pub(super) struct Drawn {
    sink: Sink,
    area: MultiProgress,
    board: Board,
    bars: Vec<ProgressBar>,
    trials: Vec<ProgressBar>,
    turned: Instant,
}

impl Drawn {
    /// An area without bars.
    pub(crate) fn new(sink: Sink) -> Self {
        let screen = Screen {
            sink: Arc::clone(&sink),
            waiting: Mutex::default(),
        };
        let area = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(screen)));
        Self {
            sink,
            area,
            board: Board::default(),
            bars: Vec::new(),
            trials: Vec::new(),
            turned: Instant::now(),
        }
    }

    /// Writes lines above the bars, and shows the bars as they are now.
    pub(crate) fn draw(&mut self, board: &Board, lines: &str) {
        if !lines.is_empty() {
            // Stderr that is closed can be told nothing.
            self.area
                .suspend(|| drop(write_all(&self.sink, lines.as_bytes(), &AtomicU64::new(0))));
        }
        let turn = !board.trials.is_empty() && self.turned.elapsed() >= TURN;
        if *board == self.board && !turn {
            return;
        }

        let old = self.board.bars.iter().map(|bar| (&bar.name, bar.all));
        if !old.eq(board.bars.iter().map(|bar| (&bar.name, bar.all))) {
            self.clear();
            self.bars = board
                .bars
                .iter()
                .enumerate()
                .map(|(at, bar)| self.area.add(new_bar(at, bar)))
                .collect();
            self.bars.iter().for_each(ProgressBar::tick);
        }
        while self.trials.len() > board.trials.len() {
            self.trials
                .pop()
                .into_iter()
                .for_each(|line| line.finish_and_clear());
        }
        while self.trials.len() < board.trials.len() {
            self.trials.push(
                self.area
                    .add(ProgressBar::new_spinner().with_style(style("  {spinner} {msg}"))),
            );
        }
        // Each change is drawn: only what has changed is set.
        for (shown, bar) in self.bars.iter().zip(&board.bars) {
            if shown.position() != bar.ended {
                shown.set_position(bar.ended);
            }
            if shown.message() != bar.message {
                shown.set_message(bar.message.clone());
            }
        }
        for (shown, text) in self.trials.iter().zip(&board.trials) {
            if shown.message() != *text {
                shown.set_message(text.clone());
            } else if turn {
                shown.tick();
            }
        }
        if turn {
            self.turned = Instant::now();
        }
        self.board = board.clone();
    }

    fn clear(&mut self) {
        self.bars
            .drain(..)
            .chain(self.trials.drain(..))
            .for_each(|bar| bar.finish_and_clear());
    }
}

fn new_bar(at: usize, bar: &Bar) -> ProgressBar {
    let template = if at == 0 {
        "{prefix} {bar:30.green} {pos}/{len}  {msg}"
    } else {
        "{prefix} {bar:30} {pos}/{len}  {msg}"
    };
    let shown = ProgressBar::with_draw_target(Some(bar.all), ProgressDrawTarget::hidden())
        .with_style(style(template));
    shown
        .with_prefix(bar.name.clone())
        .with_message(bar.message.clone())
        .with_position(bar.ended)
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file: one that does not parse is seen at the first run.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

/// The terminal as indicatif wants it: what it draws is put together, and written at once.
struct Screen {
    sink: Sink,
    waiting: Mutex<String>,
}

impl Screen {
    fn add(&self, text: &str) -> io::Result<()> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
        Ok(())
    }

    fn move_by(&self, count: usize, letter: char) -> io::Result<()> {
        if count > 0 {
            self.add(&format!("\u{1b}[{count}{letter}"))
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Screen")
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        console::Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        console::Term::stderr().size().0
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_by(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // A terminal that has gone away can be told nothing; indicatif panics at some errors.
        let _ = write_all(&self.sink, text.as_bytes(), &AtomicU64::new(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_above_the_bars_and_nothing_is_left_of_these() {
        let taken = Arc::new(Mutex::new(String::new()));
        let inner = Arc::clone(&taken);
        let mut drawn = Drawn::new(Arc::new(move |bytes: &[u8]| {
            inner
                .lock()
                .unwrap()
                .push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }));
        let bar = |ended| Bar {
            name: "tuning".to_owned(),
            all: 4,
            ended,
            message: "2 failed".to_owned(),
        };
        let board = |ended| Board {
            bars: vec![bar(ended)],
            trials: vec!["a trial".to_owned()],
        };
        drawn.draw(&board(1), "");
        let first = std::mem::take(&mut *taken.lock().unwrap());
        assert!(
            first.contains("tuning")
                && first.contains("1/4  2 failed")
                && first.contains("a trial"),
            "{first:?}"
        );
        drawn.draw(&board(2), "a line\n");
        let second = std::mem::take(&mut *taken.lock().unwrap());
        let line = second.find("a line\n").unwrap();
        assert!(
            second[..line].contains("\u{1b}[2K") && second[line..].contains("2/4"),
            "{second:?}"
        );
        drawn.draw(&Board::default(), "");
        let last = std::mem::take(&mut *taken.lock().unwrap());
        assert!(
            !last.trim_end().ends_with("failed")
                && drawn.bars.is_empty()
                && drawn.trials.is_empty(),
            "{last:?}"
        );
    }
}
