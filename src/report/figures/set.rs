//! The figures of a report, in order.

use super::data::{FigureData, Sketch};
use super::names::FileNames;
use super::{curves, distribution, heatmap, sensitivity};
use crate::report::plot::{PlotError, draw};
use crate::tasks::FigureSet;

/// A figure, ready to be written or to be embedded.
#[derive(Clone, Debug)]
pub struct FigureFile {
    /// Name of its files, without the ending: `figure1`.
    pub name: String,
    /// A few words: `Figure 1`, `Sensitivity of SGD`.
    pub title: String,
    /// Its caption.
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

/// Draws every figure that makes sense for a sweep.
///
/// # Errors
/// `PlotError`, if the library that writes pictures reports an error.
pub fn figures(data: &FigureData<'_>) -> Result<Vec<FigureFile>, PlotError> {
    sketches(data).into_iter().map(finish).collect()
}

fn finish(sketch: Sketch) -> Result<FigureFile, PlotError> {
    let picture = draw(&sketch.chart)?;
    Ok(FigureFile {
        name: sketch.name,
        title: sketch.title,
        caption: sketch.caption,
        wide: sketch.chart.columns > 1 || sketch.chart.wide,
        svg: picture.svg,
        png: picture.png,
        csv: sketch.csv,
    })
}

pub(super) fn sketches(data: &FigureData<'_>) -> Vec<Sketch> {
    let mut names = FileNames::default();
    let set = data.spec.task.built_in().map(|task| task.figures);
    let mut list = match set.unwrap_or(FigureSet::EachMetric) {
        FigureSet::Paper => curves::of_the_paper(data, &mut names),
        FigureSet::EachMetric => curves::of_each_metric(data, &mut names),
    };
    list.extend(distribution::sketch(data, &mut names));
    for arm in 0..data.spec.arms.len() {
        list.extend(sensitivity::sketch(data, arm, &mut names));
        list.extend(heatmap::sketches(data, arm, &mut names));
    }
    list
}
