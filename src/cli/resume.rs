//! `pentagrid resume`: resumes a sweep from the sweep file in its ledger.

use std::path::Path;

use super::args::ResumeArgs;
use super::error::CliError;
use super::printer::Printer;
use super::progress;
use crate::files;
use crate::shell::shell_quoted;
use crate::sweep::{OpenSweep, Outcome, Request, SweepFile};

/// Resumes a sweep.
pub(crate) fn resume(arguments: &ResumeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::open(&arguments.dir)?;
    refuse_edited(&arguments.dir, &sweep.text)?;
    let folder = sweep.folder()?;
    // The run opens the ledger again, to write.
    let OpenSweep { text, spec, .. } = sweep;
    let options = arguments.how.options();
    let request = Request {
        file: SweepFile { text, spec },
        dir: arguments.dir.clone(),
        folder,
        options: &options,
    };
    progress::run(request, printer)
}

/// Refuses to resume beside an edited `spec.yaml`: it would be overwritten with the ledger's spec,
/// and the edit lost.
fn refuse_edited(dir: &Path, in_force: &str) -> Result<(), CliError> {
    let path = dir.join("spec.yaml");
    match files::read(&path) {
        Ok(kept) if kept != in_force.as_bytes() => {
            let path = path.display();
            let dir = shell_quoted(&dir.display().to_string());
            Err(CliError::Usage(format!(
                "{path} is not the spec that this sweep was run with: it has been edited\n\
                 to resume with the edited one: pentagrid run {} --dir {dir} --accept-changes\n\
                 to resume as before: remove it, the ledger has the spec",
                shell_quoted(&path.to_string())
            )))
        }
        // One that is not there is written again.
        _ => Ok(()),
    }
}
