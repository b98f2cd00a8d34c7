//! The report as one self-contained HTML page: tables, figures, selected points, failures,
//! provenance. The layout is in `report.html`; askama escapes everything that came from a sweep
//! file or a program.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::audit::AuditRow;
use super::audit_files::{ABOUT_TESTS, HEADINGS, about_claims, cells};
use super::figures::FigureFile;
use super::page::Page;
use super::table::Table;

/// Writes the page.
///
/// # Errors
/// `askama::Error`, should a value refuse to be formatted.
pub fn html_page(page: &Page<'_>) -> Result<String, askama::Error> {
    let grids = page.tables.iter().map(|table| Grid::of(table)).collect();
    let compared = page.audit.map_or(Vec::new(), |audit| {
        audit.rows.iter().map(AuditCells::of).collect()
    });

    // Each drawing is an image, so that identifiers in one cannot clash with those in another.
    let figures = page
        .figures
        .iter()
        .map(|figure| (figure, STANDARD.encode(&figure.svg)))
        .collect();
    Layout {
        page,
        grids,
        compared,
        about_claims: about_claims(),
        figures,
    }
    .render()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Layout<'a> {
    page: &'a Page<'a>,
    grids: Vec<Grid<'a>>,
    compared: Vec<AuditCells>,
    about_claims: String,
    /// Each with its drawing in base 64.
    figures: Vec<(&'a FigureFile, String)>,
}

/// A table as text.
struct Grid<'a> {
    table: &'a Table,
    headings: Vec<String>,
    rows: Vec<(&'a str, Vec<String>)>,
}

impl<'a> Grid<'a> {
    fn of(table: &'a Table) -> Self {
        let rows = table
            .rows
            .iter()
            .map(|row| (row.label.as_str(), table.texts(row).collect()))
            .collect();
        Self {
            table,
            headings: table.headings(),
            rows,
        }
    }
}

/// A row of the comparison with published values, in the order of `HEADINGS`.
struct AuditCells {
    metric: String,
    arm: String,
    values: Vec<String>,
}

impl AuditCells {
    fn of(row: &AuditRow) -> Self {
        let [metric, arm, values @ ..] = cells(row);
        Self {
            metric,
            arm,
            values: values.into(),
        }
    }
}
