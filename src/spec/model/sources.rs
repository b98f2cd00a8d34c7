//! Where the metrics of a program come from, beside pentagrid's own metrics file.

use std::fmt;

use crate::spec::command::Piece;

/// A file, a folder, or output that a program's metrics are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsSource {
    /// The runs of W&B in the trial's folder.
    Wandb,
    /// TensorBoard's event files in a folder; None: in the trial's.
    TensorBoard(Option<Vec<Piece>>),
    /// A table with a header.
    Csv(Vec<Piece>),
    /// An object of final values, a list of rows, or JSON lines.
    Json(Vec<Piece>),
    /// The state of Hugging Face's `Trainer` in the trial's folder.
    TrainerState,
    /// What the program prints.
    Output(OutputPattern),
}

/// What is a metric in a line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputPattern {
    /// Pairs of a name and a number.
    Pairs,
    /// The named groups of a regular expression, which is valid.
    Groups(String),
}

/// As the sweep file has it.
impl fmt::Display for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wandb => f.write_str("wandb"),
            Self::TensorBoard(None) => f.write_str("tensorboard"),
            Self::TensorBoard(Some(folder)) => write!(f, "{{tensorboard: {}}}", shown(folder)),
            Self::Csv(file) => write!(f, "{{csv: {}}}", shown(file)),
            Self::Json(file) => write!(f, "{{json: {}}}", shown(file)),
            Self::TrainerState => f.write_str("trainer_state"),
            Self::Output(OutputPattern::Pairs) => f.write_str("{stdout: pairs}"),
            Self::Output(OutputPattern::Groups(pattern)) => write!(f, "{{stdout: {pattern}}}"),
        }
    }
}

fn shown(pieces: &[Piece]) -> String {
    pieces.iter().map(ToString::to_string).collect()
}
