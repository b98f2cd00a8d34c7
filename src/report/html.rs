//! The report as one HTML page that needs nothing else: tables, figures, selected points, failures, provenance. The
//! layout is in `report.html`; askama escapes everything that came from a spec or a program.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::audit::{Audit, AuditRow};
use super::audit_files::{ABOUT_TESTS, HEADINGS, about_claims, cells};
use super::figure::Figure;
use super::provenance::Provenance;
use super::summary::Selected;
use super::table::{EMPTY, Table};
use crate::protocol::FailureKind;
use crate::spec::Spec;

/// What the page shows.
pub struct Page<'a> {
    /// The sweep.
    pub spec: &'a Spec,
    /// What a reader must know before trusting the figures.
    pub notes: &'a [String],
    /// Tables I, II and so on.
    pub tables: &'a [&'a Table],
    /// The selected point of each arm.
    pub selected: &'a [Selected],
    /// What became of published figures and claims, if the spec has any.
    pub audit: Option<&'a Audit>,
    /// The figures, in their order.
    pub pictures: &'a [Picture<'a>],
    /// Trials that failed for good: id, kind, message.
    pub failures: &'a [(String, FailureKind, String)],
    /// Where the figures come from.
    pub provenance: &'a Provenance,
}

/// A figure on the page.
pub struct Picture<'a> {
    /// Its file name without the ending, also its anchor.
    pub name: &'a str,
    /// Short name, e.g. `Figure 1`.
    pub title: &'a str,
    /// What it shows.
    pub caption: &'a str,
    /// The drawing, a whole SVG document.
    pub svg: &'a str,
}

impl Page<'_> {
    /// The page.
    ///
    /// # Errors
    /// `askama::Error`, should a value refuse to be formatted.
    pub fn render(&self) -> Result<String, askama::Error> {
        let grids = self.tables.iter().map(|table| Grid::of(table)).collect();
        // Each drawing as an image of its own: identifiers inside of one cannot meet those of another.
        let drawings = self.pictures.iter().map(|picture| STANDARD.encode(picture.svg)).collect::<Vec<_>>();
        let pictures = self.pictures.iter().zip(drawings.iter().map(String::as_str)).collect();
        let compared = self.audit.map_or(Vec::new(), |audit| audit.rows.iter().map(AuditCells::of).collect());
        Layout { page: self, grids, compared, about_claims: about_claims(), pictures }.render()
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Layout<'a> {
    page: &'a Page<'a>,
    grids: Vec<Grid<'a>>,
    compared: Vec<AuditCells>,
    about_claims: String,
    /// Each with its drawing in base 64.
    pictures: Vec<(&'a Picture<'a>, &'a str)>,
}

/// A table as text.
struct Grid<'a> {
    table: &'a Table,
    headings: Vec<String>,
    rows: Vec<(&'a str, Vec<String>)>,
}

impl<'a> Grid<'a> {
    fn of(table: &'a Table) -> Self {
        let cells = |row| table.figures(row).map(|figure| figure.map_or(EMPTY.to_owned(), Figure::plain)).collect();
        let rows = table.rows.iter().map(|row| (row.label.as_str(), cells(row))).collect();
        Self { table, headings: table.headings(), rows }
    }
}

/// A row of the comparison with published figures: metric, arm, and the figures of `HEADINGS` after them.
struct AuditCells {
    metric: String,
    arm: String,
    figures: Vec<String>,
}

impl AuditCells {
    fn of(row: &AuditRow) -> Self {
        let [metric, arm, figures @ ..] = cells(row);
        Self { metric, arm, figures: figures.into() }
    }
}
