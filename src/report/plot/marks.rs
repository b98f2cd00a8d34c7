//! Draws marks between two placed axes: curves with bands, bars, distributions, cells.

use super::axis::Placed;
use super::canvas::{Align, Canvas};
use super::model::{Mark, Spread};
use super::style::{INK, MISSING, Rgb, Shape, Style, WHITE, heat, text_on};
use super::text::width;

/// Width of a curve.
pub(super) const STROKE: f64 = 2.6;
/// Half the width of a marker.
pub(super) const MARKER: f64 = 5.0;
/// Opacity of a band.
pub(super) const BAND: f64 = 0.16;
/// More dots than that in a slot say less than an outline.
const DOTS: usize = 150;
/// Fewer values than that have no outline worth drawing.
const OUTLINE: usize = 20;

/// Draws what belongs below all marks: bands, so that none lies over another's line.
pub(super) fn draw_below(canvas: &mut Canvas, mark: &Mark, x: &Placed, y: &Placed) {
    if let Mark::Curve { points, style } = mark {
        band(canvas, points, style, x, y);
    }
}

/// Draws a mark.
pub(super) fn draw(canvas: &mut Canvas, mark: &Mark, x: &Placed, y: &Placed) {
    match mark {
        Mark::Curve { points, style } => curve(canvas, points, style, x, y),
        Mark::Bars {
            points,
            style,
            shift,
        } => bars(canvas, points, style, shift * 2.4 * MARKER, x, y),
        Mark::Cloud {
            x: slot,
            values,
            style,
        } => cloud(canvas, *slot, values, style, x, y),
        Mark::Star { x: slot, y: value } => {
            let place = (x.place(*slot), y.place(*value));
            shape(canvas, place, Shape::Diamond, WHITE, 8.6);
            shape(canvas, place, Shape::Diamond, INK, 6.6);
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
                    heat(goodness(value, *span, *lower_is_better))
                } else {
                    MISSING
                }
            };
            cells(canvas, rows, texts, *best, colour, x, y);
        }
    }
}

/// Runs of points without a gap.
fn runs<'a>(
    points: &'a [Spread],
    x: &'a Placed,
    y: &'a Placed,
) -> impl Iterator<Item = &'a [Spread]> {
    points
        .split(|point| !(x.place(point.x).is_finite() && y.place(point.mean).is_finite()))
        .filter(|run| !run.is_empty())
}

fn band(canvas: &mut Canvas, points: &[Spread], style: &Style, x: &Placed, y: &Placed) {
    for run in runs(points, x, y).filter(|run| run.iter().any(|point| point.high > point.low)) {
        let upper = run
            .iter()
            .map(|point| (x.place(point.x), y.place_within(point.high)));
        let lower = run
            .iter()
            .rev()
            .map(|point| (x.place(point.x), y.place_within(point.low)));
        let outline: Vec<_> = upper.chain(lower).collect();
        canvas.area(&outline, style.colour, BAND);
        if let [only] = run {
            whisker(canvas, only, x.place(only.x), y, style.colour);
        }
    }
}

fn curve(canvas: &mut Canvas, points: &[Spread], style: &Style, x: &Placed, y: &Placed) {
    // Markers on each of hundreds of epochs would be a thick line.
    let every = points.len().div_ceil(20).max(1);
    for run in runs(points, x, y) {
        let line: Vec<_> = run
            .iter()
            .map(|point| (x.place(point.x), y.place(point.mean)))
            .collect();
        canvas.polyline(&line, style.colour, STROKE, style.dashes);
    }
    for point in points.iter().step_by(every) {
        marker(
            canvas,
            (x.place(point.x), y.place(point.mean)),
            style,
            MARKER,
        );
    }
}

fn whisker(canvas: &mut Canvas, point: &Spread, place: f64, y: &Placed, colour: Rgb) {
    let (low, high) = (y.place_within(point.low), y.place_within(point.high));
    if (low - high).abs() > 0.5 {
        canvas.line((place, low), (place, high), colour, 1.8);
        for end in [low, high] {
            canvas.line((place - 5.0, end), (place + 5.0, end), colour, 1.8);
        }
    }
}

fn bars(canvas: &mut Canvas, points: &[Spread], style: &Style, shift: f64, x: &Placed, y: &Placed) {
    for run in runs(points, x, y) {
        let line: Vec<_> = run
            .iter()
            .map(|point| (x.place(point.x) + shift, y.place(point.mean)))
            .collect();
        canvas.polyline(&line, style.colour, STROKE, style.dashes);
        for (point, place) in run.iter().zip(&line) {
            whisker(canvas, point, place.0, y, style.colour);
            marker(canvas, *place, style, MARKER + 1.0);
        }
    }
}

/// The marker of a style.
pub(super) fn marker(canvas: &mut Canvas, place: (f64, f64), style: &Style, r: f64) {
    shape(canvas, place, style.shape, style.colour, r);
}

fn shape(canvas: &mut Canvas, (x, y): (f64, f64), shape: Shape, colour: Rgb, r: f64) {
    match shape {
        Shape::Disk => canvas.disk((x, y), r, colour, 1.0, false),
        Shape::Square => {
            let r = r * 0.9;
            canvas.area(
                &[
                    (x - r, y - r),
                    (x + r, y - r),
                    (x + r, y + r),
                    (x - r, y + r),
                ],
                colour,
                1.0,
            );
        }
        Shape::Up => canvas.area(
            &[
                (x, y - r * 1.2),
                (x + r * 1.15, y + r * 0.9),
                (x - r * 1.15, y + r * 0.9),
            ],
            colour,
            1.0,
        ),
        Shape::Down => canvas.area(
            &[
                (x, y + r * 1.2),
                (x + r * 1.15, y - r * 0.9),
                (x - r * 1.15, y - r * 0.9),
            ],
            colour,
            1.0,
        ),
        Shape::Diamond => {
            let r = r * 1.25;
            canvas.area(
                &[(x, y - r), (x + r, y), (x, y + r), (x - r, y)],
                colour,
                1.0,
            );
        }
        Shape::Cross => {
            for sign in [1.0, -1.0] {
                canvas.polyline(
                    &[(x - r, y - r * sign), (x + r, y + r * sign)],
                    colour,
                    2.4,
                    &[],
                );
            }
        }
    }
}

/// The quantile of sorted values, between the two nearest of them (type 7 of Hyndman and Fan).
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// An outline of the density to the right, dots or nothing to the left, a box from quartile to
/// quartile between.
fn cloud(canvas: &mut Canvas, slot: f64, values: &[f64], style: &Style, x: &Placed, y: &Placed) {
    let mut sorted: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite() && y.place(*value).is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return;
    };
    let middle = x.place(slot);
    let half = ((x.beyond(slot + 0.5) - middle).abs() * 0.86).min(80.0);
    let box_half = (half * 0.13).clamp(3.0, 9.0);
    if sorted.len() >= OUTLINE && last > first {
        canvas.area(
            &outline(&sorted, middle + box_half + 2.0, half - box_half, y),
            style.colour,
            0.35,
        );
    }
    if sorted.len() <= DOTS {
        for (number, value) in sorted.iter().enumerate() {
            // A fixed scatter: the fractional parts of multiples of the golden ratio.
            let aside = (number as f64 * 0.618_033_988_75).fract();
            let room = half - box_half - 6.0;
            canvas.disk(
                (
                    middle - box_half - 5.0 - aside * room.max(0.0),
                    y.place(*value),
                ),
                3.2,
                style.colour,
                0.55,
                false,
            );
        }
    }
    let [low, median, high] = [0.25, 0.5, 0.75].map(|part| y.place(quantile(&sorted, part)));
    // Whiskers to the last values within 1.5 box heights, as Tukey drew them.
    let (q1, q3) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
    let reach = 1.5 * (q3 - q1);
    let bottom = sorted
        .iter()
        .find(|value| **value >= q1 - reach)
        .copied()
        .unwrap_or(q1);
    let top = sorted
        .iter()
        .rev()
        .find(|value| **value <= q3 + reach)
        .copied()
        .unwrap_or(q3);
    canvas.line(
        (middle, y.place(bottom)),
        (middle, y.place(top)),
        style.colour,
        2.0,
    );
    let (size, corner) = (
        (2.0 * box_half, (low - high).max(1.0)),
        (middle - box_half, high),
    );
    canvas.rect(corner, size, Some(WHITE), Some((style.colour, 2.0)));
    canvas.line(
        (middle - box_half, median),
        (middle + box_half, median),
        style.colour,
        3.0,
    );
}

/// The density, smoothed with Gauss's kernel and Silverman's width, as a shape that grows to the
/// right of `left`.
fn outline(sorted: &[f64], left: f64, room: f64, y: &Placed) -> Vec<(f64, f64)> {
    const BINS: usize = 256;
    const STEPS: usize = 64;
    let places: Vec<f64> = sorted.iter().map(|value| y.place(*value)).collect();
    let (bottom, top) = (places[0], places[places.len() - 1]);
    // Counted into fine bins first: a sweep has tens of thousands of trials.
    let mut bins = [0.0_f64; BINS];
    for place in &places {
        bins[(((place - bottom) / (top - bottom) * BINS as f64) as usize).min(BINS - 1)] += 1.0;
    }
    let n = places.len() as f64;
    let mean = places.iter().sum::<f64>() / n;
    let std = (places
        .iter()
        .map(|place| (place - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0))
        .sqrt();
    let quartiles = (quantile(&places, 0.75) - quantile(&places, 0.25)).abs() / 1.34;
    let spread = if quartiles > 0.0 {
        std.min(quartiles)
    } else {
        std
    };
    let width = (0.9 * spread * n.powf(-0.2)).max(2.0);
    let at = |step: f64| bottom + (top - bottom) * step / STEPS as f64;
    let density = |place: f64| -> f64 {
        let bin = |number: usize| bottom + (top - bottom) * (number as f64 + 0.5) / BINS as f64;
        bins.iter()
            .enumerate()
            .map(|(number, count)| count * (-0.5 * ((place - bin(number)) / width).powi(2)).exp())
            .sum()
    };
    let densities: Vec<f64> = (0..=STEPS).map(|step| density(at(step as f64))).collect();
    let most = densities.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut points = vec![(left, bottom)];
    points.extend(
        densities
            .iter()
            .enumerate()
            .map(|(step, density)| (left + room * density / most, at(step as f64))),
    );
    points.push((left, top));
    points
}

/// How far from the worst (0) to the best (1) a value is.
pub(super) fn goodness(value: f64, (low, high): (f64, f64), lower_is_better: bool) -> f64 {
    let part = if high > low {
        (value - low) / (high - low)
    } else {
        0.5
    };
    if lower_is_better { 1.0 - part } else { part }
}

fn cells(
    canvas: &mut Canvas,
    rows: &[Vec<f64>],
    texts: &[Vec<String>],
    best: Option<(usize, usize)>,
    colour: impl Fn(f64) -> Rgb,
    x: &Placed,
    y: &Placed,
) {
    let (cell_width, cell_height) = (
        (x.beyond(1.0) - x.beyond(0.0)).abs(),
        (y.beyond(1.0) - y.beyond(0.0)).abs(),
    );
    let widest = |size: u32| {
        texts
            .iter()
            .flatten()
            .map(|text| width(text, f64::from(size)))
            .fold(0.0, f64::max)
    };
    let fits =
        |size: &u32| widest(*size) + 6.0 <= cell_width && f64::from(*size) + 4.0 <= cell_height;
    let size = (11..=20).rev().find(fits);
    let corner =
        |column: usize, row: usize| (x.beyond(column as f64 - 0.5), y.beyond(row as f64 + 0.5));
    for (row, values) in rows.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            canvas.rect(
                corner(column, row),
                (cell_width, cell_height),
                Some(colour(*value)),
                Some((WHITE, 1.5)),
            );
        }
    }
    if let Some((column, row)) = best {
        let line = (cell_width.min(cell_height) / 16.0).clamp(1.2, 3.5);
        let (x, y) = corner(column, row);
        let (corner, size) = (
            (x + line, y + line),
            (cell_width - 2.0 * line, cell_height - 2.0 * line),
        );
        canvas.rect(corner, size, None, Some((WHITE, 2.0 * line)));
        canvas.rect(corner, size, None, Some((super::style::FRAME, line)));
    }
    let Some(size) = size else { return };
    for (row, (values, texts)) in rows.iter().zip(texts).enumerate() {
        for (column, (value, text)) in values.iter().zip(texts).enumerate() {
            let middle = (
                x.place(column as f64),
                y.place(row as f64) + 0.36 * f64::from(size),
            );
            canvas.text(
                middle,
                text,
                size,
                Align::Middle,
                None,
                text_on(colour(*value)),
            );
        }
    }
}
