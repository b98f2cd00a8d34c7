//! The selected point of each arm in words, what to know about it, and one Markdown page that
//! gathers everything.

use super::audit_files::audit_markdown;
use super::figure::mean_std;
use super::markdown::{escape, markdown_table};
use super::page::Page;
use crate::aggregate::{ArmEvaluation, Evaluation};
use crate::grid::{ArmGrid, Grid};
use crate::plan::Phase;
use crate::spec::{Axis, Spec};

/// The selected point of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// Number of the arm.
    pub arm: usize,
    /// The arm's label.
    pub label: String,
    /// The values of the parameters that were searched; if none was, of those that the arms do not
    /// share; if there are none of these either, of all: `lr = 0.01, momentum = 0.9`.
    pub values: String,
    /// The point's id.
    pub point: String,
    /// Why it was selected.
    pub why: String,
}

/// The selected points, arm by arm; arms without one are left out.
pub fn selected(spec: &Spec, grid: &Grid, evaluation: &Evaluation) -> Vec<Selected> {
    evaluation
        .arms
        .iter()
        .filter_map(|arm| {
            let points = &grid.arms()[arm.arm];
            let point = arm.point.as_ref()?;
            let mut searched: Vec<&str> = points.searched().collect();
            if searched.is_empty() {
                searched = own_parameters(grid, points);
            }
            let shown = points.arm().axes.iter().map(|axis| axis.name.as_str());
            let shown = shown.filter(|name| searched.is_empty() || searched.contains(name));
            let value = |name: &str| {
                point
                    .config
                    .get(name)
                    .map(|value| format!("{name} = {value}"))
            };
            Some(Selected {
                arm: arm.arm,
                label: spec.arms[arm.arm].label.clone(),
                values: shown.filter_map(value).collect::<Vec<_>>().join(", "),
                point: point.id.to_string(),
                why: why(spec, points.len(), evaluation.pruned_points(arm.arm), arm),
            })
        })
        .collect()
}

/// The parameters that an arm does not share, value for value, with every other arm.
fn own_parameters<'a>(grid: &Grid, points: &'a ArmGrid) -> Vec<&'a str> {
    let shared = |axis: &&Axis| {
        grid.arms()
            .iter()
            .all(|other| other.arm().axes.contains(axis))
    };
    points
        .arm()
        .axes
        .iter()
        .filter(|axis| !shared(axis))
        .map(|axis| axis.name.as_str())
        .collect()
}

fn why(spec: &Spec, points: u64, pruned: u64, arm: &ArmEvaluation) -> String {
    let stat = arm
        .tuned
        .as_ref()
        .and_then(|stats| stats.stats.get(&spec.metric.name));
    let Some(stat) = stat else {
        return "the only point".to_owned();
    };
    let figure = mean_std(*stat);
    let seeds = if stat.n == 1 {
        "1 tuning seed".to_owned()
    } else {
        format!("{} tuning seeds", stat.n)
    };
    let tied = match arm.selection.tied {
        0 => String::new(),
        1 => "; 1 other point reached the same, the tie rule decided".to_owned(),
        tied => format!("; {tied} other points reached the same, the tie rule decided"),
    };
    let pruned = if pruned > 0 {
        format!(", {pruned} of them pruned")
    } else {
        String::new()
    };
    format!(
        "{} {figure} over {seeds}, best of {points}{pruned}{tied}",
        spec.metric.name
    )
}

/// What a reader must know before trusting the tables: an unfinished sweep, workers of different
/// versions.
pub fn notes(spec: &Spec, evaluation: &Evaluation, trainers: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if !evaluation.is_complete() {
        let left = |phase: Phase| -> u64 {
            let tally = |arm: &ArmEvaluation| {
                if phase == Phase::Tune {
                    arm.tune_tally.left()
                } else {
                    arm.final_tally.left()
                }
            };
            evaluation.arms.iter().map(tally).sum()
        };
        notes.push(format!(
            "The sweep is not finished: {} tuning and {} final trials are left, so figures and selected points may still change.",
            left(Phase::Tune),
            left(Phase::Final)
        ));
    }
    if let Some(beyond) = &evaluation.beyond {
        notes.push(format!(
            "Safe racing is off, and every tuning trial runs: {beyond}. Correct `best` under `metric`, or remove `prune`."
        ));
    }
    if !evaluation.pruned.is_empty() {
        let points = evaluation.pruned.len();
        let (points, have) = if points == 1 {
            ("1 point has".to_owned(), "it has")
        } else {
            (format!("{points} points have"), "they have")
        };
        notes.push(format!(
            "Safe racing (`prune: safe`): {points} fewer tuning seeds than the others. The selected points are those of the full grid; what figures and points.csv show of the others is over the seeds that {have}."
        ));
    }
    if trainers.len() > 1 {
        notes.push(format!(
            "Trials were run by different programs or versions: {}.",
            trainers.join("; ")
        ));
    }
    if spec.seeds.final_.is_empty() {
        notes.push(
            "There are no final seeds: the figures are of the very trials that selection looked at, and so are biased upwards."
                .to_owned(),
        );
    }
    notes
}

/// One page with everything: tables, selected points, audit, figures, failures, notes.
pub fn summary_markdown(page: &Page<'_>) -> String {
    let Page {
        spec,
        notes,
        tables,
        selected,
        audit,
        figures,
        failures,
        ..
    } = *page;
    let mut out = format!("# {}\n\n", escape(&spec.name));
    if let Some(description) = &spec.description {
        out.push_str(&format!("{}\n\n", escape(description.trim())));
    }
    for note in notes {
        out.push_str(&format!("> {}\n\n", escape(note)));
    }
    for table in tables {
        out.push_str(&markdown_table(table));
        out.push('\n');
    }
    out.push_str("## Selected points\n\n| Arm | Hyper-parameters | Point | Selected by |\n| --- | --- | --- | --- |\n");
    for arm in selected {
        let cells = [&arm.label, &arm.values, &arm.point, &arm.why].map(|text| escape(text));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    if let Some(audit) = audit {
        out.push_str(&format!("\n## Audit\n\n{}", audit_markdown(audit)));
    }
    if !figures.is_empty() {
        out.push_str("\n## Figures\n");
    }
    for figure in figures {
        let (title, caption) = (escape(&figure.title), escape(&figure.caption));
        // Names of figures are made of letters, digits, `-` and `_`: they need no escape in a link.
        out.push_str(&format!(
            "\n![{title}](figures/{}.png)\n\n**{title}.** {caption}\n",
            figure.name
        ));
    }
    if !failures.is_empty() {
        out.push_str(
            "\n## Trials that failed for good\n\n| Trial | Kind | Message |\n| --- | --- | --- |\n",
        );
        for (trial, kind, message) in failures {
            out.push_str(&format!("| {trial} | {kind} | {} |\n", escape(message)));
        }
    }
    out
}
