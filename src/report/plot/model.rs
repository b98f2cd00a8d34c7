//! A chart: panels of axes and marks, and one legend for all of them. Plain values in the units of
//! the data; `figures` makes them, `layout` draws them.

use super::style::Style;

/// A chart: one picture.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Heading of the whole chart; may be empty.
    pub title: String,
    /// Its panels, row by row.
    pub panels: Vec<Panel>,
    /// Number of panels side by side: 1 for one column of a paper, 2 for both.
    pub columns: usize,
    /// Whether each panel is twice as wide.
    pub wide: bool,
    /// The legend.
    pub legend: Legend,
}

/// Explains colours, lines and markers, below the panels.
pub type Legend = Vec<LegendEntry>;

/// One entry of a legend.
#[derive(Clone, Debug)]
pub struct LegendEntry {
    /// Its text.
    pub label: String,
    /// The style of its marks.
    pub style: Style,
    /// Whether its marks have a band.
    pub band: bool,
}

/// One pair of axes with marks.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Heading; may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The data; later marks are drawn over earlier ones.
    pub marks: Vec<Mark>,
}

/// An axis. Its range comes from the marks.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// How numbers are placed.
    pub scale: Scale,
    /// Ticks with their names; None for round numbers.
    pub ticks: Option<Vec<(f64, String)>>,
    /// Further values that its range must include, so that panels can share one.
    pub reach: Vec<f64>,
}

/// How numbers are placed on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; numbers that are not positive have no place.
    Log,
    /// Whole numbers, with no ticks between them.
    Whole,
    /// Slots of equal width around 0, 1, 2 and so on, one for each tick.
    Slots,
}

/// A value with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Its place.
    pub x: f64,
    /// The mean.
    pub mean: f64,
    /// The lower end; equal to the mean where there is no spread.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Spread {
    /// The spread of a mean with its deviation, if there is one.
    pub fn new(x: f64, mean: f64, std: Option<f64>) -> Self {
        let std = std.filter(|std| std.is_finite()).unwrap_or(0.0);
        Self {
            x,
            mean,
            low: mean - std,
            high: mean + std,
        }
    }
}

/// Drawn data. Values that are not finite leave a gap.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Means joined by a line, with a band between the ends of their spreads.
    Curve {
        /// From left to right.
        points: Vec<Spread>,
        /// Its style.
        style: Style,
    },
    /// Means with bars between the ends of their spreads, joined by a line.
    Bars {
        /// From left to right.
        points: Vec<Spread>,
        /// Its style.
        style: Style,
        /// Moves them sideways, in widths of a marker, so that bars at one place stay apart.
        shift: f64,
    },
    /// One slot's distribution: an outline of its density, a box from quartile to quartile, dots if
    /// the values are few.
    Cloud {
        /// The slot.
        x: f64,
        /// All values.
        values: Vec<f64>,
        /// Its style.
        style: Style,
    },
    /// A highlighted value: a diamond with a white rim.
    Star {
        /// The slot.
        x: f64,
        /// The value.
        y: f64,
    },
    /// A matrix of coloured and annotated cells, on slots in both directions.
    Cells {
        /// Values, one row for each slot of y, from the bottom.
        rows: Vec<Vec<f64>>,
        /// Values as text.
        texts: Vec<Vec<String>>,
        /// The values of the first and the last colour.
        span: (f64, f64),
        /// Column and row of the framed cell.
        best: Option<(usize, usize)>,
        /// Whether the colours run the other way, because lower is better.
        lower_is_better: bool,
    },
}
