//! The coordinator's program: runs the command line, and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    limit_polars_threads();
    pentagrid::cli::run(std::env::args_os())
}

/// Keeps Polars from starting a thread on every core: the cores are for training, and pentagrid's
/// tables are small.
fn limit_polars_threads() {
    if std::env::var_os("POLARS_MAX_THREADS").is_none() {
        // SAFETY: called at the very beginning of `main`, before any other thread exists.
        unsafe { std::env::set_var("POLARS_MAX_THREADS", "1") };
    }
}
