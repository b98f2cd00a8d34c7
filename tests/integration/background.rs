//! Sweeps that run without anyone at the terminal: ignored signals, output that is not read, and
//! what programs leave behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DONE, TOY, Test, heed_signals, wait_until};

fn slow() -> String {
    TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 20}, epoch_ms: {value: 10}",
    )
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// The program, started with signals ignored as `nohup` and `cmd &` in a script do.
fn ignoring(test: &Test, signals: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("trap '' {signals}; exec \"$@\""),
        "sh",
        env!("CARGO_BIN_EXE_pentagrid"),
    ]);
    command
        .args(arguments)
        .current_dir(test.path(""))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    heed_signals(&mut command);
    command
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    for (name, signal) in [
        ("HUP", Signal::SIGHUP),
        ("INT", Signal::SIGINT),
        ("TERM", Signal::SIGTERM),
        ("TSTP", Signal::SIGTSTP),
    ] {
        let test = Test::with_spec(&slow());
        let mut run = ignoring(
            &test,
            name,
            &["run", "sweep.yaml", "--devices", "cpu:2", "-q"],
        )
        .spawn()
        .unwrap();
        test.wait_for("runs/toy", DONE, 2);
        let mut watch = ignoring(&test, name, &["watch", "runs/toy"])
            .spawn()
            .unwrap();
        let mut serve = ignoring(&test, name, &["serve", "runs/toy", "--port", "0"])
            .spawn()
            .unwrap();
        let mut lines =
            [watch.stdout.take().unwrap(), serve.stdout.take().unwrap()].map(BufReader::new);
        for line in &mut lines {
            line.read_line(&mut String::new()).unwrap();
        }
        for child in [&run, &watch, &serve] {
            send(child, signal);
        }
        assert_eq!(run.wait().unwrap().code(), Some(0), "{name}");
        assert_eq!(test.count("runs/toy", DONE), 20);
        // Unread, its lines could fill the pipe.
        let [mut watched, _] = lines;
        watched.read_to_string(&mut String::new()).unwrap();
        assert_eq!(watch.wait().unwrap().code(), Some(0), "{name}");
        assert_eq!(serve.try_wait().unwrap(), None, "{name}");
        serve.kill().unwrap();
        serve.wait().unwrap();
    }
}

#[test]
fn resume_and_verify_keep_ignoring_it_too() {
    for arguments in [
        &["resume", "runs/toy", "--devices", "cpu:2", "-q"][..],
        &["verify", "runs/toy", "-n", "4", "--devices", "cpu:1"],
    ] {
        let test = Test::with_spec(&slow());
        let mut first = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
        test.wait_for("runs/toy", DONE, 4);
        send(&first, Signal::SIGINT);
        assert_eq!(first.wait().unwrap().code(), Some(130));

        let sessions = test.count("runs/toy", "SELECT count(*) FROM session");
        let mut child = ignoring(&test, "HUP", arguments).spawn().unwrap();
        let started = |test: &Test| match arguments[0] {
            "resume" => test.count("runs/toy", "SELECT count(*) FROM session") > sessions,
            _ => test.path("runs/toy/verify").exists(),
        };
        wait_until("it has begun", || started(&test));
        send(&child, Signal::SIGHUP);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn an_agent_ignores_what_it_was_started_to_ignore() {
    let test = Test::new();
    let mut command = ignoring(&test, "HUP", &["agent", "--silence", "600", "--", "cat"]);
    let mut agent = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(agent.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"agent\":\"running\""), "{line}");
    send(&agent, Signal::SIGHUP);
    let mut stdin = agent.stdin.take().unwrap();
    writeln!(stdin, "still here").unwrap();
    line.clear();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "still here\n");
    drop(stdin);
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}

/// A program's own signals are as they would be without pentagrid: by either way of starting one.
#[test]
fn programs_have_the_signals_that_they_would_have_without_us() {
    for workdir in ["", "workdir: /\n"] {
        let test = Test::new();
        test.write_script(
            "grep '^Sig[BI]' /proc/self/status > \"$PENTAGRID_DIR/signals\"; echo '{\"loss\": 1}' >> $PENTAGRID_METRICS",
        );
        test.write_spec(&format!(
            "name: s\ncommand: [\"{}\", \"${{args}}\"]\n{workdir}metric: {{name: loss, goal: minimize}}\nseeds: {{tune: 1, final: 0}}\n\
             parameters: {{lr: {{values: [1]}}}}\n",
            test.path("train.sh").display()
        ));
        let signals = "HUP INT QUIT TERM TSTP USR1";
        assert_eq!(
            ignoring(&test, signals, &["run", "sweep.yaml", "-q"])
                .status()
                .unwrap()
                .code(),
            Some(0)
        );
        let trial = std::fs::read_dir(test.path("runs/s/trials"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let seen = std::fs::read_to_string(trial.join("signals")).unwrap();
        let bare =
            format!("trap '' {signals}; exec bash -c 'grep ^Sig[BI] /proc/self/status; true'");
        let expected = Command::new("bash").args(["-c", &bare]).output().unwrap();
        assert_eq!(
            seen,
            String::from_utf8(expected.stdout).unwrap(),
            "{workdir}"
        );
    }
}

#[test]
fn ends_of_programs_are_heard_though_sigchld_was_ignored() {
    let test = Test::new();
    test.write_script("exit 3");
    test.write_spec(
        "name: c\ncommand: [./train.sh]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 0}\n\
         limits: {retries: 0}\nparameters: {lr: {values: [1, 2]}}\n",
    );
    assert_eq!(
        ignoring(&test, "CHLD", &["run", "sweep.yaml", "-q"])
            .status()
            .unwrap()
            .code(),
        Some(3)
    );
    assert_eq!(
        test.count(
            "runs/c",
            "SELECT count(*) FROM attempt WHERE kind = 'exit' AND message LIKE '%exit code 3%'"
        ),
        2
    );
}

/// A pipe with room for a page, full.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: both calls change a property of an open pipe, and nothing else.
    let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert!(size >= 4096);
    (&writer).write_all(&vec![b'x'; size as usize]).unwrap();
    (reader, writer)
}

#[test]
fn output_that_is_not_read_stops_nothing() {
    for verbose in ["-vv", "--color=never"] {
        let test = Test::with_spec(&slow());
        let (_unread, pipe) = full_pipe();
        let arguments = ["run", "sweep.yaml", "--devices", "cpu:2", verbose];
        let mut run = test
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(pipe)
            .spawn()
            .unwrap();
        test.wait_for("runs/toy", DONE, 3);
        send(&run, Signal::SIGTERM);
        assert_eq!(run.wait().unwrap().code(), Some(130));
        let (_unread, pipe) = full_pipe();
        let again = test
            .command(&["resume", "runs/toy", "--devices", "cpu:2", verbose])
            .stdout(Stdio::null())
            .stderr(pipe)
            .status();
        assert_eq!(again.unwrap().code(), Some(0));
        assert_eq!(test.count("runs/toy", DONE), 20);
    }
}

#[test]
fn a_reader_that_has_gone_stops_nothing() {
    let test = Test::with_spec(TOY);
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let status = test
        .command(&["run", "sweep.yaml", "-vv"])
        .stdout(pipe.try_clone().unwrap())
        .stderr(pipe)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(test.count("runs/toy", DONE), 20);
}

#[test]
fn watch_is_ended_by_ctrl_c_though_its_output_is_not_read() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    let (_unread, pipe) = full_pipe();
    let mut watch = test
        .command(&["watch", "runs/toy"])
        .stdout(pipe)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Whether it already listens, or is still to be started: the signal ends it either way, and
    // never is it waited for in vain.
    wait_until("it writes", || blocked_in_write(watch.id()));
    send(&watch, Signal::SIGINT);
    assert_eq!(watch.wait().unwrap().code(), Some(130));
}

/// Whether a thread of a process waits for a pipe.
fn blocked_in_write(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    // Of the fields the first is the number of the system call; 1 is `write`.
    threads.flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("syscall"))
            .is_ok_and(|call| call.starts_with("1 0x1 "))
    })
}

/// The two ends of a new terminal.
fn terminal() -> (std::fs::File, std::fs::File) {
    let open = |path: &str| {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    };
    let keyboard = open("/dev/ptmx");
    let mut number: libc::c_uint = 0;
    let unlock: libc::c_int = 0;
    // SAFETY: both requests of a terminal read or write the one integer that they are given.
    let done = unsafe {
        [
            libc::ioctl(keyboard.as_raw_fd(), libc::TIOCSPTLCK, &unlock),
            libc::ioctl(keyboard.as_raw_fd(), libc::TIOCGPTN, &mut number),
        ]
    };
    assert_eq!(done, [0, 0]);
    let screen = open(&format!("/dev/pts/{number}"));
    (keyboard, screen)
}

#[test]
fn a_terminal_after_ctrl_s_stops_nothing() {
    let test = Test::with_spec(&slow());
    let (mut keyboard, screen) = terminal();
    keyboard.write_all(b"\x13").unwrap();
    let mut command = test.command(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    let mut run = command
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stderr(screen.try_clone().unwrap())
        .spawn()
        .unwrap();
    test.wait_for("runs/toy", DONE, 3);
    send(&run, Signal::SIGTERM);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let mut command = test.command(&["resume", "runs/toy", "--devices", "cpu:2"]);
    let again = command
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stderr(screen)
        .status()
        .unwrap();
    assert_eq!(again.code(), Some(0));
    assert_eq!(test.count("runs/toy", DONE), 20);
}

#[test]
fn bars_are_drawn_on_a_terminal_and_cleared_at_the_end() {
    let test = Test::with_spec(&slow());
    let (keyboard, screen) = terminal();
    let mut command = test.command(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    let mut run = command
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stderr(screen)
        .spawn()
        .unwrap();
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        // A terminal whose other side is closed reads as an error.
        let _ = (&keyboard).read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let seen = reader.join().unwrap();
    for part in ["tuning", "Near", "seed 0: epoch", "\u{1b}[2K", "/14"] {
        assert!(seen.contains(part), "{part} in {seen:?}");
    }
}

#[test]
fn a_daemon_without_the_sweeps_mark_is_ended_with_the_sweep() {
    let test = Test::new();
    let folder = test.path("");
    // Twice away from its parent, in a session of its own, with an empty environment: as a daemon
    // does.
    test.write_script(
        "(cd / && env -i setsid sh -c \"echo \\$\\$ > $PENTAGRID_DIR/daemon; exec sleep 600\" < /dev/null > /dev/null 2>&1 &)\n\
         while [ ! -s $PENTAGRID_DIR/daemon ]; do sleep 0.01; done; echo '{\"loss\": 1}' >> $PENTAGRID_METRICS",
    );
    test.write_spec(
        "name: d\ncommand: [./train.sh, \"${args}\"]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 2, final: 0}\n\
         parameters: {lr: {values: [1, 2]}}\n",
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    let mut daemons = 0;
    for trial in std::fs::read_dir(folder.join("runs/d/trials")).unwrap() {
        let pid: u32 = std::fs::read_to_string(trial.unwrap().path().join("daemon"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let left = std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("sleep"));
        assert!(!left, "process {pid}");
        daemons += 1;
    }
    assert_eq!(daemons, 4);
}

#[test]
fn a_server_that_ignores_ctrl_c_says_how_it_is_stopped() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    for (signals, said) in [("INT", "`kill "), ("HUP", "Ctrl-C stops it")] {
        let mut serve = ignoring(&test, signals, &["serve", "runs/toy", "--port", "0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(serve.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains(said), "{line}");
        serve.kill().unwrap();
        serve.wait().unwrap();
    }
}
