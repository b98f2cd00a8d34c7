//! `pentagrid run`: starts or resumes a sweep, and runs it to its report.

use super::args::RunArgs;
use super::error::CliError;
use super::printer::Printer;
use super::progress;
use crate::sweep::{self, Outcome, Request};

/// Runs a sweep.
pub(crate) fn run(arguments: &RunArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let file = sweep::read(&arguments.spec, arguments.dir.as_deref())?;
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| sweep::default_run_dir(&file.spec));
    let options = arguments.how.options();
    let request = Request {
        file,
        dir,
        folder: sweep::folder()?,
        options: &options,
    };
    progress::run(request, printer)
}
