//! `pentagrid report`: writes the report of a run directory again, from its ledger alone.

use std::path::Path;

use serde::Serialize;

use super::args::ReportArgs;
use super::error::CliError;
use super::json;
use super::printer::Printer;
use crate::aggregate::claims::Verdict;
use crate::report::write::{WrittenReport, default_report_dir, refuse_other_run, write_report};
use crate::shell::shell_path;
use crate::sweep::{OpenSweep, Outcome};

/// What was written, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    sweep: &'a str,
    complete: bool,
    unselected: &'a [String],
    folder: String,
    files: &'a [String],
    claims: Vec<ShownClaim<'a>>,
}

#[derive(Serialize)]
struct ShownClaim<'a> {
    claim: &'a str,
    verdict: &'static str,
    numbers: &'a str,
    published_verdict: Option<&'static str>,
}

impl<'a> Answer<'a> {
    fn of(written: &'a WrittenReport, out: &Path) -> Self {
        let claims = written.audit.iter().flat_map(|audit| &audit.claims);
        let claims = claims.map(|claim| ShownClaim {
            claim: &claim.claim.says,
            verdict: claim.ours.verdict.name(),
            numbers: &claim.numbers,
            published_verdict: claim
                .published
                .as_ref()
                .map(|(judgement, _)| judgement.verdict.name()),
        });
        Self {
            sweep: &written.sweep,
            complete: written.complete,
            unselected: &written.unselected,
            folder: out.display().to_string(),
            files: &written.files,
            claims: claims.collect(),
        }
    }
}

/// Writes a report.
pub(crate) fn report(arguments: &ReportArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let sweep = OpenSweep::frozen(&arguments.dir)?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => {
            let out = default_report_dir(&arguments.dir, &sweep.spec);
            refuse_other_run(&out, &arguments.dir)?;
            out
        }
    };
    let written = write_report(sweep.source(), &out)?;
    match arguments.json {
        true => printer.data(&json::document(&Answer::of(&written, &out))?)?,
        false => printer.text(&written.text)?,
    }

    if !written.complete {
        printer.warn(&format!(
            "the sweep is not finished: resume it with `pentagrid resume {}`",
            shell_path(&arguments.dir)
        ));
    }
    for why in &written.unselected {
        printer.warn(why);
    }
    if !arguments.check {
        return Ok(Outcome::Done);
    }
    Ok(check(&written, printer))
}

/// Whether the sweep is finished, and no claim is contradicted or without data; says on stderr
/// which claims are. That the sweep is not finished has been said.
fn check(written: &WrittenReport, printer: &Printer) -> Outcome {
    let mut outcome = match written.complete && written.unselected.is_empty() {
        true => Outcome::Done,
        false => Outcome::SomeFailed,
    };
    for verdict in [Verdict::Contradicted, Verdict::NoData] {
        for claim in written.audit.iter().flat_map(|audit| audit.with(verdict)) {
            printer.warn(&format!(
                "{}: {}: {}",
                verdict.name(),
                claim.claim.says,
                claim.numbers
            ));
            outcome = Outcome::SomeFailed;
        }
    }
    outcome
}
