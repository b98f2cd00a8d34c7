//! `pentagrid run`: starts a sweep, or goes on with it, through to the report.

use super::args::RunArgs;
use super::environment;
use super::error::{CliError, Outcome};
use super::printer::Printer;
use super::sweep::{self, Request};
use super::sweep_file;

/// Runs a sweep.
pub fn run(arguments: &RunArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let file = sweep_file::read(&arguments.spec, arguments.dir.as_deref())?;
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| sweep_file::default_run_dir(&file.spec));
    sweep::run(
        Request {
            file,
            dir,
            folder: environment::folder()?,
            how: &arguments.how,
        },
        printer,
    )
}
