//! `pentagrid resume`: goes on with a sweep from the spec in its ledger.

use super::args::ResumeArgs;
use super::error::{CliError, Outcome};
use super::printer::Printer;
use super::sweep::{self, Request};
use super::sweep_file;
use crate::ledger::Reader;

/// Goes on with a sweep.
pub fn resume(arguments: &ResumeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let file = sweep_file::from_ledger(&Reader::open(&arguments.dir)?, &arguments.dir)?;
    sweep::run(Request { file, dir: arguments.dir.clone(), accept_changes: false, how: &arguments.how }, printer)
}
