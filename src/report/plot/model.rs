//! What a chart is: panels of axes and marks, and one legend for all of them. Plain data, in the
//! units of the data; `figures` fills it, `layout` draws it.

use super::style::Style;

/// A chart: one picture.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Stands above all of it; may be empty.
    pub title: String,
    /// Its panels, row by row.
    pub panels: Vec<Panel>,
    /// How many panels stand side by side: 1 for one column of a paper, 2 for both.
    pub columns: usize,
    /// Whether each panel is twice as wide.
    pub wide: bool,
    /// What colours and lines mean.
    pub legend: Legend,
}

/// Explains colours, lines and markers, below the panels.
pub type Legend = Vec<LegendEntry>;

/// One entry of a legend.
#[derive(Clone, Debug)]
pub struct LegendEntry {
    /// In words.
    pub label: String,
    /// How its marks look.
    pub style: Style,
    /// Whether its marks have a band.
    pub band: bool,
}

/// One pair of axes with marks.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Stands above it; may be empty.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The data; later marks are drawn over earlier ones.
    pub marks: Vec<Mark>,
}

/// An axis. Its range comes from the marks.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// How numbers become places.
    pub scale: Scale,
    /// Ticks with their names; None: round numbers.
    pub ticks: Option<Vec<(f64, String)>>,
    /// Values that its range must hold beside those of the marks, so that panels can share one.
    pub reach: Vec<f64>,
}

/// How numbers become places on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; what is not positive has no place.
    Log,
    /// Whole numbers, with no ticks between them.
    Whole,
    /// Slots of equal width around 0, 1, 2 and so on, one a tick.
    Slots,
}

/// A value with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Where it stands.
    pub x: f64,
    /// The middle.
    pub mean: f64,
    /// The lower end; equal to the middle where there is no spread.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Spread {
    /// A mean and a deviation, if there is one.
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

/// Data. Whatever is not finite has no place and leaves a gap.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Means joined by a line, with a band between the ends of their spreads.
    Curve {
        /// From left to right.
        points: Vec<Spread>,
        /// How it looks.
        style: Style,
    },
    /// Means with bars between the ends of their spreads, joined by a line.
    Bars {
        /// From left to right.
        points: Vec<Spread>,
        /// How it looks.
        style: Style,
        /// Moves them sideways, in widths of a marker, so that bars at one place stay apart.
        shift: f64,
    },
    /// One slot's distribution: an outline of its density, a box from quartile to quartile, dots
    /// where they are few.
    Cloud {
        /// The slot.
        x: f64,
        /// All values.
        values: Vec<f64>,
        /// How it looks.
        style: Style,
    },
    /// One value that stands out: a diamond with a white rim.
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
        /// Values that the first and the last colour stand for.
        span: (f64, f64),
        /// Column and row of the cell to be framed.
        best: Option<(usize, usize)>,
        /// Whether the colours run the other way, because lower is better.
        lower_is_better: bool,
    },
}
