//! Tables for the terminal.

use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table as Grid, TableStyle};

use super::figure::Figure;
use super::table::{EMPTY, Table};
use crate::printable::one_line;

/// Three rules and no others, as `booktabs` draws them.
const BOOKTABS: TableStyle = TableStyle::new()
    .top_border(rule('━'))
    .header_separator(rule('─'))
    .bottom_border(rule('━'));

const fn rule(letter: char) -> LineStyle {
    LineStyle::none().fill(letter).junction(letter)
}

/// The table as text, title and caption above, notes below. No line is wrapped: a table is as wide
/// as it is.
pub fn text_table(table: &Table) -> String {
    let headings = table.headings();
    let rows = table.rows.iter().map(|row| {
        let figures = table
            .figures(row)
            .map(|figure| figure.map_or(EMPTY.to_owned(), Figure::plain));
        std::iter::once(row.label.clone()).chain(figures).collect()
    });
    let figures = 1..headings.len();
    let title = format!("{}: {}", table.title, table.caption);
    let mut out = format!(
        "{}\n{}\n",
        one_line(&title),
        lay_out(headings, rows, figures)
    );
    for note in &table.notes {
        out.push_str(&format!("  {}\n", one_line(note)));
    }
    out
}

/// Cells in columns under headings, with rules above and below; the columns of figures aligned to
/// the right.
pub fn lay_out(
    headings: Vec<String>,
    rows: impl IntoIterator<Item = Vec<String>>,
    figures: Range<usize>,
) -> String {
    let mut grid = Grid::new();
    grid.load_style(BOOKTABS)
        .set_content_arrangement(ContentArrangement::Disabled);
    // A row is one line: names and labels are what files and programs say.
    let cells = |row: Vec<String>| {
        row.iter()
            .map(|cell| one_line(cell).into_owned())
            .collect::<Vec<_>>()
    };
    grid.set_header(cells(headings));
    grid.add_rows(rows.into_iter().map(cells));
    for column in figures {
        if let Some(column) = grid.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid.trim_fmt()
}
