//! `pentagrid resume`: goes on with a sweep from the spec in its ledger.

use super::args::ResumeArgs;
use super::environment;
use super::error::{CliError, Outcome};
use super::printer::Printer;
use super::sweep::{self, Request};
use super::sweep_file;
use crate::ledger::Reader;

/// Goes on with a sweep.
pub fn resume(arguments: &ResumeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let ledger = Reader::open(&arguments.dir)?;
    let file = sweep_file::from_ledger(&ledger, &arguments.dir)?;
    let folder = environment::folder_of(&ledger)?;
    drop(ledger);
    sweep::run(Request { file, dir: arguments.dir.clone(), folder, accept_changes: false, how: &arguments.how }, printer)
}
