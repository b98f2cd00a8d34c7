//! The worker's side of the protocol: reads bundles from stdin on a thread of its own, runs their trials in order,
//! answers through the channel, and shows that it is alive. `main` starts it.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use pentagrid::protocol::{FromWorker, Hello, MAX_LINE, PROTOCOL_VERSION, ToWorker, TrialRequest, decode_line};
use pentagrid::spec::task::METRICS;

use crate::channel::{Channel, leave, say};
use crate::device::Compute;
use crate::engine::{Session, Sharing};
use crate::error::TrialError;

/// How often a worker shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// torch-sys refuses any other version at build time.
const LIBTORCH: &str = "libtorch 2.11.0";

/// Trials to run, and whether they may take from each other.
#[derive(Debug, PartialEq)]
struct Bundle {
    trials: Vec<TrialRequest>,
    share: bool,
}

/// Serves the coordinator until it closes stdin; then the process ends at once, in the middle of a trial if need be.
///
/// # Errors
/// If a thread cannot be started.
pub fn serve(out: Channel, compute: Compute) -> io::Result<()> {
    let out = Arc::new(out);
    let mut session = Session::new(compute.device);
    let (sender, bundles) = channel();
    thread::Builder::new().name("requests".to_owned()).spawn(move || match read_requests(&mut io::stdin().lock(), &sender) {
        Ok(()) => leave(0),
        Err(problem) => {
            say(&format!("bad input from the coordinator: {problem}"));
            leave(2)
        }
    })?;
    out.send(&FromWorker::Hello(hello(compute)));
    let heart = Arc::clone(&out);
    thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
        loop {
            thread::sleep(HEARTBEAT);
            heart.send(&FromWorker::Heartbeat);
        }
    })?;
    for bundle in bundles {
        let Bundle { trials, share } = bundle;
        for request in trials {
            run_trial(&mut session, request, share, &mut |message| out.send(&message));
        }
    }
    Ok(())
}

fn hello(compute: Compute) -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        program: env!("CARGO_BIN_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: compute.name(),
        metrics: METRICS.iter().map(|name| (*name).to_owned()).collect(),
        libraries: vec![LIBTORCH.to_owned()],
        threads: compute.threads.into(),
    }
}

/// Passes on the bundles that arrive. Ends well when the input ends; a last line without its end is the
/// coordinator's death, not a message.
fn read_requests(input: &mut impl BufRead, bundles: &Sender<Bundle>) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_LINE as u64 + 1;
        let read =
            input.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|error| format!("stdin cannot be read: {error}"))?;
        if read as u64 != limit && line.last() != Some(&b'\n') {
            return Ok(());
        }
        let ToWorker::Run { bundle: trials, share } = decode_line(&line).map_err(|error| error.to_string())?;
        if bundles.send(Bundle { trials, share }).is_err() {
            return Ok(());
        }
    }
}

/// Runs a trial, sharing what it has in common with others or not, and sends all that is to be said about it. Whatever goes wrong in it, the worker lives on. True if
/// the trial ended well.
pub fn run_trial(session: &mut Session, request: TrialRequest, share: bool, send: &mut dyn FnMut(FromWorker)) -> bool {
    let TrialRequest { trial, seed, config } = request;
    send(FromWorker::Started { trial: trial.clone() });
    let sharing = if share { Sharing::As(&trial) } else { Sharing::None };
    // The session only ever holds whole things: a panic cannot leave a half-made one behind.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        session.run(&config, seed, sharing, &mut |epoch, values| send(FromWorker::Epoch { trial: trial.clone(), epoch, values }))
    }));
    match outcome.unwrap_or_else(|payload| Err(TrialError::from_panic(&*payload))) {
        Ok((metrics, taken)) => {
            send(FromWorker::Done { trial, metrics, same_as: taken.same_as, shared_epochs: taken.epochs });
            true
        }
        Err(error) => {
            send(FromWorker::Failed { trial, kind: error.kind(), message: error.to_string() });
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use pentagrid::protocol::{FailureKind, encode_line};
    use tch::Device;

    fn request(json: &str) -> TrialRequest {
        TrialRequest { trial: "t".to_owned(), seed: 1, config: serde_json::from_str(json).unwrap() }
    }

    fn read(input: &[u8]) -> (Result<(), String>, Vec<Bundle>) {
        let (sender, receiver) = channel();
        let outcome = read_requests(&mut io::BufReader::with_capacity(16, input), &sender);
        drop(sender);
        (outcome, receiver.into_iter().collect())
    }

    #[test]
    fn bundles_arrive_in_order_until_the_input_ends() {
        let bundles = || {
            let lists = [vec![request(r#"{"lr": 0.1}"#), request("{}")], vec![], vec![request(r#"{"lr": 1}"#)]];
            lists.into_iter().zip([true, false, true]).map(|(trials, share)| Bundle { trials, share }).collect::<Vec<_>>()
        };
        let line = |Bundle { trials, share }| encode_line(&ToWorker::Run { bundle: trials, share });
        let mut text: String = bundles().into_iter().map(line).collect();
        assert_eq!(read(text.as_bytes()), (Ok(()), bundles()));
        text.push_str(r#"{"type":"run","bun"#);
        assert_eq!(read(text.as_bytes()), (Ok(()), bundles()));
        assert_eq!(read(b""), (Ok(()), vec![]));
    }

    #[test]
    fn a_malformed_line_is_quoted() {
        insta::assert_snapshot!(read(b"hello?\n").0.unwrap_err(), @r#"not a message of the protocol (expected value at line 1 column 1): "hello?""#);
        insta::assert_snapshot!(read(b"{\"type\":\"stop\"}\n").0.unwrap_err(), @r#"not a message of the protocol (unknown variant `stop`, expected `run` at line 1 column 14): "{\"type\":\"stop\"}""#);
        let long = [b"x".repeat(MAX_LINE + 5), b"\n".to_vec()].concat();
        assert!(read(&long).0.unwrap_err().starts_with("a line of more than 1048576 bytes"));
    }

    fn answers(session: &mut Session, json: &str) -> Vec<FromWorker> {
        let mut sent = Vec::new();
        run_trial(session, request(json), false, &mut |message| sent.push(message));
        sent
    }

    #[test]
    fn a_bad_trial_fails_and_the_next_one_runs() {
        one_thread();
        let mut session = Session::new(Device::Cpu);
        let failed = answers(&mut session, r#"{"optimizer": "sgd"}"#);
        assert_eq!(failed[0], FromWorker::Started { trial: "t".to_owned() });
        assert!(matches!(&failed[1..], [FromWorker::Failed { kind: FailureKind::BadConfig, .. }]), "{failed:?}");
        let json = r#"{"optimizer": "sgd", "lr": 0.01, "epochs": 2, "batch_size": 4, "train_images": 4}"#;
        let good = answers(&mut session, json);
        assert!(
            matches!(
                &good[..],
                [
                    FromWorker::Started { .. },
                    FromWorker::Epoch { epoch: 1, .. },
                    FromWorker::Epoch { epoch: 2, .. },
                    FromWorker::Done { .. }
                ]
            ),
            "{good:?}"
        );
    }

    #[test]
    fn a_panic_in_a_trial_is_its_failure() {
        let mut sent = Vec::new();
        let json = r#"{"optimizer": "sgd", "lr": 0.01, "epochs": 1, "batch_size": 2, "train_images": 2}"#;
        let well = run_trial(&mut Session::new(Device::Cpu), request(json), false, &mut |message| match message {
            FromWorker::Epoch { .. } => panic!("the sky falls"),
            other => sent.push(other),
        });
        assert!(!well);
        let expected = "the trainer panicked: the sky falls";
        assert!(
            matches!(&sent[1], FromWorker::Failed { kind: FailureKind::Error, message, .. } if message == expected),
            "{sent:?}"
        );
    }
}
