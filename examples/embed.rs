//! Runs a sweep from a program of your own, without the command line: `embed SWEEP.yaml`. Prints the
//! tables, and the warnings as they come.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;

use pentagrid::sweep::{self, Finished, Observer, Request, RunOptions};

/// Passes warnings on, and nothing else.
struct Warnings;

impl Observer for Warnings {
    fn warn(&self, line: &str) {
        // There is no other place to report that stderr is gone.
        let _ = writeln!(io::stderr(), "warning: {line}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .ok_or("usage: embed SWEEP.yaml")?,
    );
    let file = sweep::read(&path, None)?;
    let request = Request {
        dir: sweep::default_run_dir(&file.spec),
        folder: sweep::folder()?,
        options: &RunOptions::default(),
        file,
    };

    match sweep::run(request, &Warnings)? {
        Finished::Reported { report, .. } => write!(io::stdout(), "{}", report.text)?,
        Finished::Interrupted { .. } => writeln!(io::stdout(), "interrupted; run it again")?,
    }
    Ok(())
}
