//! What a paper prints: Tables I and II as text, Markdown, LaTeX and CSV (`tables` makes them, one
//! writer a format), figures (`figures` makes them, `plot` draws them), the selected points, the
//! data behind all of it, the audit against published figures and claims, provenance, and pages
//! with everything. All but `write`, which puts reports on the disk, is pure: it writes to what it is
//! handed.

mod audit;
mod audit_files;
mod claims;
mod csv_files;
mod figure;
pub mod figures;
mod html;
mod latex;
mod markdown;
mod page;
pub mod plot;
mod protocol;
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
pub use csv_files::{CsvError, write_history, write_points, write_table, write_trials};
pub use figure::{Figure, mean_std};
pub use html::html_page;
pub use latex::{latex_document, latex_table};
pub use markdown::markdown_table;
pub use page::Page;
pub use protocol::{is_as_run, protocol_effects};
pub use provenance::{Provenance, provenance};
pub use selection::not_selected;
pub use summary::{Selected, notes, selected, summary_markdown};
pub use table::{Cell, Column, Row, Table};
pub use tables::{device_in_words, table_one, table_two};
pub use text::{lay_out, text_table};
pub use versions::{ShownVersion, note_on_selection, note_on_versions, shown_versions};
