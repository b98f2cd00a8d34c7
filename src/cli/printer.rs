//! Every line that the coordinator prints goes through here. stdout carries data only; what is said
//! to a person goes to stderr, by a thread of its own (`terminal`). Texts for people are made
//! harmless (`printable`), and values of secret variables are hidden in all.

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;

use super::args::{Color, Common};
use super::diagnosis;
use super::error::CliError;
use super::sink::{Sink, write_all};
use super::terminal::Terminal;
use crate::printable;
use crate::progress::Board;
use crate::secrets::Secrets;
use crate::text::count;

/// Writes all output to stdout and stderr. Clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    quiet: bool,
    color: bool,
    use_bars: bool,
    terminal: Terminal,
    secrets: Arc<OnceLock<Secrets>>,
}

impl Printer {
    /// A printer that follows the common options.
    pub(crate) fn new(common: &Common) -> Self {
        let terminal = io::stderr().is_terminal();
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        // Log lines and bars would tear each other apart.
        let use_bars = terminal && !common.quiet && common.verbose == 0;
        let terminal = Terminal::new(
            Arc::new(|bytes: &[u8]| Ok(nix::unistd::write(io::stderr(), bytes)?)),
            use_bars,
        );
        Self {
            quiet: common.quiet,
            color,
            use_bars,
            terminal,
            secrets: Arc::default(),
        }
    }

    /// Hides these values in all that is printed from here on, by this printer and its clones.
    pub(crate) fn hide(&self, secrets: Secrets) {
        // A verb reads one sweep file.
        let _ = self.secrets.set(secrets);
    }

    /// Whether stderr has room for progress bars.
    pub(crate) fn has_bars(&self) -> bool {
        self.use_bars
    }

    /// Shows bars on stderr from here on: what the function returns when the terminal is drawn.
    pub(crate) fn show(&self, board: impl Fn() -> Board + Send + Sync + 'static) {
        self.terminal.show(Arc::new(board));
    }

    /// Waits until what was said is written, as long as the reader reads.
    pub(crate) fn flush(&self) {
        self.terminal.flush();
    }

    /// Data for programs, on stdout, to the letter. A newline is added if there is none.
    ///
    /// # Errors
    /// `CliError::Output`, if stdout cannot be written.
    pub(crate) fn data(&self, text: &str) -> Result<(), CliError> {
        self.stdout(&self.redacted(text))
    }

    /// Text for people, on stdout, without anything that a terminal obeys. A newline is added if
    /// there is none.
    ///
    /// # Errors
    /// `CliError::Output`, if stdout cannot be written.
    pub(crate) fn text(&self, text: &str) -> Result<(), CliError> {
        self.stdout(&printable::lines(&self.redacted(text)))
    }

    fn stdout(&self, text: &str) -> Result<(), CliError> {
        // What was said before stands before it.
        self.flush();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        let out = [text, newline].concat();
        let sink: Sink = Arc::new(|bytes: &[u8]| Ok(nix::unistd::write(io::stdout(), bytes)?));
        match write_all(&sink, out.as_bytes(), &AtomicU64::new(0)) {
            // As for other programs of this kind, a stdout that was closed from the start takes
            // everything.
            Err(error) if error.raw_os_error() == Some(Errno::EBADF as i32) => Ok(()),
            written => written.map_err(CliError::Output),
        }
    }

    /// Whether stdout is a terminal that can be drawn over.
    pub(crate) fn draws(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Draws a text over the last one, which had `lines` lines, and returns the number of lines of
    /// this one. What the terminal has no room for is left out: lines that have scrolled away
    /// cannot be drawn over.
    ///
    /// # Errors
    /// `CliError::Output`, if stdout cannot be written.
    pub(crate) fn redraw(&self, text: &str, lines: usize) -> Result<usize, CliError> {
        let (rows, columns) = console::Term::stdout().size();
        let room = usize::from(rows).max(3) - 1;
        let columns = usize::from(columns).max(20);
        let text = self.redacted(text);
        let text = printable::lines(&text);
        let all: Vec<&str> = text.trim_end().lines().collect();

        let mut shown: Vec<String> = all
            .iter()
            .take(room)
            .map(|line| console::truncate_str(line, columns - 1, "…").into_owned())
            .collect();
        if all.len() > room {
            let left = all.len() - room + 1;
            shown.truncate(room - 1);
            shown.push(format!("… {} more", count(left, "line")));
        }

        // To the first of the old lines, and all below it away.
        let back = if lines > 0 {
            format!("\u{1b}[{lines}A\r\u{1b}[J")
        } else {
            String::new()
        };
        self.stdout(&format!("{back}{}\n", shown.join("\n")))?;
        Ok(shown.len())
    }

    /// A line for a person, on stderr; not when quiet.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.terminal.say(self.harmless(line), false);
        }
    }

    /// A line that matters even when quiet, on stderr.
    pub(crate) fn warn(&self, line: &str) {
        let label = if self.color {
            "\u{1b}[1;33mwarning\u{1b}[0m"
        } else {
            "warning"
        };
        self.terminal
            .say(format!("{label}: {}", self.harmless(line)), true);
    }

    /// What went wrong, on stderr.
    pub(crate) fn error(&self, error: &CliError) {
        if let Some(diagnosis) = error.diagnosis() {
            let width = usize::from(console_width());
            // What it shows of the file it makes harmless itself: the colours around that are ours.
            let text = diagnosis::render(diagnosis, self.color, width);
            self.terminal.say(text.trim_end().to_owned(), true);
            return;
        }
        let label = if self.color {
            "\u{1b}[1;31merror\u{1b}[0m"
        } else {
            "error"
        };
        let message = self.harmless(&error.to_string());
        self.terminal.say(format!("{label}: {message}"), true);
    }

    /// A line of the log, on stderr; as JSON to the letter.
    pub(crate) fn log(&self, text: &str, json: bool) {
        let text = if json {
            self.redacted(text).into_owned()
        } else {
            self.harmless(text)
        };
        self.terminal.say(text, false);
    }

    /// JSON for programs, on stderr, to the letter.
    pub(crate) fn json(&self, text: &str) {
        self.terminal.say(self.redacted(text).into_owned(), true);
    }

    fn redacted<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        self.secrets
            .get()
            .map_or(text.into(), |secrets| secrets.redact(text))
    }

    fn harmless(&self, text: &str) -> String {
        printable::lines(&self.redacted(text)).into_owned()
    }
}

/// Columns of the terminal on stderr; 100 where it is none.
fn console_width() -> u16 {
    console::Term::stderr()
        .size_checked()
        .map_or(100, |(_, columns)| columns)
}
