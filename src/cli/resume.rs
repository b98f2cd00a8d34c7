//! `pentagrid resume`: goes on with a sweep from the spec in its ledger.

use std::path::Path;

use super::args::ResumeArgs;
use super::environment;
use super::error::{CliError, Outcome};
use super::printer::Printer;
use super::sweep::{self, Request};
use super::sweep_file;
use crate::files;
use crate::ledger::Reader;
use crate::spec::command::shell_quoted;

/// Goes on with a sweep.
pub fn resume(arguments: &ResumeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let ledger = Reader::open(&arguments.dir)?;
    let file = sweep_file::from_ledger(&ledger, &arguments.dir)?;
    refuse_edited(&arguments.dir, &file.text)?;
    let folder = environment::folder_of(&ledger, &file.spec)?;
    drop(ledger);
    sweep::run(
        Request {
            file,
            dir: arguments.dir.clone(),
            folder,
            how: &arguments.how,
        },
        printer,
    )
}

/// Refuses to go on beside an edited `spec.yaml`: it would be overwritten with the ledger's spec,
/// and the edit lost.
fn refuse_edited(dir: &Path, in_force: &str) -> Result<(), CliError> {
    let path = dir.join("spec.yaml");
    match files::read(&path) {
        Ok(kept) if kept != in_force.as_bytes() => {
            let (path, dir) = (path.display(), shell_quoted(&dir.display().to_string()));
            Err(CliError::Usage(format!(
                "{path} is not the spec that this sweep was run with: it has been edited\n\
                 to go on with the edited one: pentagrid run {} --dir {dir} --accept-changes\n\
                 to go on as before: remove it, the ledger has the spec",
                shell_quoted(&path.to_string())
            )))
        }
        // One that is not there is written again.
        _ => Ok(()),
    }
}
