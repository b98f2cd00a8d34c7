//! Everything that a report shows on one page, for the writers of such pages: `summary` (Markdown)
//! and `html`.

use super::audit::Audit;
use super::figures::FigureFile;
use super::provenance::Provenance;
use super::selection::Selected;
use super::table::Table;
use crate::protocol::FailureKind;
use crate::spec::Spec;

/// A page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The sweep.
    pub spec: &'a Spec,
    /// Remarks at the top (`notes`).
    pub notes: &'a [String],
    /// Tables I, II and so on.
    pub tables: &'a [&'a Table],
    /// The selected point of each arm.
    pub selected: &'a [Selected],
    /// The audit, if there are published values or claims.
    pub audit: Option<&'a Audit>,
    /// The figures, in order.
    pub figures: &'a [FigureFile],
    /// Failed trials with no retries left: id, kind, message.
    pub failures: &'a [(String, FailureKind, String)],
    /// The provenance.
    pub provenance: &'a Provenance,
}
