//! Writes the audit of a report: reads the histories that claims ask for, and writes its files.

use std::collections::{BTreeSet, HashMap};

use super::error::ReportError;
use super::folder::Folder;
use crate::aggregate::claims::{Histories, TrialHistory};
use crate::aggregate::{Evaluation, reported_seeds};
use crate::grid::TrialId;
use crate::ledger::{LedgerError, Reader, TrialRow, TrialState};
use crate::report::{
    Audit, audit, audit_markdown, audit_text, claim_lines, write_audit, write_claims,
};
use crate::spec::{ClaimKind, Spec};

/// Audits a sweep and writes the audit into the report's folder. Files of an earlier sweep file,
/// which had more to audit, are removed.
pub(crate) fn write(
    ledger: &Reader,
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    devices: &[String],
    folder: &Folder,
) -> Result<Option<Audit>, ReportError> {
    let histories = histories(ledger, spec, evaluation, rows)?;
    let audit = audit(spec, evaluation, &histories, devices);
    match &audit {
        Some(audit) => {
            folder.text("audit.txt", &audit_text(audit))?;
            folder.text("audit.md", &audit_markdown(audit))?;
        }
        None => {
            folder.remove("audit.txt")?;
            folder.remove("audit.md")?;
        }
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

/// The histories of the trials that the tables show; empty if no claim is about epochs.
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

    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        for &seed in reported_seeds(&spec.seeds) {
            let id = TrialId {
                point: point.id,
                seed,
            };
            let row = rows.get(&id);
            if row.is_some_and(|row| row.state == TrialState::Done) {
                histories[arm.arm].push(history(ledger, id, &names)?);
            }
        }
    }
    Ok(histories)
}

/// Some metrics of a trial's history. A history may have millions of rows, so the others are
/// dropped while it is read.
fn history(
    ledger: &Reader,
    id: TrialId,
    names: &BTreeSet<&str>,
) -> Result<TrialHistory, ReportError> {
    let mut epochs = Vec::new();
    ledger.each_epoch_of::<LedgerError>(id, 1, |row| {
        let metrics = names
            .iter()
            .filter_map(|name| Some((*name, row.metrics.get(name)?)))
            .collect();
        epochs.push((row.position, metrics));
        Ok(())
    })?;
    Ok(TrialHistory {
        seed: id.seed,
        epochs,
    })
}

/// The metrics of the history that a claim needs.
fn metrics_by_epoch(kind: &ClaimKind) -> Vec<&str> {
    match kind {
        ClaimKind::Saturates { metric, .. } => vec![metric],
        ClaimKind::AlwaysAbove { metric, than, .. } => vec![metric, than],
        ClaimKind::Beyond { .. } | ClaimKind::Ratio { .. } | ClaimKind::Bound { .. } => Vec::new(),
    }
}

/// Writes the claims for the terminal.
pub(crate) fn text(audit: &Audit) -> String {
    if audit.claims.is_empty() {
        String::new()
    } else {
        format!("Claims:\n{}", claim_lines(audit))
    }
}
