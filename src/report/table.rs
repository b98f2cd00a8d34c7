//! A table before it is written: rows of values, ours and published side by side. The writers of
//! the formats (`text`, `markdown`, `latex`, `csv_files`) each turn this into their own.

use super::cell::CellValue;

/// A table of values.
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
    /// Remarks below the table.
    pub notes: Vec<String>,
}

/// One metric: a column of measured values and, where anything was published, one of published
/// values.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The metric's name.
    pub metric: String,
    /// Heading.
    pub heading: String,
    /// Whether there is a column of published values beside it.
    pub published: bool,
}

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The arm's name in the sweep file.
    pub arm: String,
    /// The arm's label.
    pub label: String,
    /// One cell for each column.
    pub cells: Vec<Cell>,
}

/// The result of one arm in one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The measured value, if there is a result.
    pub ours: Option<CellValue>,
    /// The published value, if there is one.
    pub published: Option<CellValue>,
}

/// The text of a cell without a value.
pub(crate) const EMPTY: &str = "—";

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

    /// A row's values from left to right, in step with `headings` after the corner.
    pub fn values<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = Option<&'a CellValue>> {
        self.columns
            .iter()
            .zip(&row.cells)
            .flat_map(|(column, cell)| {
                let published = column.published.then_some(cell.published.as_ref());
                std::iter::once(cell.ours.as_ref()).chain(published)
            })
    }

    /// The texts of a row's values, in step with `values`.
    pub fn texts<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = String> {
        self.values(row)
            .map(|value| value.map_or(EMPTY.to_owned(), CellValue::plain))
    }
}
