//! Arranges a chart: panels in columns with their axes aligned, colour bars, the legend below.
//! One column of a paper (8.5 cm) is 600 units wide, so text of 19 units is about 7.6 points there.

use super::axis::{LABEL_SIZE, PlacedAxis, TICK_SIZE, extent};
use super::canvas::{Align, Canvas, Font, Picture, PlotError, Rect, line, xy};
use super::legend::Columns;
use super::marks::{self, goodness};
use super::model::{Axis, Chart, Mark, Panel, Scale};
use super::style::{INK, heat};
use super::text::{fit, width};

/// Width of one column of panels.
const COLUMN_WIDTH: f64 = 600.0;
/// Height of a panel between its axes.
const PANEL_HEIGHT: f64 = 320.0;
/// Minimum height of a heat map.
const MIN_MAP_HEIGHT: f64 = 150.0;
/// Height of a row of a heat map, if there is room.
const MAP_ROW_HEIGHT: f64 = 62.0;
/// Minimum height of a row of a heat map.
const MIN_MAP_ROW_HEIGHT: f64 = 26.0;
/// Space at the edges of a picture.
const EDGE: f64 = 14.0;
/// Width of a colour bar with the space before it.
const BAR_ROOM: f64 = 34.0;
/// Width of a colour bar.
const BAR_WIDTH: f64 = 20.0;
/// Number of colours of a colour bar.
const BAR_STEPS: usize = 64;

/// A panel with its axes and the margins around them.
struct PlacedPanel<'a> {
    panel: &'a Panel,
    x: PlacedAxis,
    y: PlacedAxis,
    /// The axis of the colour bar.
    bar: Option<PlacedAxis>,
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
    let column_width = if chart.wide {
        2.0 * COLUMN_WIDTH
    } else {
        COLUMN_WIDTH
    };
    let columns = chart.columns.clamp(1, chart.panels.len().max(1));
    let mut rows: Vec<Vec<PlacedPanel<'_>>> = chart
        .panels
        .chunks(columns)
        .map(|row| {
            row.iter()
                .map(|panel| PlacedPanel::new(panel, column_width))
                .collect()
        })
        .collect();

    let total_width = column_width * columns as f64;
    let legend = Columns::new(&chart.legend, total_width - 2.0 * EDGE);
    let title_height = if chart.title.is_empty() {
        0.0
    } else {
        f64::from(LABEL_SIZE) + 12.0
    };
    let rows_height: f64 = rows.iter().map(|row| row_height(row)).sum();
    let total_height = EDGE + title_height + rows_height + legend.height() + EDGE;

    let mut canvas = Canvas::new(total_width, total_height);
    if !chart.title.is_empty() {
        let size = f64::from(LABEL_SIZE);
        canvas.text(
            xy(total_width / 2.0, EDGE + size * 0.9),
            &fit(&chart.title, size, total_width - 2.0 * EDGE),
            Font::new(LABEL_SIZE, Align::Middle),
        );
    }

    // The axes of a column begin and end at the same places, those of a row at the same heights.
    let lefts: Vec<f64> = (0..columns)
        .map(|column| largest_in_column(&rows, column, |panel| panel.left))
        .collect();
    let rights: Vec<f64> = (0..columns)
        .map(|column| largest_in_column(&rows, column, |panel| panel.right))
        .collect();
    let mut row_top = EDGE + title_height;
    for row in &mut rows {
        let row_height = row_height(row);
        let top = row_top + largest(row, |panel| panel.above);
        let height = largest(row, |panel| panel.height);
        for (column, panel) in row.iter_mut().enumerate() {
            let begin = column as f64 * column_width;
            let end = begin + column_width;
            panel.place(Rect {
                left: begin + lefts[column],
                top,
                width: end - rights[column] - (begin + lefts[column]),
                height,
            });
            panel.draw(&mut canvas);
        }
        row_top += row_height;
    }
    legend.draw(&mut canvas, EDGE, row_top);
    canvas.finish()
}

fn largest(row: &[PlacedPanel<'_>], size: fn(&PlacedPanel<'_>) -> f64) -> f64 {
    row.iter().map(size).fold(0.0, f64::max)
}

fn largest_in_column(
    rows: &[Vec<PlacedPanel<'_>>],
    column: usize,
    size: fn(&PlacedPanel<'_>) -> f64,
) -> f64 {
    rows.iter()
        .filter_map(|row| row.get(column))
        .map(size)
        .fold(0.0, f64::max)
}

fn row_height(row: &[PlacedPanel<'_>]) -> f64 {
    largest(row, |panel| panel.above)
        + largest(row, |panel| panel.height)
        + largest(row, |panel| panel.below)
}

impl<'a> PlacedPanel<'a> {
    /// Finds the ticks and margins of a panel in a column of that width.
    fn new(panel: &'a Panel, column_width: f64) -> Self {
        let map = HeatMap::of(panel);
        let height = map.as_ref().map_or(PANEL_HEIGHT, HeatMap::height);
        let y = PlacedAxis::new(&panel.y, &panel.marks, true, height);
        let bar = map.and_then(|map| map.bar_axis(height));

        // Left of the axis: label, names of ticks, ticks. Right of it: the colour bar with its
        // names.
        let label_size = f64::from(LABEL_SIZE);
        let mut left = EDGE + label_size + 12.0 + y.depth(true) + 11.0;
        let mut right = EDGE + 8.0;
        if let Some(bar) = &bar {
            right += BAR_ROOM + 11.0 + bar.depth(true);
        }
        let x = PlacedAxis::new(&panel.x, &panel.marks, false, column_width - left - right);
        left = left.max(x.overhang() + EDGE);
        right = right.max(x.overhang_right() + EDGE);

        let label = if panel.x.label.is_empty() {
            0.0
        } else {
            7.0 + label_size
        };
        let below = 9.0 + x.depth(false) + label + 16.0;
        let above = if panel.title.is_empty() {
            6.0
        } else {
            label_size + 14.0
        };
        Self {
            panel,
            x,
            y,
            bar,
            height,
            left,
            right,
            above,
            below,
            width: column_width,
        }
    }

    /// Moves the axes to the sides of a rectangle. Their ticks still fit, because columns only
    /// become slightly narrower.
    fn place(&mut self, rect: Rect) {
        let right = rect.left + rect.width;
        let bottom = rect.top + rect.height;
        self.x = PlacedAxis::new(&self.panel.x, &self.panel.marks, false, rect.width);
        self.x.move_to(rect.left, right);
        self.y.move_to(bottom, rect.top);
        if let Some(bar) = &mut self.bar {
            bar.move_to(bottom, rect.top);
        }
    }

    /// The rectangle between the axes.
    fn rect(&self) -> Rect {
        Rect {
            left: self.x.from,
            top: self.y.to,
            width: self.x.to - self.x.from,
            height: self.y.from - self.y.to,
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        let rect = self.rect();
        let right = self.x.to;
        let bottom = self.y.from;
        let max_depth = self.left - EDGE - f64::from(LABEL_SIZE) - 23.0;
        let depth = max_depth.min(self.y.depth(true));
        self.x
            .draw_horizontal(canvas, bottom, rect.top, &self.panel.x.label);
        self.y
            .draw_vertical(canvas, rect.left, right, &self.panel.y.label, depth);

        for mark in &self.panel.marks {
            marks::draw_below(canvas, mark, &self.x, &self.y);
        }
        for mark in &self.panel.marks {
            marks::draw(canvas, mark, &self.x, &self.y);
        }
        canvas.rect(rect, None, Some(line(INK, 1.5)));

        let values = extent(&self.panel.marks, true, self.panel.y.scale);
        if values.iter().all(|value| !value.is_finite()) {
            let middle = xy((rect.left + right) / 2.0, (rect.top + bottom) / 2.0);
            let font = Font::new(LABEL_SIZE, Align::Middle);
            canvas.text(middle, "no finite value", font);
        }
        self.draw_title(canvas);
        self.draw_bar(canvas);
    }

    /// Draws the title, centred over the axes as far as the edges allow it.
    fn draw_title(&self, canvas: &mut Canvas) {
        if self.panel.title.is_empty() {
            return;
        }
        let size = f64::from(LABEL_SIZE);
        let title = fit(&self.panel.title, size, self.width - 2.0 * EDGE);
        let half = width(&title, size) / 2.0;
        let begin = self.x.from - self.left;
        let middle = ((self.x.from + self.x.to) / 2.0)
            .min(begin + self.width - EDGE - half)
            .max(begin + EDGE + half);
        let font = Font::new(LABEL_SIZE, Align::Middle);
        canvas.text(xy(middle, self.y.to - 12.0), &title, font);
    }

    fn draw_bar(&self, canvas: &mut Canvas) {
        let (Some(bar), Some(map)) = (&self.bar, HeatMap::of(self.panel)) else {
            return;
        };
        let panel = self.rect();
        let rect = Rect {
            left: self.x.to + BAR_ROOM - BAR_WIDTH,
            width: BAR_WIDTH,
            ..panel
        };

        let step = rect.height / BAR_STEPS as f64;
        for number in 0..BAR_STEPS {
            let value = bar.value(number as f64 / (BAR_STEPS - 1) as f64);
            let value = value.clamp(map.low, map.high);
            let colour = heat(goodness(value, map.low, map.high, map.lower_is_better));
            let stripe = Rect {
                top: rect.top + rect.height - step * (number + 1) as f64,
                height: step + 0.5,
                ..rect
            };
            canvas.rect(stripe, Some(colour), None);
        }

        canvas.rect(rect, None, Some(line(INK, 1.2)));
        bar.draw_names(canvas, rect.left + rect.width, TICK_SIZE);
    }
}

/// The cells of a panel that is a heat map.
struct HeatMap {
    rows: usize,
    low: f64,
    high: f64,
    lower_is_better: bool,
}

impl HeatMap {
    fn of(panel: &Panel) -> Option<Self> {
        panel.marks.iter().find_map(|mark| match mark {
            Mark::Cells {
                rows,
                span,
                lower_is_better,
                ..
            } => Some(Self {
                rows: rows.len(),
                low: span.0,
                high: span.1,
                lower_is_better: *lower_is_better,
            }),
            _ => None,
        })
    }

    fn height(&self) -> f64 {
        let rows = self.rows as f64;
        let max = PANEL_HEIGHT.max(rows * MIN_MAP_ROW_HEIGHT);
        (rows * MAP_ROW_HEIGHT).clamp(MIN_MAP_HEIGHT, max)
    }

    /// The axis of the colour bar; None if all cells have the same value.
    fn bar_axis(&self, height: f64) -> Option<PlacedAxis> {
        let axis = Axis {
            label: String::new(),
            scale: Scale::Linear,
            ticks: None,
            reach: Vec::new(),
        };
        (self.low < self.high).then(|| PlacedAxis::exact(&axis, self.low, self.high, height))
    }
}
