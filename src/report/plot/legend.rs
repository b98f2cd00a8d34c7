//! The legend: entries in columns below all panels, so that it never covers data.

use super::canvas::{Align, Canvas, Font, Xy, line, xy};
use super::marks::{BAND_OPACITY, CURVE_WIDTH, MARKER_RADIUS, draw_marker};
use super::model::LegendEntry;
use super::text::{fit, width};

const FONT_SIZE: u32 = 19;
const LINE_HEIGHT: f64 = 29.0;
/// Length of the sample of a curve.
const SAMPLE_LENGTH: f64 = 54.0;
/// Half the height of the sample of a band.
const SAMPLE_BAND: f64 = 9.0;
/// Distance of a label from its sample.
const GAP: f64 = 10.0;
/// Distance between columns.
const COLUMN_GAP: f64 = 26.0;
/// Distance between the panels and the legend.
const TOP: f64 = 12.0;
/// Width of a column in a legend of many entries.
const NARROW_COLUMN: f64 = 290.0;

/// A legend with the places of its entries.
pub(super) struct Columns<'a> {
    entries: &'a [LegendEntry],
    labels: Vec<String>,
    /// Where each column begins.
    columns: Vec<f64>,
}

impl<'a> Columns<'a> {
    /// Arranges entries within a width.
    pub(crate) fn new(entries: &'a [LegendEntry], room: f64) -> Self {
        let size = f64::from(FONT_SIZE);
        let max_label = max_label_width(entries.len(), room);
        let labels: Vec<String> = entries
            .iter()
            .map(|entry| fit(&entry.label, size, max_label))
            .collect();

        let widths: Vec<f64> = labels
            .iter()
            .map(|label| SAMPLE_LENGTH + GAP + width(label, size))
            .collect();

        // The columns are centred.
        let columns = arrange(&widths, room);
        let mut begin = ((room - total_width(&columns)) / 2.0).max(0.0);
        let mut begins = Vec::new();
        for width in columns {
            begins.push(begin);
            begin += width + COLUMN_GAP;
        }

        Self {
            entries,
            labels,
            columns: begins,
        }
    }

    pub(crate) fn height(&self) -> f64 {
        if self.entries.is_empty() {
            0.0
        } else {
            self.entries.len().div_ceil(self.columns.len()) as f64 * LINE_HEIGHT + TOP + 2.0
        }
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, left: f64, top: f64) {
        for (number, (entry, label)) in self.entries.iter().zip(&self.labels).enumerate() {
            let row = number / self.columns.len();
            let place = xy(
                left + self.columns[number % self.columns.len()],
                top + TOP + row as f64 * LINE_HEIGHT + LINE_HEIGHT / 2.0,
            );
            draw_entry(canvas, place, entry, label);
        }
    }
}

/// The width to which labels are cut: one long label must not put many short ones into one column.
fn max_label_width(entries: usize, room: f64) -> f64 {
    let min_columns = match entries {
        13.. => (room / NARROW_COLUMN).floor(),
        7..=12 => 2.0,
        _ => 1.0,
    };
    (room + COLUMN_GAP) / min_columns - COLUMN_GAP - SAMPLE_LENGTH - GAP
}

/// The widths of the columns: as many columns as there is room for, then as few of them as give no
/// more rows.
fn arrange(widths: &[f64], room: f64) -> Vec<f64> {
    let entries = widths.len().max(1);
    let fits = |count: usize| total_width(&column_widths(widths, count)) <= room;
    let max_columns = (1..=entries).rev().find(|count| fits(*count)).unwrap_or(1);
    let rows = entries.div_ceil(max_columns);
    let even = entries.div_ceil(rows);
    column_widths(widths, if fits(even) { even } else { max_columns })
}

/// Each column is as wide as its widest entry.
fn column_widths(widths: &[f64], count: usize) -> Vec<f64> {
    (0..count)
        .map(|column| {
            let in_column = widths.iter().skip(column).step_by(count);
            in_column.copied().fold(0.0, f64::max)
        })
        .collect()
}

fn total_width(columns: &[f64]) -> f64 {
    columns.iter().sum::<f64>() + COLUMN_GAP * (columns.len() as f64 - 1.0)
}

/// Draws an entry whose left end is at `place`.
fn draw_entry(canvas: &mut Canvas, place: Xy, entry: &LegendEntry, label: &str) {
    let Xy { x, y } = place;
    let end = x + SAMPLE_LENGTH;
    let style = &entry.style;
    if entry.band {
        let corners = [
            xy(x, y - SAMPLE_BAND),
            xy(end, y - SAMPLE_BAND),
            xy(end, y + SAMPLE_BAND),
            xy(x, y + SAMPLE_BAND),
        ];
        canvas.area(&corners, style.colour, BAND_OPACITY);
    }

    let stroke = line(style.colour, CURVE_WIDTH);
    canvas.polyline(&[place, xy(end, y)], stroke, style.dashes);
    draw_marker(canvas, xy(x + SAMPLE_LENGTH / 2.0, y), style, MARKER_RADIUS);

    canvas.text(
        xy(end + GAP, y + 0.36 * f64::from(FONT_SIZE)),
        label,
        Font::new(FONT_SIZE, Align::Start),
    );
}
