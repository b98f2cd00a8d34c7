//! `pentagrid status`: how a sweep stands, also while it runs.

use super::args::StatusArgs;
use super::error::CliError;
use super::json;
use super::printer::Printer;
use super::standing::{describe, gather};
use crate::monitor::Sweep;
use crate::shell::shell_path;
use crate::sweep::Outcome;

/// Shows how a sweep stands.
pub(crate) fn status(arguments: &StatusArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = Sweep::snapshot(&arguments.dir)?;
    let status = gather(&sweep);
    if arguments.json {
        printer.data(&json::document(&status)?)?;
    } else {
        let dir = shell_path(&arguments.dir);
        printer.text(&describe(&status, sweep.spec(), &dir))?;
    }
    Ok(Outcome::Done)
}
