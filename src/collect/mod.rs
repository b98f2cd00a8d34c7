//! Metrics out of the files that scripts write anyway: bytes in, rows of history and final values
//! out. Each parser takes a file piece by piece as it grows, in bounded memory; one that is damaged
//! is refused with the place of the damage. Pure: `schedule/launch/program` reads
//! the files.
//!
//! * `log`: a file of any format; `table` makes rows of what it says.
//! * `wandb`, `tensorboard`, `csv_table`, `json_table`, `output`: the formats.
//! * `json_lines`: pentagrid's own.
//! * `wire`: protocol buffers; `literal`: JSON as loggers write it; `damage`: what can be wrong.

mod csv_table;
mod damage;
mod json_lines;
mod json_table;
mod literal;
mod log;
mod output;
mod table;
mod tensorboard;
mod wandb;
mod wire;

pub use damage::{Damage, Flaw, WireError};
pub use json_lines::{MetricsError, MetricsFile, quoted};
pub use literal::{ObjectError, object};
pub use log::{Format, LogFile};
pub use output::Pattern;
pub use table::{Line, Rows};
pub use wandb::wandb_config;
