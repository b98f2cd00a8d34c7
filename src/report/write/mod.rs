//! Puts reports on the disk: `sweep_report` writes all of one, `figures` and `audit` their parts,
//! `folder` each file whole or not at all, `output_dirs` says where. The rest of `report` is pure.

mod audit;
mod error;
mod figures;
mod folder;
mod output_dirs;
mod sweep_report;

pub use error::ReportError;
pub use folder::{Folder, WriteError};
pub use output_dirs::{
    default_export_dir, default_report_dir, mark_run_directory, refuse_other_run,
};
pub use sweep_report::{Source, WrittenReport, write_history_csv, write_report};
