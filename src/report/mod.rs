//! What a report contains: Tables I and II as text, Markdown, LaTeX and CSV (`tables` makes
//! them, with one writer for each format), figures (`figures` makes them, `plot` draws them),
//! the selected points, the data behind all of it, the audit against published values and
//! claims, provenance, and pages with everything.
//!
//! Pure, but for `write`, which writes reports to the disk: everything else is returned or
//! written to a given writer.

mod audit;
mod audit_files;
mod cell;
mod claims;
mod csv_files;
pub mod figures;
mod html;
mod latex;
mod markdown;
mod methods;
mod notes;
mod page;
pub mod plot;
mod provenance;
mod selection;
mod summary;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod versions;
pub mod write;

pub use audit::{Audit, AuditRow, AuditedClaim, audit};
pub use audit_files::{audit_markdown, audit_text, claim_lines, write_audit, write_claims};
pub use cell::{CellValue, mean_std};
pub use csv_files::{CsvError, TrialsCsv, write_history, write_points, write_table, write_trials};
pub use html::html_page;
pub use latex::{latex_document, latex_table};
pub use markdown::markdown_table;
pub use methods::{is_as_run, protocol_effects};
pub use notes::notes;
pub use page::Page;
pub use provenance::{Provenance, provenance};
pub use selection::{Selected, not_selected, selected};
pub use summary::summary_markdown;
pub use table::{Cell, Column, Row, Table};
pub use tables::{device_in_words, table_one, table_two};
pub use text::{lay_out, text_table};
pub use versions::{ShownVersion, note_on_selection, note_on_versions, shown_versions};
