//! The sections of the first view about results: the tables of the report, and the best points.

use std::cmp::Ordering;

use serde::Serialize;

use crate::aggregate::{Evaluation, PointStats, Stat};
use crate::grid::{ArmIndex, PointIndex};
use crate::monitor::Sweep;
use crate::protocol::Real;
use crate::report::{CellValue, Table, mean_std, note_on_versions, table_one, table_two};
use crate::spec::Goal;

/// Number of points that are listed for each arm.
const MAX_LEADERS: usize = 5;

#[derive(Serialize)]
pub(super) struct TableView {
    title: String,
    caption: String,
    /// The headings of the columns, beginning with that of the row labels.
    headings: Vec<String>,
    rows: Vec<RowView>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct RowView {
    label: String,
    cells: Vec<CellView>,
}

#[derive(Serialize)]
struct CellView {
    text: Option<String>,
    /// `3/5` while trials are missing.
    partial: Option<String>,
    published: bool,
}

/// The tables of the report, as far as they are filled.
pub(super) fn tables(sweep: &Sweep) -> Vec<TableView> {
    let spec = sweep.spec();
    let evaluation = sweep.evaluation();

    // Results of several versions of the code must not look like those of one.
    let note = note_on_versions(spec, evaluation, sweep.rows(), sweep.versions());
    let tables = [
        Some(table_one(spec, evaluation)),
        table_two(spec, evaluation, sweep.devices()),
    ];
    tables
        .into_iter()
        .flatten()
        .map(|mut table| {
            table.notes.extend(note.clone());
            table_view(table)
        })
        .collect()
}

fn table_view(table: Table) -> TableView {
    let rows = table
        .rows
        .iter()
        .map(|row| RowView {
            label: row.label.clone(),
            cells: table.values(row).map(cell_view).collect(),
        })
        .collect();

    TableView {
        headings: table.headings(),
        rows,
        title: table.title,
        caption: table.caption,
        notes: table.notes,
    }
}

fn cell_view(figure: Option<&CellValue>) -> CellView {
    CellView {
        text: figure.map(|figure| figure.numbers(" ± ")),
        partial: figure.and_then(|figure| partial(figure.n?, figure.planned?)),
        published: figure.is_some_and(|figure| figure.as_published),
    }
}

/// How a mean is marked while trials are missing.
fn partial(n: u32, planned: u32) -> Option<String> {
    (n != planned).then(|| format!("{n}/{planned}"))
}

#[derive(Serialize)]
pub(super) struct Leaders {
    arm: String,
    label: String,
    /// Number of points with a result.
    points: u64,
    best: Vec<Leader>,
}

#[derive(Serialize)]
struct Leader {
    point: String,
    values: String,
    /// Mean ± std over the tuning seeds that are done.
    text: String,
    mean: Real,
    partial: Option<String>,
    selected: bool,
}

/// A point with its result, to be sorted.
struct Ranked<'a> {
    /// Lower is better.
    rank: f64,
    point: &'a PointStats,
    stat: Stat,
}

impl Ranked<'_> {
    /// Better points come first; of equal means the one over more seeds.
    fn order(&self, other: &Self) -> Ordering {
        self.rank
            .total_cmp(&other.rank)
            .then(other.stat.n.cmp(&self.stat.n))
            .then(self.point.index.cmp(&other.point.index))
    }
}

/// The best points of each arm so far, including those with missing seeds.
pub(super) fn leaders(sweep: &Sweep) -> Vec<Leaders> {
    by_arm(sweep.evaluation(), sweep.spec().arms.len())
        .enumerate()
        .map(|(arm, points)| leaders_of(sweep, arm, points))
        .collect()
}

fn leaders_of(sweep: &Sweep, arm: usize, points: &[PointStats]) -> Leaders {
    let metric = &sweep.spec().metric;
    let mut ranked: Vec<Ranked<'_>> = points
        .iter()
        .filter_map(|point| {
            let stat = *point.stats.get(&metric.name)?;
            Some(Ranked {
                rank: rank(stat, metric.goal),
                point,
                stat,
            })
        })
        .collect();

    let count = ranked.len() as u64;

    // A sweep may have many thousand points: only the best ones are sorted.
    if ranked.len() > MAX_LEADERS {
        ranked.select_nth_unstable_by(MAX_LEADERS, Ranked::order);
        ranked.truncate(MAX_LEADERS);
    }
    ranked.sort_by(Ranked::order);

    Leaders {
        arm: sweep.spec().arms[arm].name.clone(),
        label: sweep.spec().arms[arm].label.clone(),
        points: count,
        best: ranked
            .into_iter()
            .map(|ranked| leader(sweep, arm, ranked.point.index, ranked.stat))
            .collect(),
    }
}

/// A number that is lower for a better result; infinite for one that is not finite.
fn rank(stat: Stat, goal: Goal) -> f64 {
    match goal {
        _ if !stat.mean.is_finite() => f64::INFINITY,
        Goal::Maximize => -stat.mean,
        Goal::Minimize => stat.mean,
    }
}

fn leader(sweep: &Sweep, arm: usize, index: u64, stat: Stat) -> Leader {
    let best = sweep.evaluation().arms[arm].selection.best;
    Leader {
        point: sweep.grid().arms()[arm]
            .point(PointIndex(index))
            .id
            .to_string(),
        values: sweep.names().values_at(ArmIndex(arm), PointIndex(index)),
        text: mean_std(stat),
        mean: Real(stat.mean),
        partial: partial(stat.n, sweep.spec().seeds.tune.len() as u32),
        selected: best == Some(index),
    }
}

/// The points that have a result, arm by arm.
pub(super) fn by_arm(evaluation: &Evaluation, arms: usize) -> impl Iterator<Item = &[PointStats]> {
    (0..arms).map(|arm| {
        let begin = evaluation.points.partition_point(|point| point.arm < arm);
        let end = evaluation.points.partition_point(|point| point.arm <= arm);
        &evaluation.points[begin..end]
    })
}
