//! Tables for the terminal.

use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

use super::table::Table;
use crate::printable::one_line;

/// Three rules and no others, as `booktabs` draws them.
const BOOKTABS: TableStyle = TableStyle::new()
    .top_border(rule('━'))
    .header_separator(rule('─'))
    .bottom_border(rule('━'));

const fn rule(letter: char) -> LineStyle {
    LineStyle::none().fill(letter).junction(letter)
}

/// Writes a table as text, title and caption above, notes below. Lines are not wrapped.
pub fn text_table(table: &Table) -> String {
    let headings = table.headings();
    let values = 1..headings.len();
    let rows = table.rows.iter().map(|row| {
        std::iter::once(row.label.clone())
            .chain(table.texts(row))
            .collect()
    });
    let grid = lay_out(headings, rows, values);

    let title = format!("{}: {}", table.title, table.caption);
    let mut out = format!("{}\n{grid}\n", one_line(&title));
    for note in &table.notes {
        out.push_str(&format!("  {}\n", one_line(note)));
    }
    out
}

/// Lays out cells in columns under headings, with rules above and below. The columns of `values`
/// are aligned to the right.
pub fn lay_out(
    headings: Vec<String>,
    rows: impl IntoIterator<Item = Vec<String>>,
    values: Range<usize>,
) -> String {
    let mut grid = Grid::new();
    grid.load_style(BOOKTABS)
        .set_content_arrangement(ContentArrangement::Disabled);
    grid.set_header(one_line_each(headings));
    grid.add_rows(rows.into_iter().map(one_line_each));

    for column in values {
        if let Some(column) = grid.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid.trim_fmt()
}

/// Names and labels come from files and programs, and a row must stay one line.
fn one_line_each(row: Vec<String>) -> Vec<String> {
    row.iter().map(|cell| one_line(cell).into_owned()).collect()
}
