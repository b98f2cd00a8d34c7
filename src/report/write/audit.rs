//! Writes the audit of a report: reads the histories that claims ask for, and writes its files.

use std::collections::{BTreeSet, HashMap};

use super::error::ReportError;
use super::folder::Folder;
use crate::aggregate::Evaluation;
use crate::aggregate::claims::{Histories, TrialHistory};
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
) -> Result<Option<Audit>, ReportError> {
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
) -> Result<Histories, ReportError> {
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
