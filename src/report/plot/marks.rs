//! Draws marks between two placed axes: curves with bands, bars, cells. `cloud` draws
//! distributions.

use super::axis::PlacedAxis;
use super::canvas::{Align, Canvas, Font, Rect, Xy, line, xy};
use super::cloud::draw_cloud;
use super::model::{Mark, Spread};
use super::style::{FRAME, INK, MISSING, Rgb, Shape, Style, WHITE, heat, text_on};
use super::text::width;

/// Width of a curve.
pub(super) const CURVE_WIDTH: f64 = 2.6;
/// Half the width of a marker.
pub(super) const MARKER_RADIUS: f64 = 5.0;
/// Opacity of a band.
pub(super) const BAND_OPACITY: f64 = 0.16;
/// Maximum number of markers on a curve, about; more would look like a thick line.
const MAX_MARKERS: usize = 20;
/// Shorter whiskers are not drawn.
const MIN_WHISKER: f64 = 0.5;

/// Draws the parts that belong below all marks: bands, so that none covers another mark's line.
pub(super) fn draw_below(canvas: &mut Canvas, mark: &Mark, x: &PlacedAxis, y: &PlacedAxis) {
    if let Mark::Curve { points, style } = mark {
        draw_band(canvas, points, style, x, y);
    }
}

/// Draws a mark.
pub(super) fn draw(canvas: &mut Canvas, mark: &Mark, x: &PlacedAxis, y: &PlacedAxis) {
    match mark {
        Mark::Curve { points, style } => draw_curve(canvas, points, style, x, y),
        Mark::Bars {
            points,
            style,
            shift,
        } => draw_bars(canvas, points, style, shift * 2.4 * MARKER_RADIUS, x, y),
        Mark::Cloud {
            x: slot,
            values,
            style,
        } => draw_cloud(canvas, *slot, values, style, x, y),
        Mark::Star { x: slot, y: value } => {
            let place = xy(x.place(*slot), y.place(*value));
            draw_shape(canvas, place, Shape::Diamond, WHITE, 8.6);
            draw_shape(canvas, place, Shape::Diamond, INK, 6.6);
        }
        Mark::Cells {
            rows,
            texts,
            span,
            best,
            lower_is_better,
        } => {
            let colour = |value: f64| {
                if value.is_finite() {
                    heat(goodness(value, span.0, span.1, *lower_is_better))
                } else {
                    MISSING
                }
            };
            let grid = CellGrid::new(x, y);
            grid.draw(canvas, rows, colour);
            if let Some((column, row)) = best {
                grid.draw_frame(canvas, *column, *row);
            }
            grid.draw_texts(canvas, rows, texts, colour);
        }
    }
}

/// Runs of points without a gap.
fn runs<'a>(
    points: &'a [Spread],
    x: &'a PlacedAxis,
    y: &'a PlacedAxis,
) -> impl Iterator<Item = &'a [Spread]> {
    points
        .split(|point| !(x.place(point.x).is_finite() && y.place(point.mean).is_finite()))
        .filter(|run| !run.is_empty())
}

fn draw_band(
    canvas: &mut Canvas,
    points: &[Spread],
    style: &Style,
    x: &PlacedAxis,
    y: &PlacedAxis,
) {
    for run in runs(points, x, y) {
        if run.iter().all(|point| point.high <= point.low) {
            continue;
        }
        let upper = run
            .iter()
            .map(|point| xy(x.place(point.x), y.place_within(point.high)));
        let lower = run
            .iter()
            .rev()
            .map(|point| xy(x.place(point.x), y.place_within(point.low)));

        let outline: Vec<Xy> = upper.chain(lower).collect();
        canvas.area(&outline, style.colour, BAND_OPACITY);

        // The band of a single point has no width.
        if let [only] = run {
            draw_whisker(canvas, only, x.place(only.x), y, style.colour);
        }
    }
}

fn draw_curve(
    canvas: &mut Canvas,
    points: &[Spread],
    style: &Style,
    x: &PlacedAxis,
    y: &PlacedAxis,
) {
    for run in runs(points, x, y) {
        let places: Vec<Xy> = run
            .iter()
            .map(|point| xy(x.place(point.x), y.place(point.mean)))
            .collect();
        canvas.polyline(&places, line(style.colour, CURVE_WIDTH), style.dashes);
    }

    // Long curves have markers at regular distances only.
    let stride = points.len().div_ceil(MAX_MARKERS).max(1);
    for point in points.iter().step_by(stride) {
        let place = xy(x.place(point.x), y.place(point.mean));
        draw_marker(canvas, place, style, MARKER_RADIUS);
    }
}

fn draw_whisker(canvas: &mut Canvas, point: &Spread, x: f64, y: &PlacedAxis, colour: Rgb) {
    let low = y.place_within(point.low);
    let high = y.place_within(point.high);
    if (low - high).abs() <= MIN_WHISKER {
        return;
    }
    let stroke = line(colour, 1.8);
    canvas.line(xy(x, low), xy(x, high), stroke);
    for end in [low, high] {
        canvas.line(xy(x - 5.0, end), xy(x + 5.0, end), stroke);
    }
}

fn draw_bars(
    canvas: &mut Canvas,
    points: &[Spread],
    style: &Style,
    shift: f64,
    x: &PlacedAxis,
    y: &PlacedAxis,
) {
    for run in runs(points, x, y) {
        let places: Vec<Xy> = run
            .iter()
            .map(|point| xy(x.place(point.x) + shift, y.place(point.mean)))
            .collect();
        canvas.polyline(&places, line(style.colour, CURVE_WIDTH), style.dashes);

        for (point, place) in run.iter().zip(&places) {
            draw_whisker(canvas, point, place.x, y, style.colour);
            draw_marker(canvas, *place, style, MARKER_RADIUS + 1.0);
        }
    }
}

/// Draws the marker of a style.
pub(super) fn draw_marker(canvas: &mut Canvas, place: Xy, style: &Style, radius: f64) {
    draw_shape(canvas, place, style.shape, style.colour, radius);
}

fn draw_shape(canvas: &mut Canvas, place: Xy, shape: Shape, colour: Rgb, r: f64) {
    let Xy { x, y } = place;
    match shape {
        Shape::Disk => canvas.disk(place, r, colour, 1.0),
        Shape::Square => {
            let r = r * 0.9;
            let corners = [
                xy(x - r, y - r),
                xy(x + r, y - r),
                xy(x + r, y + r),
                xy(x - r, y + r),
            ];
            canvas.area(&corners, colour, 1.0);
        }
        Shape::Up => {
            let corners = [
                xy(x, y - r * 1.2),
                xy(x + r * 1.15, y + r * 0.9),
                xy(x - r * 1.15, y + r * 0.9),
            ];
            canvas.area(&corners, colour, 1.0);
        }
        Shape::Down => {
            let corners = [
                xy(x, y + r * 1.2),
                xy(x + r * 1.15, y - r * 0.9),
                xy(x - r * 1.15, y - r * 0.9),
            ];
            canvas.area(&corners, colour, 1.0);
        }
        Shape::Diamond => {
            let r = r * 1.25;
            let corners = [xy(x, y - r), xy(x + r, y), xy(x, y + r), xy(x - r, y)];
            canvas.area(&corners, colour, 1.0);
        }
        Shape::Cross => {
            for sign in [1.0, -1.0] {
                let from = xy(x - r, y - r * sign);
                let to = xy(x + r, y + r * sign);
                canvas.line(from, to, line(colour, 2.4));
            }
        }
    }
}

/// How far a value is from the worst (0) to the best (1) of a span.
pub(super) fn goodness(value: f64, low: f64, high: f64, lower_is_better: bool) -> f64 {
    let part = if high > low {
        (value - low) / (high - low)
    } else {
        0.5
    };
    if lower_is_better { 1.0 - part } else { part }
}

/// The cells of a heat map between two axes.
struct CellGrid<'a> {
    x: &'a PlacedAxis,
    y: &'a PlacedAxis,
    width: f64,
    height: f64,
}

impl<'a> CellGrid<'a> {
    fn new(x: &'a PlacedAxis, y: &'a PlacedAxis) -> Self {
        Self {
            x,
            y,
            width: (x.beyond(1.0) - x.beyond(0.0)).abs(),
            height: (y.beyond(1.0) - y.beyond(0.0)).abs(),
        }
    }

    fn cell(&self, column: usize, row: usize) -> Rect {
        Rect {
            left: self.x.beyond(column as f64 - 0.5),
            top: self.y.beyond(row as f64 + 0.5),
            width: self.width,
            height: self.height,
        }
    }

    fn draw(&self, canvas: &mut Canvas, rows: &[Vec<f64>], colour: impl Fn(f64) -> Rgb) {
        for (row, values) in rows.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let fill = colour(*value);
                canvas.rect(self.cell(column, row), Some(fill), Some(line(WHITE, 1.5)));
            }
        }
    }

    /// Frames a cell, with a white rim inside the frame.
    fn draw_frame(&self, canvas: &mut Canvas, column: usize, row: usize) {
        let frame = (self.width.min(self.height) / 16.0).clamp(1.2, 3.5);
        let cell = self.cell(column, row);
        let rect = Rect {
            left: cell.left + frame,
            top: cell.top + frame,
            width: cell.width - 2.0 * frame,
            height: cell.height - 2.0 * frame,
        };
        canvas.rect(rect, None, Some(line(WHITE, 2.0 * frame)));
        canvas.rect(rect, None, Some(line(FRAME, frame)));
    }

    /// Writes the values, if there is room for the longest one.
    fn draw_texts(
        &self,
        canvas: &mut Canvas,
        rows: &[Vec<f64>],
        texts: &[Vec<String>],
        colour: impl Fn(f64) -> Rgb,
    ) {
        let Some(size) = self.font_size(texts) else {
            return;
        };

        for (row, (values, texts)) in rows.iter().zip(texts).enumerate() {
            for (column, (value, text)) in values.iter().zip(texts).enumerate() {
                let place = xy(
                    self.x.place(column as f64),
                    self.y.place(row as f64) + 0.36 * f64::from(size),
                );
                let font = Font::new(size, Align::Middle).coloured(text_on(colour(*value)));
                canvas.text(place, text, font);
            }
        }
    }

    /// The largest size in which all texts fit into their cells.
    fn font_size(&self, texts: &[Vec<String>]) -> Option<u32> {
        (11..=20).rev().find(|size| {
            let size = f64::from(*size);
            let widest = texts
                .iter()
                .flatten()
                .map(|text| width(text, size))
                .fold(0.0, f64::max);
            widest + 6.0 <= self.width && size + 4.0 <= self.height
        })
    }
}
