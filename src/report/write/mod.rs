//! Writes reports to the disk: `sweep_report` writes a whole report, `figures` and `audit` their
//! parts, `folder` each file atomically, and `output_dirs` chooses the folder. The rest of `report`
//! is pure.

mod audit;
mod error;
mod figures;
mod folder;
mod output_dirs;
mod sweep_report;

pub use error::ReportError;
pub use folder::{Folder, WriteError};
pub use output_dirs::{
    check_output_dir, default_export_dir, default_report_dir, mark_run_directory, refuse_other_run,
};
pub use sweep_report::{Source, WrittenReport, write_history_csv, write_report};
