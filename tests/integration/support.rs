//! The `Test` builder: a folder of its own, a sweep file in it, and the program run there.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};
use rusqlite::Connection;

/// Nothing here takes so long: only a test that hangs meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Counts the trials of a ledger that have a result.
pub(crate) const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";

/// A folder to run the program in.
pub(crate) struct Test {
    dir: tempfile::TempDir,
}

/// What a run of the program gave.
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Test {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With a sweep file `sweep.yaml`; `WORKER` in it stands for the fake worker's path.
    pub(crate) fn with_spec(spec: &str) -> Self {
        let test = Self::new();
        test.write_spec(spec);
        test
    }

    pub(crate) fn write_spec(&self, spec: &str) {
        // The tests of the built-in task do without the fake worker, and do not ask for it.
        let spec = if spec.contains("WORKER") {
            spec.replace("WORKER", &fake_worker().display().to_string())
        } else {
            spec.to_owned()
        };
        std::fs::write(self.path("sweep.yaml"), spec).unwrap();
    }

    /// Writes the program `train.sh`.
    pub(crate) fn write_script(&self, text: &str) {
        let path = self.path("train.sh");
        std::fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::pentagrid());
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_remove("PENTAGRID_LOG")
            .env_remove("PENTAGRID_TRAINER");
        command
            .env_remove("PENTAGRID_SLURM")
            .env_remove("PENTAGRID_SSHD");
        command
            .env("RUST_BACKTRACE", "0")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        heed_signals(&mut command);
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: self.tidy(&String::from_utf8(output.stdout).unwrap()),
            stderr: self.tidy(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Starts the program in the background, its output in files.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let file = |name: &str| std::fs::File::create(self.path(name)).unwrap();
        self.command(arguments)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap()
    }

    /// What the program that was started last has printed on stderr.
    pub(crate) fn stderr(&self) -> String {
        self.tidy(&std::fs::read_to_string(self.path("stderr")).unwrap())
    }

    /// Output without what differs from run to run.
    fn tidy(&self, text: &str) -> String {
        let text = text.replace(&fake_worker_path().display().to_string(), "[WORKER]");
        text.replace(&self.dir.path().display().to_string(), "[DIR]")
    }

    pub(crate) fn ledger(&self, run: &str) -> Connection {
        Connection::open(self.path(run).join("ledger.sqlite")).unwrap()
    }

    /// One number from a ledger.
    pub(crate) fn count(&self, run: &str, sql: &str) -> i64 {
        self.ledger(run)
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }

    /// One text from a ledger.
    pub(crate) fn text(&self, run: &str, sql: &str) -> String {
        self.ledger(run)
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }

    /// Waits until a query on a ledger gives at least so much.
    pub(crate) fn wait_for(&self, run: &str, sql: &str, least: i64) {
        let path = self.path(run).join("ledger.sqlite");
        let ask = || -> Option<i64> {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            Connection::open_with_flags(&path, flags)
                .ok()?
                .query_row(sql, [], |row| row.get(0))
                .ok()
        };
        wait_until(&format!("{sql} gives {least}"), || {
            ask().is_some_and(|count| count >= least)
        });
    }

    /// Names of the files in the report's folder of figures.
    pub(crate) fn figures(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(dir).join("figures")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The report's tables, figures and data files, wall-clock columns left out.
    pub(crate) fn report(&self, dir: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for name in [
            "table1.txt",
            "table1.md",
            "table1.tex",
            "table1.csv",
            "points.csv",
            "trials.csv",
            "history.csv",
        ] {
            let text = std::fs::read_to_string(self.path(dir).join(name))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            files.insert(
                name.to_owned(),
                if name.ends_with(".csv") {
                    without_wall_clock(&text)
                } else {
                    text
                },
            );
        }
        for name in self
            .figures(dir)
            .into_iter()
            .filter(|name| !name.ends_with(".png"))
        {
            let text = std::fs::read_to_string(self.path(dir).join("figures").join(&name)).unwrap();
            files.insert(name, text);
        }
        files
    }
}

/// CSV without columns that measure time.
fn without_wall_clock(text: &str) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let keep: Vec<bool> = rows[0]
        .iter()
        .map(|heading| !heading.contains("seconds"))
        .collect();
    let kept = |row: &Vec<&str>| {
        row.iter()
            .zip(&keep)
            .filter(|(_, keep)| **keep)
            .map(|(cell, _)| *cell)
            .collect::<Vec<_>>()
            .join(",")
    };
    rows.iter().map(kept).collect::<Vec<_>>().join("\n")
}

/// However the tests were started (`nohup`, `&` in a script), the program does not ignore what they
/// send.
pub(crate) fn heed_signals(command: &mut Command) {
    // SAFETY: between fork and exec only signals get their usual effects, which runs none of our code.
    unsafe { command.pre_exec(listen_to_signals) };
}

fn listen_to_signals() -> std::io::Result<()> {
    for which in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGTSTP,
    ] {
        // SAFETY: the default disposition is always valid.
        unsafe { signal(which, SigHandler::SigDfl) }?;
    }
    Ok(())
}

impl Ran {
    /// Everything, for a snapshot.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit code {:?}\n--- stdout\n{}--- stderr\n{}",
            self.code.unwrap_or(-1),
            self.stdout,
            self.stderr
        )
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says loudly that something is not here, so that a test is skipped; fails where it is expected.
pub(crate) fn skip(what: &str, variable: &str, packages: &str) {
    let expected = std::env::var(variable).is_ok_and(|value| value == "expected");
    assert!(
        !expected,
        "{what} is not here, but {variable} says that it is expected (Debian: {packages})"
    );
    say_skipped(&format!(
        "{what} (Debian: {packages}; set {variable}=expected to make this an error)"
    ));
}

/// Says loudly what is not here, so that a test is skipped.
pub(crate) fn say_skipped(what: &str) {
    // Not by `eprintln!`: what a test prints so is shown only when it fails.
    let said = format!("SKIPPED: not here: {what}\n");
    drop(std::io::Write::write_all(
        &mut std::io::stderr(),
        said.as_bytes(),
    ));
}

/// The scripted worker, an example of this package.
pub(crate) fn fake_worker() -> PathBuf {
    let path = fake_worker_path();
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build --examples`, or `cargo test` without --test",
        path.display()
    );
    path
}

fn fake_worker_path() -> PathBuf {
    crate::pentagrid()
        .with_file_name("examples")
        .join("fake_worker")
}

/// Figures that differ from run to run, for insta.
pub(crate) fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "[TIME]"),
        (r"after \d+\.\d s", "after [DURATION]"),
        (r"\d+\.\d s(, about [^\n]* left)?", "[DURATION]"),
        (r"about \d[^\n]* left", "about [DURATION] left"),
        (
            r"process \d+ on \S+, since",
            "process [PID] on [HOST], since",
        ),
        (r"kill \d+` on \S+\)", "kill [PID]` on [HOST])"),
        (r"worker-\d+\.log", "worker-[SLOT].log"),
        (r"bytes \d+ to \d+", "bytes [BEGIN] to [END]"),
    ]
}

/// Three arms that run in a moment; the best points are x = 3 and x = 5.
pub(crate) const TOY: &str = "
name: toy
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 2, final: 3}
parameters: {epochs: {value: 3}}
arms:
  near: {label: Near, parameters: {x: {values: [1, 2, 3]}}}
  far: {label: Far & away, parameters: {x: {values: [5, 8]}, deep: {parameters: {a: {values: [0.5, 1]}}}}}
published:
  near: {score: {mean: 99.5, std: 0.1, n: 10}}
";
