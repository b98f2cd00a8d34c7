//! The audit: our results beside published ones, published means that are impossible, and the
//! verdicts on the claims of the sweep file. `audit_files` writes it.

use std::collections::BTreeMap;

use super::cell::CellValue;
use super::claims::numbers;
use crate::aggregate::claims::{
    Histories, Judgement, Verdict, judge, judge_published, measured_metrics,
};
use crate::aggregate::{
    Evaluation, Impossible, NoTest, Sample, Welch, impossible, reported_seeds, welch,
};
use crate::protocol::is_wall_clock;
use crate::spec::{Arm, Claim, PublishedFigure, Spec};
use crate::text::count;

/// An audit of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// The seeds of our results, as text.
    pub seeds: String,
    /// One row for each published value: metric by metric, and arm by arm within.
    pub rows: Vec<AuditRow>,
    /// The claims, in the order of the sweep file.
    pub claims: Vec<AuditedClaim>,
    /// Remarks on the rows.
    pub notes: Vec<String>,
}

/// One arm's result in one metric beside the published one.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// The arm's name in the sweep file.
    pub arm: String,
    /// The arm's label.
    pub label: String,
    /// The metric.
    pub metric: String,
    /// The metric's unit: `points`, `s`, or nothing.
    pub unit: &'static str,
    /// Our result, if there is one.
    pub ours: Option<CellValue>,
    /// The published one.
    pub published: CellValue,
    /// Our mean minus the published mean, in the metric's unit; None if there is no result.
    pub difference: Option<f64>,
    /// Welch's test, whose `t` is the difference in standard errors; or why there is none.
    pub test: Result<Welch, NoTest>,
}

/// A claim and the verdicts on it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditedClaim {
    /// The claim.
    pub claim: Claim,
    /// By our results.
    pub ours: Judgement,
    /// The evidence for that, in one sentence.
    pub numbers: String,
    /// By the published values, in the same form; None if they do not allow a verdict.
    pub published: Option<(Judgement, String)>,
}

/// Audits a sweep; None if the sweep file has neither published values nor claims. `histories` are
/// of the trials whose results the tables show, and `devices` are the devices that they ran on.
pub fn audit(
    spec: &Spec,
    evaluation: &Evaluation,
    histories: &Histories,
    devices: &[String],
) -> Option<Audit> {
    if spec.claims.is_empty() && spec.published.values().all(BTreeMap::is_empty) {
        return None;
    }

    let rows = rows(spec, evaluation);
    let notes = notes(spec, &rows, devices);

    let ours = judge(&spec.claims, &measured_metrics(spec, evaluation), histories);
    let claims = spec
        .claims
        .iter()
        .zip(ours)
        .zip(judge_published(spec))
        .map(|((claim, ours), published)| audited_claim(spec, claim, ours, published))
        .collect();

    Some(Audit {
        seeds: super::tables::seeds(spec),
        rows,
        claims,
        notes,
    })
}

fn audited_claim(
    spec: &Spec,
    claim: &Claim,
    ours: Judgement,
    published: Option<Judgement>,
) -> AuditedClaim {
    AuditedClaim {
        claim: claim.clone(),
        numbers: numbers(spec, &claim.kind, &ours, false),
        ours,
        published: published.map(|judgement| {
            let numbers = numbers(spec, &claim.kind, &judgement, true);
            (judgement, numbers)
        }),
    }
}

impl Audit {
    /// The claims with that verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &AuditedClaim> {
        self.claims
            .iter()
            .filter(move |claim| claim.ours.verdict == verdict)
    }
}

fn rows(spec: &Spec, evaluation: &Evaluation) -> Vec<AuditRow> {
    let measured = measured_metrics(spec, evaluation);

    // A row needs a published value; our result may be missing.
    let mut rows = Vec::new();
    for metric in published_metrics(spec) {
        for (arm, measured) in spec.arms.iter().zip(&measured) {
            let published = spec.published.get(&arm.name);
            if let Some(published) = published.and_then(|published| published.get(metric)) {
                let ours = measured.get(metric).copied();
                rows.push(row(spec, arm, metric, ours, *published));
            }
        }
    }
    rows
}

fn row(
    spec: &Spec,
    arm: &Arm,
    metric: &str,
    ours: Option<Sample>,
    published: PublishedFigure,
) -> AuditRow {
    let planned = reported_seeds(&spec.seeds).len() as u32;

    AuditRow {
        arm: arm.name.clone(),
        label: arm.label.clone(),
        metric: metric.to_owned(),
        unit: unit(spec, metric),
        ours: ours.map(|Sample { mean, std, n }| CellValue {
            mean,
            std,
            n,
            planned: Some(planned),
            as_published: false,
        }),
        published: CellValue::published(published),
        difference: ours.map(|ours| ours.mean - published.mean),
        test: ours.map_or(Err(NoTest::Missing), |ours| welch(ours, published.into())),
    }
}

/// The metrics with a published value: the built-in task's in their usual order, others by name.
fn published_metrics(spec: &Spec) -> Vec<&str> {
    let mut metrics: Vec<&str> = spec
        .published
        .values()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    metrics.sort_by_key(|metric| (rank(spec, metric), *metric));
    metrics.dedup();
    metrics
}

fn rank(spec: &Spec, metric: &str) -> usize {
    match spec.task.built_in() {
        Some(task) => {
            let place = task.metrics.iter().position(|known| *known == metric);
            place.unwrap_or(usize::MAX)
        }
        None => usize::from(metric != spec.metric.name),
    }
}

fn unit(spec: &Spec, metric: &str) -> &'static str {
    if is_wall_clock(metric) {
        return "s";
    }
    spec.task.built_in().map_or("", |task| (task.unit)(metric))
}

fn notes(spec: &Spec, rows: &[AuditRow], devices: &[String]) -> Vec<String> {
    let mut notes = notes_on_missing_tests(rows);
    if rows.iter().any(|row| is_wall_clock(&row.metric)) {
        let ours = if devices.is_empty() {
            "this sweep's machine".to_owned()
        } else {
            devices.join("; ")
        };
        notes.push(format!(
            "Times were taken on different machines (ours: {ours}), so a difference of seconds \
             says more about these than about the method."
        ));
    }

    // Published means that are impossible.
    for arm in &spec.arms {
        for (metric, figure) in spec.published.get(&arm.name).into_iter().flatten() {
            if let Some(found) = impossible(figure) {
                let note = note_on_impossible(figure, &found);
                notes.push(format!("{}, {metric}: {note}", arm.label));
            }
        }
    }
    notes
}

fn notes_on_missing_tests(rows: &[AuditRow]) -> Vec<String> {
    let mut untested: BTreeMap<NoTest, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let Err(reason) = row.test {
            let row = format!("{}, {}", row.label, row.metric);
            untested.entry(reason).or_default().push(row);
        }
    }

    untested
        .into_iter()
        .map(|(reason, rows)| {
            let reason = because(reason);
            format!("No test, because {reason}: {}.", rows.join("; "))
        })
        .collect()
}

fn because(reason: NoTest) -> &'static str {
    match reason {
        NoTest::Missing => "there is no result of ours",
        NoTest::NoSpread => "neither value varies",
        reason => reason.reason(),
    }
}

fn note_on_impossible(figure: &PublishedFigure, found: &Impossible) -> String {
    let fits: Vec<String> = found.fits.iter().map(u32::to_string).collect();
    let fits = if fits.is_empty() {
        "no number of runs up to 20 would give it".to_owned()
    } else {
        format!("it would fit n = {}", fits.join(", "))
    };
    format!(
        "the published mean {} is impossible for {} on {} images, whose means are {} apart; \
         {fits}.",
        figure.mean,
        count(figure.n.unwrap_or_default(), "run"),
        figure.images.unwrap_or_default(),
        short(found.step),
    )
}

/// The value with three significant digits.
fn short(value: f64) -> String {
    format!("{value:.2e}")
        .parse::<f64>()
        .map_or_else(|_| value.to_string(), |value| value.to_string())
}
