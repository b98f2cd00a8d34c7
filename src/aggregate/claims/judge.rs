//! Judges every claim of a sweep file by the measured results and, where its kind allows that, by
//! the published values.

use std::collections::BTreeMap;

use super::finals::{ComparisonFamily, beyond, bound, ratio};
use super::history::{Histories, always_above, saturates};
use super::model::{FinalMetrics, Judgement, Verdict};
use crate::aggregate::Evaluation;
use crate::aggregate::significance::Sample;
use crate::spec::{Claim, ClaimKind, Spec};

/// Returns the selected points' metrics over the final seeds, or over the tuning seeds where there
/// are no final ones.
pub fn measured_metrics(spec: &Spec, evaluation: &Evaluation) -> FinalMetrics {
    let mut metrics: FinalMetrics = vec![BTreeMap::new(); spec.arms.len()];
    for arm in &evaluation.arms {
        let stats = arm
            .reported(spec)
            .into_iter()
            .flat_map(|stats| &stats.stats);
        metrics[arm.arm] = stats
            .map(|(name, stat)| (name.clone(), Sample::from(*stat)))
            .collect();
    }
    metrics
}

/// Judges the claims by the measured results, in the order of the claims.
pub fn judge(claims: &[Claim], finals: &FinalMetrics, histories: &Histories) -> Vec<Judgement> {
    let family = ComparisonFamily::of(claims, finals);
    claims
        .iter()
        .map(|claim| judge_claim(&claim.kind, finals, &family, histories))
        .collect()
}

/// Judges the claims by the published values. None for claims about epochs, and where values are
/// missing.
pub fn judge_published(spec: &Spec) -> Vec<Option<Judgement>> {
    let published: FinalMetrics = spec
        .arms
        .iter()
        .map(|arm| published_metrics(spec, &arm.name))
        .collect();

    // Without histories, claims about epochs have no data.
    judge(&spec.claims, &published, &Vec::new())
        .into_iter()
        .map(|judgement| Some(judgement).filter(|judgement| judgement.verdict != Verdict::NoData))
        .collect()
}

fn published_metrics(spec: &Spec, arm: &str) -> BTreeMap<String, Sample> {
    spec.published
        .get(arm)
        .into_iter()
        .flatten()
        .map(|(name, figure)| (name.clone(), Sample::from(*figure)))
        .collect()
}

fn judge_claim(
    kind: &ClaimKind,
    finals: &FinalMetrics,
    family: &ComparisonFamily,
    histories: &Histories,
) -> Judgement {
    match kind {
        ClaimKind::Beyond {
            way,
            metric,
            arm,
            others,
        } => beyond(finals, family, *way, metric, *arm, others),
        ClaimKind::Ratio {
            metric,
            of,
            to,
            is,
            within,
        } => ratio(finals, metric, *of, *to, *is, *within),
        ClaimKind::Bound {
            way,
            metric,
            arms,
            value,
        } => bound(finals, *way, metric, arms, *value),
        ClaimKind::Saturates {
            metric,
            goal,
            arms,
            at,
            within,
            tolerance,
        } => saturates(histories, metric, *goal, arms, *at, *within, *tolerance),
        ClaimKind::AlwaysAbove { metric, than, arms } => {
            always_above(histories, metric, than, arms)
        }
    }
}
