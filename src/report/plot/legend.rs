//! The legend: entries in columns of equal width below all panels, so that it never lies over data.

use super::canvas::{Align, Canvas};
use super::marks::marker;
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

/// A legend that has found its columns.
pub(super) struct Columns<'a> {
    entries: &'a [LegendEntry],
    labels: Vec<String>,
    columns: usize,
    column: f64,
    room: f64,
}

impl<'a> Columns<'a> {
    pub fn new(entries: &'a [LegendEntry], room: f64) -> Self {
        let labels: Vec<String> =
            entries.iter().map(|entry| fit(&entry.label, f64::from(SIZE), (room - SAMPLE - GAP).min(360.0))).collect();
        let widest = labels.iter().map(|label| width(label, f64::from(SIZE))).fold(0.0, f64::max);
        let column = SAMPLE + GAP + widest;
        let columns = (((room + BETWEEN) / (column + BETWEEN)) as usize).clamp(1, entries.len().max(1));
        // As few rows as that allows, and then as even as possible.
        let columns = entries.len().max(1).div_ceil(entries.len().max(1).div_ceil(columns));
        Self { entries, labels, columns, column, room }
    }

    pub fn height(&self) -> f64 {
        if self.entries.is_empty() { 0.0 } else { self.entries.len().div_ceil(self.columns) as f64 * LINE + 14.0 }
    }

    pub fn draw(&self, canvas: &mut Canvas, (left, top): (f64, f64)) {
        let total = self.columns as f64 * (self.column + BETWEEN) - BETWEEN;
        let left = left + ((self.room - total) / 2.0).max(0.0);
        for (number, (entry, label)) in self.entries.iter().zip(&self.labels).enumerate() {
            let x = left + (number % self.columns) as f64 * (self.column + BETWEEN);
            let y = top + 12.0 + (number / self.columns) as f64 * LINE + LINE / 2.0;
            if entry.band {
                let corners = [(x, y - 9.0), (x + SAMPLE, y - 9.0), (x + SAMPLE, y + 9.0), (x, y + 9.0)];
                canvas.area(&corners, entry.style.colour, super::marks::BAND);
            }
            canvas.polyline(&[(x, y), (x + SAMPLE, y)], entry.style.colour, super::marks::STROKE, entry.style.dashes);
            marker(canvas, (x + SAMPLE / 2.0, y), &entry.style, super::marks::MARKER);
            canvas.text((x + SAMPLE + GAP, y + 0.36 * f64::from(SIZE)), label, SIZE, Align::Start, None, INK);
        }
    }
}
