//! The audit: ours against published figures, figures that cannot be, and what became of the spec's
//! claims. Made of `aggregate`'s tests and verdicts; `audit_files` writes it.

use std::collections::BTreeMap;

use super::claims::numbers;
use super::figure::Figure;
use crate::aggregate::claims::{
    Histories, Judgement, Verdict, judge, judge_published, our_figures,
};
use crate::aggregate::{Evaluation, NoTest, Sample, Welch, impossible, welch};
use crate::protocol::is_wall_clock;
use crate::spec::{Claim, Spec, Task, task};

/// An audit of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Over which seeds ours are.
    pub seeds: String,
    /// One row for each published figure: metric by metric, and arm by arm within.
    pub rows: Vec<AuditRow>,
    /// The claims, in the order of the spec.
    pub claims: Vec<AuditedClaim>,
    /// What a reader must know about the rows.
    pub notes: Vec<String>,
}

/// One arm's figure in one metric beside the published one.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// The arm's name in the spec.
    pub arm: String,
    /// The arm's label.
    pub label: String,
    /// The metric.
    pub metric: String,
    /// The metric's unit: `points`, `s`, or nothing.
    pub unit: &'static str,
    /// Ours; None: there is no result.
    pub ours: Option<Figure>,
    /// The published one.
    pub published: Figure,
    /// Ours less the published mean, in the metric's unit; None: there is no result.
    pub difference: Option<f64>,
    /// Welch's test, whose `t` is the difference in standard errors; or why there is none.
    pub test: Result<Welch, NoTest>,
}

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditedClaim {
    /// The claim.
    pub claim: Claim,
    /// By our results.
    pub ours: Judgement,
    /// What that rests on, in one sentence.
    pub numbers: String,
    /// By the published figures, in the same form; None: they do not allow a verdict.
    pub published: Option<(Judgement, String)>,
}

/// Audits a sweep; None if the spec has neither published figures nor claims. `histories` are of
/// the trials that the figures are of, `devices` the devices that they ran on.
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
    let judged = judge(&spec.claims, &our_figures(spec, evaluation), histories)
        .into_iter()
        .zip(judge_published(spec));
    let claims = spec
        .claims
        .iter()
        .zip(judged)
        .map(|(claim, (ours, published))| AuditedClaim {
            claim: claim.clone(),
            numbers: numbers(spec, &claim.kind, &ours, false),
            ours,
            published: published.map(|judgement| {
                let numbers = numbers(spec, &claim.kind, &judgement, true);
                (judgement, numbers)
            }),
        })
        .collect();
    Some(Audit {
        seeds: super::tables::seeds(spec),
        rows,
        claims,
        notes,
    })
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
    let figures = our_figures(spec, evaluation);
    let planned = if spec.seeds.final_.is_empty() {
        spec.seeds.tune.len()
    } else {
        spec.seeds.final_.len()
    } as u32;
    let mut rows = Vec::new();
    for metric in metrics(spec) {
        for (arm, figures) in spec.arms.iter().zip(&figures) {
            let Some(&published) = spec
                .published
                .get(&arm.name)
                .and_then(|published| published.get(metric))
            else {
                continue;
            };
            let ours = figures.get(metric).copied();
            rows.push(AuditRow {
                arm: arm.name.clone(),
                label: arm.label.clone(),
                metric: metric.to_owned(),
                unit: unit(spec, metric),
                ours: ours.map(|Sample { mean, std, n }| Figure {
                    mean,
                    std,
                    n,
                    planned: Some(planned),
                    as_published: false,
                }),
                published: Figure::published(published),
                difference: ours.map(|ours| ours.mean - published.mean),
                test: ours.map_or(Err(NoTest::Missing), |ours| welch(ours, published.into())),
            });
        }
    }
    rows
}

/// The metrics with a published figure: the built-in task's in their usual order, others by name.
fn metrics(spec: &Spec) -> Vec<&str> {
    let mut metrics: Vec<&str> = spec
        .published
        .values()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    let place = |metric: &str| match spec.task {
        Task::MnistResnet18 => task::METRICS
            .iter()
            .position(|known| *known == metric)
            .unwrap_or(usize::MAX),
        Task::Worker(_) | Task::Program(_) => usize::from(metric != spec.metric.name),
    };
    metrics.sort_by_key(|metric| (place(metric), *metric));
    metrics.dedup();
    metrics
}

fn unit(spec: &Spec, metric: &str) -> &'static str {
    match spec.task {
        _ if is_wall_clock(metric) => "s",
        Task::MnistResnet18 if metric.ends_with("_accuracy") => "points",
        _ => "",
    }
}

fn notes(spec: &Spec, rows: &[AuditRow], devices: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut untested: BTreeMap<NoTest, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let Err(reason) = row.test {
            untested
                .entry(reason)
                .or_default()
                .push(format!("{}, {}", row.label, row.metric));
        }
    }
    for (reason, rows) in untested {
        notes.push(format!(
            "No test, because {}: {}.",
            because(reason),
            rows.join("; ")
        ));
    }
    if rows.iter().any(|row| is_wall_clock(&row.metric)) {
        let ours = if devices.is_empty() {
            "this sweep's machine".to_owned()
        } else {
            devices.join("; ")
        };
        notes.push(format!(
            "Times were taken on different machines (ours: {ours}), so a difference of seconds says more about these than about the method."
        ));
    }
    for arm in &spec.arms {
        for (metric, figure) in spec.published.get(&arm.name).into_iter().flatten() {
            let (Some(found), Some(n), Some(images)) =
                (impossible(figure), figure.n, figure.images)
            else {
                continue;
            };
            let fits: Vec<String> = found.fits.iter().map(u32::to_string).collect();
            let fits = match fits.as_slice() {
                [] => "no number of runs up to 20 could give it".to_owned(),
                fits => format!("it would fit n = {}", fits.join(", ")),
            };
            let runs = if n == 1 {
                "1 run".to_owned()
            } else {
                format!("{n} runs")
            };
            notes.push(format!(
                "{}, {metric}: the published mean {} is impossible for {runs} on {images} images, whose means are {} apart; {fits}.",
                arm.label,
                figure.mean,
                short(found.step),
            ));
        }
    }
    notes
}

fn because(reason: NoTest) -> &'static str {
    match reason {
        NoTest::Missing => "there is no result of ours",
        NoTest::NoSpread => "neither figure varies",
        reason => reason.reason(),
    }
}

/// A few significant digits.
fn short(value: f64) -> String {
    format!("{value:.2e}")
        .parse::<f64>()
        .map_or_else(|_| value.to_string(), |value| value.to_string())
}
