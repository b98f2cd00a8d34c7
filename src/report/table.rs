//! A table before it is written: rows of figures, ours and published side by side. The writers of
//! the formats (`text`, `markdown`, `latex`, `csv_files`) each turn this into their own.

use super::figure::Figure;

/// A table of figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Short name, e.g. `Table I`.
    pub title: String,
    /// What it shows.
    pub caption: String,
    /// Heading of the column of row labels.
    pub corner: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What a reader must know, below the table.
    pub notes: Vec<String>,
}

/// One metric: a column of ours and, where anything was published, one of published figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The metric's name.
    pub metric: String,
    /// Heading.
    pub heading: String,
    /// Whether a column of published figures stands beside it.
    pub published: bool,
}

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The arm's name in the spec.
    pub arm: String,
    /// The arm's label.
    pub label: String,
    /// One cell for each column.
    pub cells: Vec<Cell>,
}

/// What one arm reached in one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Ours; None: there is no result.
    pub ours: Option<Figure>,
    /// The published one.
    pub published: Option<Figure>,
}

/// What stands in a cell that has no figure.
pub const EMPTY: &str = "—";

impl Table {
    /// The headings from left to right, the corner first.
    pub fn headings(&self) -> Vec<String> {
        let mut headings = vec![self.corner.clone()];
        for column in &self.columns {
            headings.push(column.heading.clone());
            if column.published {
                headings.push("published".to_owned());
            }
        }
        headings
    }

    /// A row's figures from left to right, in step with `headings` after the corner.
    pub fn figures<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = Option<&'a Figure>> {
        self.columns
            .iter()
            .zip(&row.cells)
            .flat_map(|(column, cell)| {
                std::iter::once(cell.ours.as_ref())
                    .chain(column.published.then_some(cell.published.as_ref()))
            })
    }
}
