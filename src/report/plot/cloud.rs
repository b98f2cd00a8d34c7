//! Draws distributions: a box from quartile to quartile, an outline of the density to its right,
//! dots to its left if the values are few.

use super::axis::PlacedAxis;
use super::canvas::{Canvas, Rect, Xy, line, xy};
use super::style::{Style, WHITE};

/// Maximum number of values that are drawn as dots; an outline says more of many values.
const MAX_DOTS: usize = 150;
/// Minimum number of values for an outline.
const MIN_OUTLINED: usize = 20;
/// Length of whiskers in heights of the box, as Tukey drew them.
const WHISKER_LENGTH: f64 = 1.5;
/// Its multiples have fractional parts that are spread evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_75;
/// Number of bins for the density. Values are counted in bins first, because a sweep may have tens
/// of thousands of trials.
const BINS: usize = 256;
/// Number of steps of the outline.
const OUTLINE_STEPS: usize = 64;

/// Draws the distribution of a slot's values.
pub(super) fn draw_cloud(
    canvas: &mut Canvas,
    slot: f64,
    values: &[f64],
    style: &Style,
    x: &PlacedAxis,
    y: &PlacedAxis,
) {
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

    if sorted.len() >= MIN_OUTLINED && last > first {
        let shape = outline(&sorted, middle + box_half + 2.0, half - box_half, y);
        canvas.area(&shape, style.colour, 0.35);
    }
    if sorted.len() <= MAX_DOTS {
        let room = (half - box_half - 6.0).max(0.0);
        for (number, value) in sorted.iter().enumerate() {
            // Scattered, but the same in every run.
            let aside = (number as f64 * GOLDEN_RATIO).fract();
            let place = xy(middle - box_half - 5.0 - aside * room, y.place(*value));
            canvas.disk(place, 3.2, style.colour, 0.55);
        }
    }

    draw_box(canvas, &sorted, middle, box_half, style, y);
}

fn draw_box(
    canvas: &mut Canvas,
    sorted: &[f64],
    middle: f64,
    half: f64,
    style: &Style,
    y: &PlacedAxis,
) {
    let [q1, median, q3] = [0.25, 0.5, 0.75].map(|part| quantile(sorted, part));
    let reach = WHISKER_LENGTH * (q3 - q1);
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

    let stroke = line(style.colour, 2.0);
    let whisker_from = xy(middle, y.place(bottom));
    let whisker_to = xy(middle, y.place(top));
    canvas.line(whisker_from, whisker_to, stroke);

    let rect = Rect {
        left: middle - half,
        top: y.place(q3),
        width: 2.0 * half,
        height: (y.place(q1) - y.place(q3)).max(1.0),
    };
    canvas.rect(rect, Some(WHITE), Some(stroke));

    let median = y.place(median);
    canvas.line(
        xy(middle - half, median),
        xy(middle + half, median),
        line(style.colour, 3.0),
    );
}

/// The quantile of sorted values, interpolated (type 7 of Hyndman and Fan).
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// The density, smoothed with Gauss's kernel and Silverman's width, as a shape that grows to the
/// right of `left`.
fn outline(sorted: &[f64], left: f64, room: f64, y: &PlacedAxis) -> Vec<Xy> {
    let places: Vec<f64> = sorted.iter().map(|value| y.place(*value)).collect();
    let bottom = places[0];
    let top = places[places.len() - 1];
    let mut bins = [0.0_f64; BINS];
    for place in &places {
        let bin = ((place - bottom) / (top - bottom) * BINS as f64) as usize;
        bins[bin.min(BINS - 1)] += 1.0;
    }

    // The density at each step is the sum of the bins' kernels.
    let width = kernel_width(&places);
    let steps: Vec<f64> = (0..=OUTLINE_STEPS)
        .map(|step| bottom + (top - bottom) * step as f64 / OUTLINE_STEPS as f64)
        .collect();
    let mut densities = vec![0.0; steps.len()];
    for (number, count) in bins.iter().enumerate() {
        let bin = bottom + (top - bottom) * (number as f64 + 0.5) / BINS as f64;
        for (density, place) in densities.iter_mut().zip(&steps) {
            *density += count * (-0.5 * ((place - bin) / width).powi(2)).exp();
        }
    }
    let highest = densities.iter().copied().fold(f64::MIN_POSITIVE, f64::max);

    let mut points = vec![xy(left, bottom)];
    for (place, density) in steps.iter().zip(&densities) {
        points.push(xy(left + room * density / highest, *place));
    }
    points.push(xy(left, top));
    points
}

/// The width of the kernel by Silverman's rule.
fn kernel_width(places: &[f64]) -> f64 {
    let n = places.len() as f64;
    let mean = places.iter().sum::<f64>() / n;
    let squares: f64 = places.iter().map(|place| (place - mean).powi(2)).sum();
    let std = (squares / (n - 1.0)).sqrt();
    let quartiles = (quantile(places, 0.75) - quantile(places, 0.25)).abs() / 1.34;
    let spread = if quartiles > 0.0 {
        std.min(quartiles)
    } else {
        std
    };
    (0.9 * spread * n.powf(-0.2)).max(2.0)
}
