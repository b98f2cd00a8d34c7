//! Judges every claim of a spec: by our figures and histories, and, where the kind allows it, by
//! the published figures.

use std::collections::BTreeMap;

use super::finals::{Family, beyond, bound, ratio};
use super::history::{Histories, always_above, saturates};
use super::model::{Judgement, Verdict};
use crate::aggregate::Evaluation;
use crate::aggregate::significance::Sample;
use crate::spec::{Claim, ClaimKind, Spec};

/// What each arm reached: by number of the arm, then by final metric.
pub type Figures = Vec<BTreeMap<String, Sample>>;

/// The selected points' figures over the final seeds, or over the tuning seeds where there are no
/// final ones.
pub fn our_figures(spec: &Spec, evaluation: &Evaluation) -> Figures {
    let mut figures: Figures = vec![BTreeMap::new(); spec.arms.len()];
    for arm in &evaluation.arms {
        let stats = if spec.seeds.final_.is_empty() {
            &arm.tuned
        } else {
            &arm.final_
        };
        figures[arm.arm] = stats
            .iter()
            .flat_map(|stats| &stats.stats)
            .map(|(name, stat)| (name.clone(), Sample::from(*stat)))
            .collect();
    }
    figures
}

/// Judges the claims by our results, in their order.
pub fn judge(claims: &[Claim], figures: &Figures, histories: &Histories) -> Vec<Judgement> {
    let family = Family::of(claims, figures);
    claims
        .iter()
        .map(|claim| one(&claim.kind, figures, &family, histories))
        .collect()
}

/// What the published figures themselves say; None for claims about epochs, and where figures are
/// missing.
pub fn judge_published(spec: &Spec) -> Vec<Option<Judgement>> {
    let published = |arm: &str| {
        let figures = spec.published.get(arm).into_iter().flatten();
        figures
            .map(|(name, figure)| (name.clone(), Sample::from(*figure)))
            .collect()
    };
    let figures: Figures = spec.arms.iter().map(|arm| published(&arm.name)).collect();
    let judgements = judge(&spec.claims, &figures, &Vec::new());
    judgements
        .into_iter()
        .map(|judgement| Some(judgement).filter(|judgement| judgement.verdict != Verdict::NoData))
        .collect()
}

fn one(kind: &ClaimKind, figures: &Figures, family: &Family, histories: &Histories) -> Judgement {
    match kind {
        ClaimKind::Beyond {
            way,
            metric,
            arm,
            others,
        } => beyond(figures, family, *way, metric, *arm, others),
        ClaimKind::Ratio {
            metric,
            of,
            to,
            is,
            within,
        } => ratio(figures, metric, (*of, *to), *is, *within),
        ClaimKind::Bound {
            way,
            metric,
            arms,
            value,
        } => bound(figures, *way, metric, arms, *value),
        ClaimKind::Saturates {
            metric,
            goal,
            arms,
            at,
            within,
            tolerance,
        } => saturates(histories, metric, *goal, arms, (*at, *within), *tolerance),
        ClaimKind::AlwaysAbove { metric, than, arms } => {
            always_above(histories, metric, than, arms)
        }
    }
}
