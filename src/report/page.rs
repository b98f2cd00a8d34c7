//! Everything that a report shows on one page, handed to the writers of such pages: `summary`
//! (Markdown) and `html`.

use super::audit::Audit;
use super::figures::FigureFile;
use super::provenance::Provenance;
use super::summary::Selected;
use super::table::Table;
use crate::protocol::FailureKind;
use crate::spec::Spec;

/// A page.
#[derive(Clone, Copy, Debug)]
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
    pub figures: &'a [FigureFile],
    /// Trials that failed for good: id, kind, message.
    pub failures: &'a [(String, FailureKind, String)],
    /// Where it all comes from.
    pub provenance: &'a Provenance,
}
