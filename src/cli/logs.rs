//! Log lines of the program itself (`tracing`), on stderr and around the progress bars.
//! PENTAGRID_LOG overrides -v, with the filters of tracing-subscriber (e.g.
//! `pentagrid::schedule=trace`).

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::args::{Common, LogFormat};
use super::printer::Printer;

/// Starts logging.
pub(crate) fn start(common: &Common, printer: &Printer) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "pentagrid=debug",
        (_, _) => "pentagrid=trace",
    };
    let json = matches!(common.log_format, LogFormat::Json);
    let filter = EnvFilter::try_from_env("PENTAGRID_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines {
            printer: printer.clone(),
            json,
        });
    // A second call in one process (tests) keeps the first one's settings.
    let _ = match common.log_format {
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Hands each log line to the printer.
struct Lines {
    printer: Printer,
    json: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            printer: self.printer.clone(),
            json: self.json,
            text: Vec::new(),
        }
    }
}

/// One log line; printed when it is complete.
struct Line {
    printer: Printer,
    json: bool,
    text: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        self.printer.log(text.trim_end(), self.json);
    }
}
