//! A worker that computes a formula instead of training: for tests of faults, and as an example of
//! the protocol.
//!
//! Its trials are fast and deterministic: `score` falls with the distance of `x` from 3 and varies
//! a little with the seed. The parameter `behaviour` makes it misbehave; `epochs` and `epoch_ms`
//! make it slow; with `FAKE_WORKER_GATE` in its environment every trial waits until there is a file
//! of that name, but for a worker's first `FAKE_WORKER_FREE`. Where it may share, trials with the
//! same `x` are computed once.

#![expect(
    clippy::print_stderr,
    clippy::exit,
    reason = "a script of misbehaviour"
)]

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use pentagrid::protocol::{
    FailureKind, FromWorker, HEARTBEAT_VARIABLE, Hello, Metrics, PROTOCOL_VERSION, Position,
    ToWorker, TrialRequest, decode_line, encode_line,
};
use pentagrid::spec::ParamValue;

/// Whether even the end of stdin does not end the program.
static DEAF: AtomicBool = AtomicBool::new(false);

/// Whether the coordinator has been heard of since that was last asked.
static HEARD: AtomicBool = AtomicBool::new(true);

/// How many trials have come to the gate.
static COME: AtomicU32 = AtomicU32::new(0);

fn main() {
    if let Some(silence) = std::env::var(HEARTBEAT_VARIABLE)
        .ok()
        .and_then(|seconds| seconds.parse().ok())
    {
        std::thread::spawn(move || {
            while HEARD.swap(false, Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(silence));
            }
            eprintln!("fake_worker: nothing was heard of the coordinator for {silence} s");
            std::process::exit(9);
        });
    }
    match std::env::args().nth(1).as_deref() {
        Some("--no-start") => {
            eprintln!("fake_worker: told not to start");
            std::process::exit(7);
        }
        Some("--ignore-eof") => {
            DEAF.store(true, Ordering::Relaxed);
            say(&FromWorker::Hello(hello()));
        }
        Some("--slow-start") => {
            std::thread::sleep(Duration::from_millis(300));
            say(&FromWorker::Hello(hello()));
        }
        Some("--chatty") => print(b"loading the data ...\n"),
        Some("--outlive") => {
            say(&FromWorker::Hello(hello()));
            eprintln!("fake_worker: will outlive the coordinator");
            loop {
                std::thread::sleep(Duration::from_secs(1));
                say(&FromWorker::Heartbeat);
            }
        }
        Some("--old-protocol") => say(&FromWorker::Hello(Hello {
            protocol: 0,
            ..hello()
        })),
        _ => say(&FromWorker::Hello(hello())),
    }
    // A thread of its own reads stdin, so that its end is noticed in the middle of a trial.
    let (queue, bundles) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match decode_line::<ToWorker>(line.as_bytes()) {
                Ok(ToWorker::Run { bundle, share }) => {
                    HEARD.store(true, Ordering::Relaxed);
                    drop(queue.send((bundle, share)));
                }
                Ok(ToWorker::Heartbeat) => HEARD.store(true, Ordering::Relaxed),
                Err(error) => {
                    eprintln!("fake_worker: {error}");
                    std::process::exit(2);
                }
            }
        }
        while DEAF.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(0);
    });
    // By what a score depends on: the trial that was the first to have it.
    let mut known = HashMap::new();
    for (bundle, share) in bundles {
        for trial in bundle {
            if !share {
                known.clear();
            }
            let x = trial
                .config
                .get("x")
                .and_then(ParamValue::as_f64)
                .unwrap_or(0.0);
            let first = known
                .entry((x.to_bits(), trial.seed))
                .or_insert_with(|| trial.trial.clone());
            run(
                &trial,
                Some(&*first).filter(|first| share && **first != trial.trial),
            );
        }
    }
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        program: "fake_worker".into(),
        version: "1".into(),
        device: device(),
        threads: 1,
        pack: 0,
        heartbeats: true,
        ..Hello::default()
    }
}

/// Under Slurm also where, and on which of its GPUs.
fn device() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (
        variable("SLURMD_NODENAME"),
        variable("CUDA_VISIBLE_DEVICES"),
    ) {
        (Some(node), Some(gpu)) => format!("thin air {node} GPU {gpu}"),
        (Some(node), None) => format!("thin air {node}"),
        (None, _) => "thin air".to_owned(),
    }
}

/// Whether the gate is not for this trial.
fn is_free() -> bool {
    let free = std::env::var("FAKE_WORKER_FREE")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    COME.fetch_add(1, Ordering::Relaxed) < free
}

fn say(message: &FromWorker) {
    print(encode_line(message).as_bytes());
}

fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // If nobody reads any more, the end of stdin ends the program.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Takes ever more memory, and uses it: two gigabytes at the most.
fn devour() {
    const PIECE: usize = 8 << 20;
    let mut pieces = Vec::new();
    while pieces.len() < 256 {
        pieces.push(std::hint::black_box(vec![1_u8; PIECE]));
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("fake_worker: nobody stopped it from taking memory");
}

/// Runs a trial, or gives it the result of one that is the same.
fn run(request: &TrialRequest, same_as: Option<&String>) {
    let TrialRequest {
        trial,
        seed,
        config,
    } = request;
    let number = |name: &str| config.get(name).and_then(ParamValue::as_f64);
    let behaviour = match config.get("behaviour") {
        Some(ParamValue::Text(text)) => text.as_str(),
        _ => "well",
    };
    let first_seed = *seed == 0;
    match behaviour {
        "crash-before-start" => std::process::abort(),
        "old-news" => say(&FromWorker::done("0000000000-0", Metrics::default())),
        _ => {}
    }
    eprintln!("fake_worker: trial {trial}");
    say(&FromWorker::Started {
        trial: trial.clone(),
    });
    let fail = |kind, message: &str| {
        say(&FromWorker::Failed {
            trial: trial.clone(),
            kind,
            message: message.into(),
        });
    };
    match behaviour {
        "crash" => std::process::abort(),
        "crash-first-seed" if first_seed => std::process::abort(),
        "exit" => std::process::exit(3),
        "error" => return fail(FailureKind::Error, "told to fail"),
        "long-error" => return fail(FailureKind::Error, &"a long story ".repeat(70_000)),
        "error-first-seed" if first_seed => {
            return fail(FailureKind::Error, "told to fail for seed 0");
        }
        "out-of-memory" => return fail(FailureKind::OutOfMemory, "told to run out of memory"),
        "junk" => print(b"this is not JSON\n"),
        "binary" => print(b"\xff\xfe\x00\n"),
        "flood" => loop {
            print(&[b'x'; 1 << 16]);
        },
        "half-line" => {
            print(br#"{"type":"done","tr"#);
            std::process::exit(0);
        }
        "hang" => loop {
            std::thread::sleep(Duration::from_millis(100));
            say(&FromWorker::Heartbeat);
        },
        "lack-memory" => {
            eprintln!("Traceback (most recent call last):\nMemoryError");
            std::process::exit(1);
        }
        "devour" => devour(),
        "twice" => say(&FromWorker::Started {
            trial: trial.clone(),
        }),
        "ignore-sigterm" | "deaf" => {
            DEAF.store(behaviour == "deaf", Ordering::Relaxed);
            // SAFETY: SIG_IGN is a valid disposition, and no other thread changes signals.
            let ignore = unsafe {
                nix::sys::signal::signal(
                    nix::sys::signal::Signal::SIGTERM,
                    nix::sys::signal::SigHandler::SigIgn,
                )
            };
            eprintln!("fake_worker: SIGTERM ignored: {}", ignore.is_ok());
            loop {
                std::thread::sleep(Duration::from_secs(1));
                say(&FromWorker::Heartbeat);
            }
        }
        "grandchild" => {
            let child = std::process::Command::new("sleep").arg("1000").spawn();
            eprintln!(
                "fake_worker: grandchild {:?}",
                child.map(|child| child.id()).ok()
            );
        }
        _ => {}
    }
    let x = number("x").unwrap_or(0.0);
    let score = 100.0 - (x - 3.0).powi(2) - (*seed % 7) as f64 * 0.25;
    let epochs = number("epochs").unwrap_or(2.0) as u32;
    let pause = Duration::from_millis(number("epoch_ms").unwrap_or(0.0) as u64);
    if let Some(gate) = std::env::var_os("FAKE_WORKER_GATE").filter(|_| !is_free()) {
        while !std::path::Path::new(&gate).exists() {
            std::thread::sleep(Duration::from_millis(20));
            say(&FromWorker::Heartbeat);
        }
    }
    for epoch in 1..=epochs {
        if same_as.is_none() {
            std::thread::sleep(pause);
        }
        let progress = f64::from(epoch) / f64::from(epochs);
        let mut values = Metrics::from_iter([
            ("score", score * progress),
            ("seconds", pause.as_secs_f64()),
        ]);
        if behaviour == "huge-epochs" {
            // A line of some 800 kB. A report of as many names would take its time.
            (0..100)
                .for_each(|number| values.set(format!("{number:08000}"), 0.5 + f64::from(number)));
        }
        say(&FromWorker::Epoch {
            trial: trial.clone(),
            position: Position::epoch(epoch),
            values: values.into(),
        });
    }
    let metrics: Metrics = match behaviour {
        "no-metric" => [("other", 1.0)].into_iter().collect(),
        "diverge" => [("score", f64::NAN), ("loss", f64::INFINITY)]
            .into_iter()
            .collect(),
        _ => [
            ("score", score),
            ("val_loss", (x - 3.0).abs()),
            ("training_seconds", pause.as_secs_f64() * f64::from(epochs)),
        ]
        .into_iter()
        .collect(),
    };
    say(&FromWorker::Done {
        trial: trial.clone(),
        metrics: metrics.clone().into(),
        same_as: if behaviour == "liar" {
            Some("0000000000-0".into())
        } else {
            same_as.cloned()
        },
        shared_epochs: if same_as.is_some() { epochs } else { 0 },
    });
    if behaviour == "done-twice" {
        say(&FromWorker::done(trial.clone(), metrics));
    }
}
