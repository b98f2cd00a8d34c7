//! Workers behind a program that carries stdin and stdout: `env` as the smallest, a shell that
//! reads the words once more, ssh to a real sshd on this machine; and the agent by itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::support::{TOY, Test, fake_worker, wait_until};

fn with_launcher(launcher: &str) -> Test {
    Test::with_spec(&format!(
        "{TOY}launcher: {{kind: command, workers: 2, {launcher}}}\n"
    ))
}

#[test]
fn a_worker_behind_a_prefix_is_like_one_without() {
    let local = Test::with_spec(TOY);
    local
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    let agent = env!("CARGO_BIN_EXE_pentagrid");
    for launcher in [
        "prefix: [env, 'A=b c']".to_owned(),
        // As ssh does: one line, which a shell reads.
        "prefix: [sh, -c, 'exec sh -c \"$*\"', line], quote: true".to_owned(),
        format!("prefix: [env], agent: {agent}"),
    ] {
        let test = with_launcher(&launcher);
        test.run(&["run", "sweep.yaml"]).expect(0);
        assert_eq!(
            test.report("reports/toy"),
            local.report("reports/toy"),
            "{launcher}"
        );
        assert_eq!(
            test.count(
                "runs/toy",
                "SELECT count(*) FROM worker WHERE launcher = 'command'"
            ),
            2
        );
        // The launcher is no part of the spec that the ledger compares.
        test.write_spec(TOY);
        let again = test.run(&["run", "sweep.yaml"]).expect(0);
        assert!(
            again
                .stderr
                .contains("the sweep file's text has changed, but not what it runs"),
            "{}",
            again.all()
        );
    }
}

#[test]
fn a_prefix_that_fails_is_told_with_its_log() {
    let test = with_launcher("prefix: [sh, -c, 'echo no route to host >&2; exit 255']");
    let ran = test.run(&["run", "sweep.yaml"]).expect(1);
    assert!(
        ran.stderr.contains("the worker ended with exit code 255"),
        "{}",
        ran.all()
    );
    assert!(ran.stderr.contains("no route to host"), "{}", ran.all());
}

#[test]
fn programs_run_behind_a_prefix() {
    let spec = "
name: toy
command: [sh, -c, 'echo \"$HELLO in $(pwd)\"; echo \"{\\\"loss\\\": $PENTAGRID_SEED}\"']
metric: {name: loss, goal: minimize}
seeds: {tune: 2, final: 1}
parameters: {lr: {values: [1, 2]}}
env: {HELLO: 'hello $there'}
launcher: {kind: command, prefix: [sh, -c, 'exec sh -c \"$*\"', line], quote: true}
";
    let test = Test::with_spec(spec);
    test.run(&["run", "sweep.yaml"]).expect(0);
    let done = test.run(&["trials", "runs/toy", "--csv"]).expect(0).stdout;
    let id = done
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert!(shown.contains("hello $there in [DIR]\n"), "{shown}");
}

/// The metrics come over the file system, the agent's words through the launcher: either may be the
/// slower.
#[test]
fn metrics_may_be_there_before_the_agent_is_heard() {
    let spec = "
name: toy
command: [sh, -c, 'echo \"{\\\"epoch\\\": 1, \\\"loss\\\": $PENTAGRID_SEED}\" >> \"$PENTAGRID_METRICS\"; echo \"{\\\"loss\\\": 1}\"']
metric: {name: loss, goal: minimize}
seeds: {tune: 1, final: 0}
parameters: {lr: {values: [1, 2]}}
launcher: {kind: command, workers: 2, prefix: [sh, -c, '\"$@\" | { sleep 0.5; cat; }', line]}
";
    let test = Test::with_spec(spec);
    test.run(&["run", "sweep.yaml"]).expect(0);
    let outcomes = "SELECT group_concat(concat_ws(': ', outcome, kind, message)) FROM attempt";
    assert_eq!(test.text("runs/toy", outcomes), "done,done");
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM history"), 2);
}

/// An sshd of this test's own.
struct Sshd {
    dir: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    fn start() -> Option<Self> {
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let (Some(sshd), true) = (sshd, Command::new("ssh").arg("-V").output().is_ok()) else {
            super::support::skip("sshd", "PENTAGRID_SSHD", "openssh-server openssh-client");
            return None;
        };
        // Only root's needs that folder.
        drop(std::fs::create_dir_all("/run/sshd"));
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)])
                .status()
                .unwrap();
            assert!(made.success());
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let conf = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n",
            path("host"),
            path("user.pub")
        );
        std::fs::write(path("conf"), conf).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f", &path("conf")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { dir, child, port };
        wait_until("sshd listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(sshd)
    }

    /// The words of `ssh` to it.
    fn prefix(&self) -> String {
        let key = self.dir.path().join("user");
        format!(
            "[ssh, -p, {}, -i, {}, -o, StrictHostKeyChecking=no, -o, UserKnownHostsFile=/dev/null, -o, LogLevel=ERROR, -o, BatchMode=yes, \
             127.0.0.1]",
            self.port,
            key.display()
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn workers_on_the_other_side_of_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let local = Test::with_spec(TOY);
    local
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    let test = with_launcher(&format!("prefix: {}", sshd.prefix()));
    test.run(&["run", "sweep.yaml"]).expect(0);
    assert_eq!(test.report("reports/toy"), local.report("reports/toy"));
}

#[test]
fn a_worker_behind_ssh_goes_with_its_coordinator() {
    let Some(sshd) = Sshd::start() else { return };
    let spec = "
name: toy
worker: [WORKER, --outlive]
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 0}
parameters: {x: {values: [1, 2]}, behaviour: {value: hang}}
";
    let test = Test::with_spec(&format!(
        "{spec}launcher: {{kind: command, prefix: {}, heartbeat: 3s}}\n",
        sshd.prefix()
    ));
    let mut child = test.start(&["run", "sweep.yaml"]);
    // A word of its command line that no other test's worker has.
    let mark = test
        .path("runs/toy")
        .canonicalize()
        .unwrap_or_else(|_| test.path("runs/toy"))
        .display()
        .to_string();
    let workers = || marked(&mark);
    wait_until("it runs", || !workers().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    // It ignores the end of its stdin, but not that nothing is heard any more.
    wait_until("it is gone", || workers().is_empty());
}

/// Stopped for longer than its worker bears, a coordinator finds that it has ended itself, and does
/// not blame it.
#[test]
fn a_worker_that_gave_up_waiting_has_not_failed() {
    let test = with_launcher("prefix: [env], heartbeat: 4s");
    let file = |name: &str| std::fs::File::create(test.path(name)).unwrap();
    let mut command = test.command(&["run", "sweep.yaml"]);
    command
        .env("FAKE_WORKER_GATE", test.path("gate"))
        .stdout(file("stdout"))
        .stderr(file("stderr"));
    let mut child = command.spawn().unwrap();
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM trial WHERE state = 'running'",
        2,
    );
    let signal = |signal| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
    };
    signal(nix::sys::signal::Signal::SIGSTOP);
    let run = test
        .path("runs/toy")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    wait_until("both have ended", || {
        // Their parent is stopped and does not hear of it: what is left of them has no command
        // line.
        marked(&run).is_empty()
    });
    signal(nix::sys::signal::Signal::SIGCONT);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM attempt WHERE outcome = 'interrupted'",
        2,
    );
    std::fs::write(test.path("gate"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", test.stderr());
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'failed'"
        ),
        0,
        "{}",
        test.stderr()
    );
}

/// Processes of the fake worker that bear the mark of a run directory.
pub(crate) fn marked(run: &str) -> Vec<String> {
    let wanted = format!("PENTAGRID_RUN={run}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_worker = |path: &Path| {
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let has = |text: Vec<u8>, word: &str| {
            text.split(|&byte| byte == 0)
                .any(|part| part == word.as_bytes())
        };
        has(read("environ"), &wanted) && has(read("cmdline"), &fake_worker().display().to_string())
    };
    processes
        .map(|entry| entry.path())
        .filter(|path| is_worker(path))
        .map(|path| path.display().to_string())
        .collect()
}

/// An agent, and what it says.
struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    said: std::sync::mpsc::Receiver<String>,
}

fn agent(arguments: &[&str]) -> Agent {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pentagrid"));
    command
        .arg("agent")
        .args(arguments)
        .env_remove("SLURM_JOB_ID")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (say, said) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        stdout
            .lines()
            .map_while(Result::ok)
            .for_each(|line| drop(say.send(line)));
    });
    Agent {
        stdin: child.stdin.take(),
        child,
        said,
    }
}

impl Agent {
    fn next(&self) -> String {
        self.said.recv_timeout(super::support::PATIENCE).unwrap()
    }

    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.said.iter().last().unwrap_or_default())
    }
}

#[test]
fn an_agent_passes_lines_on_and_tells_how_it_ended() {
    let mut agent = agent(&[
        "--silence",
        "600",
        "--",
        "sh",
        "-c",
        "read line; echo \"got $line\"; exit 5",
    ]);
    assert!(agent.next().starts_with("{\"agent\":\"running\",\"host\":"));
    let stdin = agent.stdin.as_mut().unwrap();
    stdin
        .write_all(b"{\"agent\":\"heartbeat\"}\n{\"agent\":\"of a later version\"}\nhello\n")
        .unwrap();
    assert_eq!(agent.next(), "got hello");
    assert_eq!(
        agent.end(),
        (Some(5), r#"{"agent":"ended","code":5}"#.to_owned())
    );
}

#[test]
fn an_agent_ends_what_it_is_told_to_end_grandchildren_too() {
    let script = "trap 'exit 3' TERM; (trap '' TERM; sleep 1000 & echo $!; wait) & while :; do sleep 0.1; done";
    let mut agent = agent(&["--silence", "600", "--", "sh", "-c", script]);
    agent.next();
    let grandchild = agent.next();
    agent
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"{\"agent\":\"terminate\"}\n")
        .unwrap();
    assert_eq!(
        agent.end(),
        (Some(3), r#"{"agent":"ended","code":3}"#.to_owned())
    );
    // It has been killed, but may still be on its way out.
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    (0..600)
        .take_while(|_| !gone())
        .for_each(|_| std::thread::sleep(std::time::Duration::from_millis(50)));
    assert!(gone());
}

#[test]
fn an_agent_whose_coordinator_is_gone_or_silent_ends_the_worker() {
    let script = "trap '' TERM; while :; do sleep 0.1; done";
    let mut closed = agent(&["--silence", "600", "--", "sh", "-c", script]);
    closed.stdin = None;
    assert_eq!(
        closed.end(),
        (Some(137), r#"{"agent":"ended","signal":9}"#.to_owned())
    );
    let silent = agent(&["--silence", "1", "--", "sleep", "1000"]);
    let (code, last) = silent.end();
    assert_eq!(code, Some(143));
    assert_eq!(
        last,
        r#"{"agent":"ended","signal":15,"lost":"nothing was heard of the coordinator for 1 s"}"#
    );
    // A signal from outside is no fault of the worker's.
    let told = agent(&["--silence", "600", "--", "sleep", "1000"]);
    told.next();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(told.child.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(
        told.end()
            .1
            .contains("\"lost\":\"it was told to end by SIGTERM from outside")
    );
}

#[test]
fn an_agent_says_why_it_cannot_start() {
    let missing = agent(&[
        "--silence",
        "600",
        "--workdir",
        "/nowhere/at/all",
        "--",
        "true",
    ]);
    let (code, last) = missing.end();
    assert_eq!(code, Some(127));
    assert!(
        last.contains("cannot start \\\"true\\\" in /nowhere/at/all on "),
        "{last}"
    );
}
