//! The coordinator's program: runs the command line, and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pentagrid::cli::run(std::env::args_os())
}
