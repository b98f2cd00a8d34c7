//! Every line that the coordinator prints goes through here. stdout carries data only; what is said to a person
//! goes to stderr, around the progress bars if there are any.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::args::{Color, Common};
use super::diagnosis;
use super::error::CliError;

/// The one who prints.
#[derive(Clone, Debug)]
pub struct Printer {
    quiet: bool,
    color: bool,
    bars: MultiProgress,
    use_bars: bool,
}

impl Printer {
    /// A printer that follows the common options.
    pub fn new(common: &Common) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        // Log lines and bars would tear each other apart.
        let use_bars = terminal && !common.quiet && common.verbose == 0;
        let bars =
            MultiProgress::with_draw_target(if use_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        Self { quiet: common.quiet, color, bars, use_bars }
    }

    /// The area for progress bars, if the terminal has one.
    pub fn bars(&self) -> Option<MultiProgress> {
        self.use_bars.then(|| self.bars.clone())
    }

    /// Data, on stdout. A newline is added if there is none.
    ///
    /// # Errors
    /// `CliError::Output`, if stdout cannot be written.
    pub fn data(&self, text: &str) -> Result<(), CliError> {
        self.bars
            .suspend(|| {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes())?;
                if !text.ends_with('\n') {
                    out.write_all(b"\n")?;
                }
                out.flush()
            })
            .map_err(CliError::Output)
    }

    /// Whether stdout is a terminal that can be drawn over.
    pub fn draws(&self) -> bool {
        std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Draws a text over the last one, which had so many lines; says how many this one has. What the terminal has no room for is
    /// left out: lines that have scrolled away cannot be drawn over.
    ///
    /// # Errors
    /// `CliError::Output`, if stdout cannot be written.
    pub fn redraw(&self, text: &str, lines: usize) -> Result<usize, CliError> {
        let terminal = console::Term::buffered_stdout();
        let (rows, columns) = terminal.size();
        let (rows, columns) = (usize::from(rows).max(3), usize::from(columns).max(20));
        let all: Vec<&str> = text.trim_end().lines().collect();
        let room = rows - 1;
        let mut shown: Vec<String> =
            all.iter().take(room).map(|line| console::truncate_str(line, columns - 1, "…").into_owned()).collect();
        if all.len() > room {
            let left = all.len() - room + 1;
            shown.truncate(room - 1);
            shown.push(format!("… {} more", count(left, "line")));
        }
        let draw = || {
            terminal.clear_last_lines(lines)?;
            shown.iter().try_for_each(|line| terminal.write_line(line))?;
            terminal.flush()
        };
        draw().map_err(CliError::Output)?;
        Ok(shown.len())
    }

    /// A line for a person, on stderr; not when quiet.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.stderr(line);
        }
    }

    /// A line that matters even when quiet, on stderr.
    pub fn warn(&self, line: &str) {
        let label = if self.color { "\u{1b}[1;33mwarning\u{1b}[0m" } else { "warning" };
        self.stderr(&format!("{label}: {line}"));
    }

    /// What went wrong, on stderr.
    pub fn error(&self, error: &CliError) {
        match error {
            CliError::Spec(diagnosis) => {
                let width = usize::from(console_width());
                self.stderr(diagnosis::render(diagnosis, self.color, width).trim_end());
            }
            other => {
                let label = if self.color { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
                self.stderr(&format!("{label}: {other}"));
            }
        }
    }

    /// Raw text on stderr, around the bars. A stderr that is closed can be told nothing.
    pub fn stderr(&self, text: &str) {
        self.bars.suspend(|| drop(writeln!(std::io::stderr().lock(), "{text}")));
    }
}

/// A count with its noun: `1 trial`, `3 trials`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Columns of the terminal on stderr; 100 where it is none.
fn console_width() -> u16 {
    console::Term::stderr().size_checked().map_or(100, |(_, columns)| columns)
}
