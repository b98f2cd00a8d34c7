//! Where things stand: panels in columns with their axes aligned, colour bars, the legend below.
//! Sizes are in units of which 600 are one column of a paper (8.5 cm), so that text of 19 units is
//! about 7.6 points there.

use super::axis::{LABEL, Placed, TICK, extent};
use super::canvas::{Align, Canvas, Picture, PlotError};
use super::legend::Columns;
use super::marks::{self, goodness};
use super::model::{Axis, Chart, Mark, Panel, Scale};
use super::style::{INK, heat};
use super::text::{fit, width};

/// Width of one column of panels.
const COLUMN: f64 = 600.0;
/// Height between the axes of a panel.
const HEIGHT: f64 = 320.0;
/// Air at the edges.
const EDGE: f64 = 14.0;
/// Width of a colour bar with the air before it.
const BAR: f64 = 34.0;

/// A panel with its axes and the room around them.
struct Set<'a> {
    panel: &'a Panel,
    x: Placed,
    y: Placed,
    bar: Option<Placed>,
    height: f64,
    left: f64,
    right: f64,
    above: f64,
    below: f64,
    width: f64,
}

/// Draws a chart.
///
/// # Errors
/// `PlotError`, if the library that writes pictures reports an error.
pub fn draw(chart: &Chart) -> Result<Picture, PlotError> {
    let column_width = if chart.wide { 2.0 * COLUMN } else { COLUMN };
    let columns = chart.columns.clamp(1, chart.panels.len().max(1));
    let mut rows: Vec<Vec<Set<'_>>> = chart
        .panels
        .chunks(columns)
        .map(|row| row.iter().map(|panel| set(panel, column_width)).collect())
        .collect();
    let total = column_width * columns as f64;
    let margin = |rows: &[Vec<Set<'_>>], column: usize, side: fn(&Set<'_>) -> f64| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(side)
            .fold(0.0, f64::max)
    };
    let margins: Vec<(f64, f64)> = (0..columns)
        .map(|column| {
            (
                margin(&rows, column, |set| set.left),
                margin(&rows, column, |set| set.right),
            )
        })
        .collect();

    let legend = Columns::new(&chart.legend, total - 2.0 * EDGE);
    let title = if chart.title.is_empty() {
        0.0
    } else {
        f64::from(LABEL) + 12.0
    };
    let most =
        |row: &[Set<'_>], part: fn(&Set<'_>) -> f64| row.iter().map(part).fold(0.0, f64::max);
    let heights: Vec<[f64; 3]> = rows
        .iter()
        .map(|row| {
            [
                most(row, |set| set.above),
                most(row, |set| set.height),
                most(row, |set| set.below),
            ]
        })
        .collect();
    let height = EDGE + title + heights.iter().flatten().sum::<f64>() + legend.height() + EDGE;

    let mut canvas = Canvas::new(total, height);
    if title > 0.0 {
        let text = fit(&chart.title, f64::from(LABEL), total - 2.0 * EDGE);
        canvas.text(
            (total / 2.0, EDGE + f64::from(LABEL) * 0.9),
            &text,
            LABEL,
            Align::Middle,
            None,
            INK,
        );
    }
    let mut top = EDGE + title;
    for (row, [above, height, below]) in rows.iter_mut().zip(heights) {
        for (column, set) in row.iter_mut().enumerate() {
            let (left, right) = margins[column];
            let from = column as f64 * column_width;
            set.place(
                (from + left, from + column_width - right),
                (top + above, top + above + height),
            );
            set.draw(&mut canvas);
        }
        top += above + height + below;
    }
    legend.draw(&mut canvas, (EDGE, top));
    canvas.finish()
}

/// Finds ticks and margins of a panel in a column of that width.
fn set(panel: &Panel, column: f64) -> Set<'_> {
    let cells = panel.marks.iter().find_map(|mark| {
        if let Mark::Cells { rows, span, .. } = mark {
            Some((rows, span))
        } else {
            None
        }
    });
    let height = cells.map_or(HEIGHT, |(rows, _)| {
        (rows.len() as f64 * 62.0).clamp(150.0, HEIGHT.max(rows.len() as f64 * 26.0))
    });
    let y = Placed::new(&panel.y, &panel.marks, true, height);
    let bar = cells
        .filter(|(_, (low, high))| low < high)
        .map(|(_, (low, high))| {
            let axis = Axis {
                label: String::new(),
                scale: Scale::Linear,
                ticks: None,
                reach: Vec::new(),
            };
            Placed::exact(&axis, (*low, *high), height)
        });
    let mut left = EDGE + f64::from(LABEL) + 12.0 + y.depth(true) + 11.0;
    let mut right = EDGE + 8.0 + bar.as_ref().map_or(0.0, |bar| BAR + 11.0 + bar.depth(true));
    let x = Placed::new(&panel.x, &panel.marks, false, column - left - right);
    left = left.max(x.overhang() + EDGE);
    right = right.max(x.overhang_right() + EDGE);
    let label = if panel.x.label.is_empty() {
        0.0
    } else {
        7.0 + f64::from(LABEL)
    };
    let below = 9.0 + x.depth(false) + label + 16.0;
    let above = if panel.title.is_empty() {
        6.0
    } else {
        f64::from(LABEL) + 14.0
    };
    Set {
        panel,
        x,
        y,
        bar,
        height,
        left,
        right,
        above,
        below,
        width: column,
    }
}

impl Set<'_> {
    /// Moves the axes to where they belong; what they named fits still, since columns only get
    /// narrower by little.
    fn place(&mut self, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        self.x = Placed::new(&self.panel.x, &self.panel.marks, false, right - left);
        (self.x.from, self.x.to) = (left, right);
        (self.y.from, self.y.to) = (bottom, top);
        if let Some(bar) = &mut self.bar {
            (bar.from, bar.to) = (bottom, top);
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        let (left, right, top, bottom) = (self.x.from, self.x.to, self.y.to, self.y.from);
        let depth = self.left - EDGE - f64::from(LABEL) - 23.0;
        self.x
            .draw_horizontal(canvas, bottom, top, &self.panel.x.label);
        self.y.draw_vertical(
            canvas,
            left,
            right,
            &self.panel.y.label,
            depth.min(self.y.depth(true)),
        );
        for mark in &self.panel.marks {
            marks::draw_below(canvas, mark, &self.x, &self.y);
        }
        for mark in &self.panel.marks {
            marks::draw(canvas, mark, &self.x, &self.y);
        }
        canvas.rect(
            (left, top),
            (right - left, bottom - top),
            None,
            Some((INK, 1.5)),
        );
        if extent(&self.panel.marks, true, self.panel.y.scale)
            .iter()
            .all(|value| !value.is_finite())
        {
            let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
            canvas.text(middle, "no finite value", LABEL, Align::Middle, None, INK);
        }
        if !self.panel.title.is_empty() {
            let title = fit(&self.panel.title, f64::from(LABEL), self.width - 2.0 * EDGE);
            // Centred over the axes, as far as the edges let it.
            let half = width(&title, f64::from(LABEL)) / 2.0;
            let middle = ((left + right) / 2.0)
                .min(left - self.left + self.width - EDGE - half)
                .max(left - self.left + EDGE + half);
            canvas.text(
                (middle, top - 12.0),
                &title,
                LABEL,
                Align::Middle,
                None,
                INK,
            );
        }
        self.draw_bar(canvas, right + BAR - 20.0, top, bottom);
    }

    fn draw_bar(&self, canvas: &mut Canvas, left: f64, top: f64, bottom: f64) {
        let cells = self.panel.marks.iter().find_map(|mark| match mark {
            Mark::Cells {
                span,
                lower_is_better,
                ..
            } => Some((*span, *lower_is_better)),
            _ => None,
        });
        let (Some(bar), Some((span, lower_is_better))) = (&self.bar, cells) else {
            return;
        };
        const STEPS: usize = 64;
        let step = (bottom - top) / STEPS as f64;
        for number in 0..STEPS {
            let value = bar.value(number as f64 / (STEPS - 1) as f64);
            let colour = heat(goodness(value.clamp(span.0, span.1), span, lower_is_better));
            canvas.rect(
                (left, bottom - step * (number + 1) as f64),
                (20.0, step + 0.5),
                Some(colour),
                None,
            );
        }
        canvas.rect((left, top), (20.0, bottom - top), None, Some((INK, 1.2)));
        bar.draw_names(canvas, left + 20.0, TICK);
    }
}
