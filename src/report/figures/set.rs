//! The list of a report's figures, in the order in which a reader wants them.

use std::collections::HashMap;

use super::names::FileNames;
use super::{curves, distribution, heatmap, sensitivity};
use crate::aggregate::{ArmCurves, Evaluation, PointStats};
use crate::grid::{Grid, TrialId};
use crate::ledger::TrialRow;
use crate::plan::Phase;
use crate::report::plot::{Chart, PlotError, draw};
use crate::spec::{Spec, Task};

/// What figures are made of.
#[derive(Clone, Copy, Debug)]
pub struct FigureData<'a> {
    /// The sweep.
    pub spec: &'a Spec,
    /// Its points.
    pub grid: &'a Grid,
    /// Its figures.
    pub evaluation: &'a Evaluation,
    /// Its trials.
    pub rows: &'a HashMap<TrialId, TrialRow>,
    /// The learning curves of the selected points.
    pub curves: &'a [ArmCurves],
    /// Of which trials these are.
    pub phase: Phase,
}

impl FigureData<'_> {
    /// The points of an arm that have a result.
    pub(super) fn points_of(&self, arm: usize) -> Vec<&PointStats> {
        self.evaluation
            .points
            .iter()
            .filter(|point| point.arm == arm)
            .collect()
    }
}

impl FigureData<'_> {
    /// What the captions of figures over an arm's points say where some have fewer seeds, pruned or
    /// not; else nothing.
    pub(super) fn note_on_seeds(&self, arm: usize) -> String {
        let seeds = self.spec.seeds.tune.len() as u32;
        let lacks = |point: &&&PointStats| {
            let stat = point.stats.get(&self.spec.metric.name);
            stat.is_some_and(|stat| stat.n < seeds)
                && !self.evaluation.pruned.contains(&(arm, point.index))
        };
        let fewer = match self.points_of(arm).iter().filter(lacks).count() {
            0 => String::new(),
            points => format!(" Over fewer seeds: {}.", count(points, "point")),
        };
        self.note_on_pruned(arm) + &fewer
    }

    fn note_on_pruned(&self, arm: usize) -> String {
        match self.evaluation.pruned_points(arm) {
            0 => String::new(),
            1 => " 1 point was pruned, since it could not become the best any more: what is shown of it is over fewer seeds."
                .to_owned(),
            points => format!(
                " {points} points were pruned, since they could not become the best any more: what is shown of them is over fewer seeds."
            ),
        }
    }
}

/// A figure, ready to be written or to be embedded.
#[derive(Clone, Debug)]
pub struct FigureFile {
    /// Name of its files, without the ending: `figure1`.
    pub name: String,
    /// A few words: `Figure 1`, `Sensitivity of SGD`.
    pub title: String,
    /// What stands below it.
    pub caption: String,
    /// Whether it is made for both columns of a paper, not for one.
    pub wide: bool,
    /// The picture as SVG.
    pub svg: String,
    /// The picture as PNG, at least 1600 pixels wide.
    pub png: Vec<u8>,
    /// The data behind it.
    pub csv: String,
}

/// A figure that is not drawn yet.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub name: String,
    pub title: String,
    pub caption: String,
    pub chart: Chart,
    pub csv: String,
}

/// Every figure that makes sense for a sweep.
///
/// # Errors
/// `PlotError`, if the library that writes pictures reports an error.
pub fn figures(data: &FigureData<'_>) -> Result<Vec<FigureFile>, PlotError> {
    let finish = |sketch: Sketch| {
        let picture = draw(&sketch.chart)?;
        let Sketch {
            name,
            title,
            caption,
            csv,
            chart,
        } = sketch;
        let wide = chart.columns > 1 || chart.wide;
        Ok(FigureFile {
            name,
            title,
            caption,
            wide,
            svg: picture.svg,
            png: picture.png,
            csv,
        })
    };
    sketches(data).into_iter().map(finish).collect()
}

pub(super) fn sketches(data: &FigureData<'_>) -> Vec<Sketch> {
    let mut names = FileNames::default();
    let mut list = match data.spec.task {
        Task::MnistResnet18 => curves::of_the_paper(data, &mut names),
        Task::Worker(_) | Task::Program(_) => curves::of_a_worker(data, &mut names),
    };
    list.extend(distribution::sketch(data, &mut names));
    for arm in 0..data.spec.arms.len() {
        list.extend(sensitivity::sketch(data, arm, &mut names));
        list.extend(heatmap::sketches(data, arm, &mut names));
    }
    list
}

/// Rows of cells as CSV.
pub(super) fn csv_text(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail, nor can rows of one length that are UTF-8.
    let _ = csv.write_record(headings);
    for row in rows {
        let _ = csv.write_record(&row);
    }
    csv.into_inner()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// "1 seed", "3 seeds".
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}
