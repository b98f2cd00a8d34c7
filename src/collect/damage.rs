//! What is wrong with a file of metrics, and where.

use super::literal::ObjectError;

/// Why a file of metrics cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Damage {
    /// The byte of the file at which the damaged part begins.
    pub offset: u64,
    /// What is wrong there.
    pub what: Flaw,
}

/// What can be wrong with a file of metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It does not begin as such files do.
    #[error("it is not {0}: it begins otherwise")]
    Foreign(&'static str),
    /// A checksum differs.
    #[error("the checksum of a record is wrong")]
    Checksum,
    /// The parts of a record do not fit together.
    #[error("the parts of a record do not fit together")]
    Framing,
    /// A record is not what it should be.
    #[error("a record cannot be decoded: {0}")]
    Record(WireError),
    /// Its last record is not complete.
    #[error("the last record is cut off")]
    CutOff,
    /// A part of it is larger than is read.
    #[error("a part is larger than {0} bytes")]
    TooLarge(usize),
    /// It has too many names.
    #[error("it has more than {0} names of metrics")]
    TooManyNames(usize),
    /// A row of a table has more cells than the table has columns.
    #[error("line {line} has {cells} cells, and the table {columns} columns")]
    TooManyCells {
        /// The number of the line.
        line: u64,
        /// Number of its cells.
        cells: usize,
        /// Number of columns.
        columns: usize,
    },
    /// It is not a table as the `csv` crate reads it.
    #[error("line {0} is not UTF-8 text or has a quote that does not end")]
    NotCsv(u64),
    /// It is not JSON.
    #[error("it {0}")]
    NotJson(ObjectError),
    /// It is JSON of another shape.
    #[error("it has no {0}")]
    Lacks(&'static str),
}

/// Why bytes are not a message of protocol buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It ends within a field.
    #[error("it ends within a field")]
    Short,
    /// A number has more than ten bytes.
    #[error("a number has too many bytes")]
    LongNumber,
    /// A field has a type that is not used any more, or none.
    #[error("a field of an unknown type")]
    UnknownType,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
}

impl Flaw {
    /// This flaw at a byte of the file.
    pub fn at(self, offset: u64) -> Damage {
        Damage { offset, what: self }
    }
}
