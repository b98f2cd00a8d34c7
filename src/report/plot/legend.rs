//! The legend: entries in columns below all panels, so that it never lies over data.

use super::canvas::{Align, Canvas};
use super::marks::{BAND, MARKER, STROKE, marker};
use super::model::LegendEntry;
use super::style::INK;
use super::text::{fit, width};

const SIZE: u32 = 19;
const LINE: f64 = 29.0;
/// Length of the sample of a line.
const SAMPLE: f64 = 54.0;
const GAP: f64 = 10.0;
/// Air between columns.
const BETWEEN: f64 = 26.0;

/// A legend whose entries have found their places.
pub(super) struct Columns<'a> {
    entries: &'a [LegendEntry],
    labels: Vec<String>,
    /// Where each column begins.
    columns: Vec<f64>,
}

impl<'a> Columns<'a> {
    pub fn new(entries: &'a [LegendEntry], room: f64) -> Self {
        // One long label must not make a tower of many short ones.
        let least = if entries.len() > 12 {
            (room / 290.0).floor()
        } else if entries.len() > 6 {
            2.0
        } else {
            1.0
        };
        let longest = (room + BETWEEN) / least - BETWEEN - SAMPLE - GAP;
        let label = |entry: &LegendEntry| fit(&entry.label, f64::from(SIZE), longest);
        let labels: Vec<String> = entries.iter().map(label).collect();
        let widths: Vec<f64> = labels
            .iter()
            .map(|label| SAMPLE + GAP + width(label, f64::from(SIZE)))
            .collect();
        // As many columns as there is room for, each as wide as its widest entry; then as few as
        // give no more rows.
        let columns = |count: usize| -> Vec<f64> {
            let column = |number: usize| {
                widths
                    .iter()
                    .skip(number)
                    .step_by(count)
                    .copied()
                    .fold(0.0, f64::max)
            };
            (0..count).map(column).collect()
        };
        let fits = |count: &usize| {
            columns(*count).iter().sum::<f64>() + BETWEEN * (*count as f64 - 1.0) <= room
        };
        let most = (1..=entries.len().max(1)).rev().find(fits).unwrap_or(1);
        let even = entries
            .len()
            .max(1)
            .div_ceil(entries.len().max(1).div_ceil(most));
        let widths = columns(if fits(&even) { even } else { most });
        let total = widths.iter().sum::<f64>() + BETWEEN * (widths.len() as f64 - 1.0);
        let mut from = ((room - total) / 2.0).max(0.0);
        let mut starts = Vec::new();
        for width in widths {
            starts.push(from);
            from += width + BETWEEN;
        }
        Self {
            entries,
            labels,
            columns: starts,
        }
    }

    pub fn height(&self) -> f64 {
        if self.entries.is_empty() {
            0.0
        } else {
            self.entries.len().div_ceil(self.columns.len()) as f64 * LINE + 14.0
        }
    }

    pub fn draw(&self, canvas: &mut Canvas, (left, top): (f64, f64)) {
        for (number, (entry, label)) in self.entries.iter().zip(&self.labels).enumerate() {
            let x = left + self.columns[number % self.columns.len()];
            let y = top + 12.0 + (number / self.columns.len()) as f64 * LINE + LINE / 2.0;
            if entry.band {
                let corners = [
                    (x, y - 9.0),
                    (x + SAMPLE, y - 9.0),
                    (x + SAMPLE, y + 9.0),
                    (x, y + 9.0),
                ];
                canvas.area(&corners, entry.style.colour, BAND);
            }
            canvas.polyline(
                &[(x, y), (x + SAMPLE, y)],
                entry.style.colour,
                STROKE,
                entry.style.dashes,
            );
            marker(canvas, (x + SAMPLE / 2.0, y), &entry.style, MARKER);
            canvas.text(
                (x + SAMPLE + GAP, y + 0.36 * f64::from(SIZE)),
                label,
                SIZE,
                Align::Start,
                None,
                INK,
            );
        }
    }
}
