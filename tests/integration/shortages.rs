//! What the machine lacks for a while. No trial is to blame for that: what cannot be started is put
//! back, and the same command resumes the sweep once the shortage is over.

mod limits; // inodes, processes, threads, sizes of files
mod missing_files; // the program, its interpreter, its folder
mod open_files; // the limit of open files

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support::{DONE, Test};

/// A sweep of 32 trials, each run by these words.
fn spec(command: &str) -> String {
    let values = (1..=32)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "name: toy\n{command}\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\n\
         parameters: {{lr: {{values: [{values}]}}}}\n"
    )
}

const PROGRAM: &str = "command: [./train.sh, '${args}']";

/// Reports in the way that needs neither a further process nor a further thread.
const REPORT: &str = r#"echo '{"loss": 0.5}' >> "$PENTAGRID_METRICS""#;

const NOT_DONE: &str = "SELECT count(*) FROM attempt WHERE outcome NOT IN ('done', 'interrupted')";

/// Runs the program under limits of the shell (`ulimit`), as another user where `user` says so.
fn under(test: &Test, limits: &str, arguments: &[&str], user: Option<u32>) -> Output {
    let own = test.command(arguments);
    let program = match user {
        // The program may lie where only root goes.
        Some(_) => copy_of_the_program(test),
        None => PathBuf::from(own.get_program()),
    };
    let mut limited = Command::new("bash");
    limited
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(arguments);
    limited
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    limited
        .env_remove("PENTAGRID_LOG")
        .env("PENTAGRID_SHORTAGE", "2");
    if let Some(user) = user {
        limited.uid(user).gid(user);
    }
    limited.output().unwrap()
}

fn copy_of_the_program(test: &Test) -> PathBuf {
    let (program, original) = (test.path("program"), env!("CARGO_BIN_EXE_pentagrid"));
    // One that is there may be the original itself, and is not to be written over.
    if !program.exists() {
        std::fs::hard_link(original, &program)
            .or_else(|_| std::fs::copy(original, &program).map(drop))
            .unwrap();
    }
    program
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn all_done_at_the_first_attempt(test: &Test, run: &str) {
    assert_eq!((test.count(run, DONE), test.count(run, NOT_DONE)), (32, 0));
}
