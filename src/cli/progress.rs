//! Shows a sweep while it runs, and how it ended: what `run` and `resume` have in common.

use super::error::CliError;
use super::printer::Printer;
use crate::grid::Grid;
use crate::progress::{Bars, Names, Plain};
use crate::schedule;
use crate::secrets::Secrets;
use crate::shell::shell_path;
use crate::spec::Spec;
use crate::sweep::{self, Finished, Observer, Outcome, Request};
use crate::text::{count, thousands};

impl Observer for Printer {
    fn hide(&self, secrets: &Secrets) {
        Printer::hide(self, secrets.clone());
    }

    fn say(&self, line: &str) {
        Printer::say(self, line);
    }

    fn warn(&self, line: &str) {
        Printer::warn(self, line);
    }

    fn progress(&self, spec: &Spec, grid: &Grid) -> Box<dyn schedule::Observer> {
        let names = Names::new(spec, grid);
        let printer = self.clone();
        let write = move |line: &str| printer.say(line);
        if !self.has_bars() {
            return Box::new(Plain::new(names, write));
        }
        let bars = Bars::new(names, write);
        self.show(bars.source());
        Box::new(bars)
    }
}

/// Runs a sweep, and shows its report.
pub(super) fn run(request: Request<'_>, printer: &Printer) -> Result<Outcome, CliError> {
    let dir = request.dir.clone();
    match sweep::run(request, printer)? {
        Finished::Reported {
            outcome,
            report,
            warnings,
        } => {
            printer.text(&report.text)?;
            for warning in &warnings {
                printer.warn(warning);
            }
            Ok(outcome)
        }
        Finished::Interrupted { tuning, finals } => {
            let kept: Vec<String> = [(tuning, "tuning"), (finals, "final")]
                .into_iter()
                .filter(|((_, planned), _)| *planned > 0)
                .map(|((done, planned), phase)| {
                    let planned = count(planned, &format!("{phase} trial"));
                    format!("{} of {planned}", thousands(done))
                })
                .collect();
            printer.warn(&format!(
                "interrupted; kept in {}: the results of {}\nresume with: pentagrid resume {}",
                dir.display(),
                kept.join(" and "),
                shell_path(&dir)
            ));
            Ok(Outcome::Interrupted)
        }
    }
}
