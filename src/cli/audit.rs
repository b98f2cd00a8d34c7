//! The audit's part of `report`: reads the histories that claims ask for, writes its files, and
//! says with `--check` whether the claims hold.

use std::collections::{BTreeSet, HashMap};

use super::error::{CliError, Outcome};
use super::folder::Folder;
use super::printer::Printer;
use crate::aggregate::Evaluation;
use crate::aggregate::claims::{Histories, TrialHistory, Verdict};
use crate::grid::TrialId;
use crate::ledger::{LedgerError, Reader, TrialRow, TrialState};
use crate::report::{
    Audit, audit, audit_markdown, audit_text, claim_lines, write_audit, write_claims,
};
use crate::spec::{ClaimKind, Spec};

/// Audits a sweep, and writes the audit into the report's folder. Files of an earlier spec, which
/// had more to audit, are removed.
pub fn write(
    ledger: &Reader,
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    devices: &[String],
    folder: &Folder,
) -> Result<Option<Audit>, CliError> {
    let audit = audit(
        spec,
        evaluation,
        &histories(ledger, spec, evaluation, rows)?,
        devices,
    );
    match &audit {
        Some(audit) => {
            folder.text("audit.txt", &audit_text(audit))?;
            folder.text("audit.md", &audit_markdown(audit))?;
        }
        None => ["audit.txt", "audit.md"]
            .iter()
            .try_for_each(|name| folder.remove(name))?,
    }
    match audit.as_ref().filter(|audit| !audit.rows.is_empty()) {
        Some(audit) => folder.csv("audit.csv", |to| write_audit(audit, to))?,
        None => folder.remove("audit.csv")?,
    }
    match audit.as_ref().filter(|audit| !audit.claims.is_empty()) {
        Some(audit) => folder.csv("claims.csv", |to| write_claims(audit, to))?,
        None => folder.remove("claims.csv")?,
    }
    Ok(audit)
}

/// The histories of the trials that the tables are of; none where no claim is about epochs.
fn histories(
    ledger: &Reader,
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Histories, CliError> {
    let mut histories = vec![Vec::new(); spec.arms.len()];
    let names: BTreeSet<&str> = spec
        .claims
        .iter()
        .flat_map(|claim| metrics_by_epoch(&claim.kind))
        .collect();
    if names.is_empty() {
        return Ok(histories);
    }
    let seeds = if spec.seeds.final_.is_empty() {
        &spec.seeds.tune
    } else {
        &spec.seeds.final_
    };
    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        for &seed in seeds {
            let id = TrialId {
                point: point.id,
                seed,
            };
            if rows
                .get(&id)
                .is_some_and(|row| row.state == TrialState::Done)
            {
                let mut epochs = Vec::new();
                ledger.each_epoch_of::<LedgerError>(id, 1, |row| {
                    // A history may have millions of rows: no more of them is kept than is asked
                    // for.
                    let asked = names
                        .iter()
                        .filter_map(|name| Some((*name, row.metrics.get(name)?)));
                    epochs.push((row.position, asked.collect()));
                    Ok(())
                })?;
                histories[arm.arm].push(TrialHistory { seed, epochs });
            }
        }
    }
    Ok(histories)
}

/// The metrics in the history that a claim is about.
fn metrics_by_epoch(kind: &ClaimKind) -> Vec<&str> {
    match kind {
        ClaimKind::Saturates { metric, .. } => vec![metric],
        ClaimKind::AlwaysAbove { metric, than, .. } => vec![metric, than],
        ClaimKind::Beyond { .. } | ClaimKind::Ratio { .. } | ClaimKind::Bound { .. } => Vec::new(),
    }
}

/// The claims for the terminal.
pub fn text(audit: &Audit) -> String {
    if audit.claims.is_empty() {
        String::new()
    } else {
        format!("Claims:\n{}", claim_lines(audit))
    }
}

/// Whether the sweep is finished, and no claim is contradicted or without data; says on stderr
/// which claims are. That the sweep is not finished has been said.
pub fn check(audit: Option<&Audit>, complete: bool, printer: &Printer) -> Outcome {
    let mut outcome = if complete {
        Outcome::Done
    } else {
        Outcome::SomeFailed
    };
    for verdict in [Verdict::Contradicted, Verdict::NoData] {
        for claim in audit.into_iter().flat_map(|audit| audit.with(verdict)) {
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
