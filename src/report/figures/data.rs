//! What figures are made from, and a figure before it is drawn.

use std::collections::HashMap;

use crate::aggregate::{ArmCurves, Evaluation, PointStats};
use crate::grid::{Grid, TrialId};
use crate::ledger::TrialRow;
use crate::plan::Phase;
use crate::report::plot::Chart;
use crate::spec::Spec;
use crate::text::count;

/// A sweep as the figures need it.
#[derive(Clone, Copy, Debug)]
pub struct FigureData<'a> {
    /// The sweep file.
    pub spec: &'a Spec,
    /// Its grid.
    pub grid: &'a Grid,
    /// Its evaluation.
    pub evaluation: &'a Evaluation,
    /// Its trials.
    pub rows: &'a HashMap<TrialId, TrialRow>,
    /// The learning curves of the selected points.
    pub curves: &'a [ArmCurves],
    /// The phase of the trials that the curves are of.
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

    /// The end of a caption over an arm's points: which points have fewer seeds, pruned or not;
    /// empty if none has.
    pub(super) fn note_on_seeds(&self, arm: usize) -> String {
        let mut note = match self.evaluation.pruned_points(arm) {
            0 => String::new(),
            points => format!(" Pruned, so over fewer seeds: {}.", count(points, "point")),
        };

        let incomplete = self
            .points_of(arm)
            .into_iter()
            .filter(|point| self.lacks_seeds(point))
            .count();
        if incomplete > 0 {
            let points = count(incomplete, "point");
            note.push_str(&format!(" Over fewer seeds: {points}."));
        }
        note
    }

    /// Whether a point has the metric on some seeds only, but was not pruned.
    fn lacks_seeds(&self, point: &PointStats) -> bool {
        let seeds = self.spec.seeds.tune.len() as u32;
        let stat = point.stats.get(&self.spec.metric.name);
        let is_pruned = self.evaluation.pruned.contains(&(point.arm, point.index));
        stat.is_some_and(|stat| stat.n < seeds) && !is_pruned
    }
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

/// Writes rows of cells as CSV.
pub(super) fn csv_text(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Writing rows of equal length to memory cannot fail.
    let _ = csv.write_record(headings);
    for row in rows {
        let _ = csv.write_record(&row);
    }
    csv.into_inner()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}
