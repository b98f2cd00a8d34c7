//! Tests of the worker: what it reads, what it answers, and that it survives a failed trial.

use super::*;
use crate::device::one_thread;
use pentagrid_protocol::{FailureKind, encode_line};
use tch::Device;

fn request(json: &str) -> TrialRequest {
    TrialRequest {
        trial: "t".to_owned(),
        seed: 1,
        config: serde_json::from_str(json).unwrap(),
    }
}

/// What is read from the input: the error's text, if there is one, and the bundles.
fn read(input: &[u8]) -> (Result<(), String>, Vec<Bundle>) {
    let (sender, receiver) = channel();
    let outcome = read_requests(&mut io::BufReader::with_capacity(16, input), &sender);
    drop(sender);
    let outcome = outcome.map_err(|error| error.to_string());
    (outcome, receiver.into_iter().collect())
}

#[test]
fn bundles_arrive_in_order_until_the_input_ends() {
    let bundles = || {
        let lists = [
            vec![request(r#"{"lr": 0.1}"#), request("{}")],
            vec![],
            vec![request(r#"{"lr": 1}"#)],
        ];
        lists
            .into_iter()
            .zip([true, false, true])
            .map(|(trials, share)| Bundle { trials, share })
            .collect::<Vec<_>>()
    };
    let line = |Bundle { trials, share }| {
        encode_line(&ToWorker::Run {
            bundle: trials,
            share,
        })
    };
    let mut text: String = bundles().into_iter().map(line).collect();
    assert_eq!(read(text.as_bytes()), (Ok(()), bundles()));
    text.push_str(r#"{"type":"run","bun"#);
    assert_eq!(read(text.as_bytes()), (Ok(()), bundles()));
    assert_eq!(read(b""), (Ok(()), vec![]));
}

#[test]
fn a_malformed_line_is_quoted() {
    insta::assert_snapshot!(read(b"hello?\n").0.unwrap_err(), @r#"not a message of the protocol (expected value at line 1 column 1): "hello?""#);
    insta::assert_snapshot!(read(b"{\"type\":\"stop\"}\n").0.unwrap_err(), @r#"not a message of the protocol (unknown variant `stop`, expected `run` or `heartbeat` at line 1 column 14): "{\"type\":\"stop\"}""#);
    let long = [b"x".repeat(MAX_LINE + 5), b"\n".to_vec()].concat();
    assert!(
        read(&long)
            .0
            .unwrap_err()
            .starts_with("a line of more than 1048576 bytes")
    );
}

fn answers(session: &mut Session, json: &str) -> Vec<FromWorker> {
    let mut sent = Vec::new();
    run_trial(session, request(json), false, &mut |message| {
        sent.push(message);
    });
    sent
}

#[test]
fn a_bad_trial_fails_and_the_next_one_runs() {
    one_thread();
    let mut session = Session::new(Device::Cpu);
    let failed = answers(&mut session, r#"{"optimizer": "sgd"}"#);
    assert_eq!(
        failed[0],
        FromWorker::Started {
            trial: "t".to_owned()
        }
    );
    assert!(
        matches!(
            &failed[1..],
            [FromWorker::Failed {
                kind: FailureKind::BadConfig,
                ..
            }]
        ),
        "{failed:?}"
    );
    let json =
        r#"{"optimizer": "sgd", "lr": 0.01, "epochs": 2, "batch_size": 4, "train_images": 4}"#;
    let good = answers(&mut session, json);
    assert!(
        matches!(
            &good[..],
            [
                FromWorker::Started { .. },
                FromWorker::Epoch { position: first, .. },
                FromWorker::Epoch { position: second, .. },
                FromWorker::Done { .. }
            ] if [*first, *second] == [1, 2].map(Position::epoch)
        ),
        "{good:?}"
    );
}

/// A message in a few words.
fn line(message: FromWorker) -> String {
    match message {
        FromWorker::Started { trial } => format!("{trial} started"),
        FromWorker::Epoch {
            trial, position, ..
        } => format!("{trial} {position}"),
        FromWorker::Done {
            trial,
            same_as,
            shared_epochs,
            metrics,
        } => {
            assert!(metrics.get("test_accuracy").is_some());
            format!("{trial} done {same_as:?} {shared_epochs}")
        }
        FromWorker::Failed { trial, kind, .. } => format!("{trial} failed: {kind}"),
        other => panic!("{other:?}"),
    }
}

/// Two packs of two trials, a trial with a key of its own, and one with bad settings: each gets the
/// answers that it would get by itself.
#[test]
fn a_bundle_runs_in_packs_and_answers_trial_by_trial() {
    one_thread();
    let common = r#""epochs": 1, "batch_size": 4, "train_images": 4"#;
    let named = |trial: &str, json: &str| TrialRequest {
        trial: trial.to_owned(),
        ..request(&json.replacen('}', &format!(", {common}}}"), 1))
    };
    let trials = vec![
        named("a", r#"{"optimizer": "sgd", "lr": 0.01}"#),
        named(
            "m",
            r#"{"optimizer": "sgd_momentum", "lr": 0.01, "momentum": 0.9}"#,
        ),
        named("b", r#"{"optimizer": "sgd", "lr": 0.02}"#),
        named("bad", r#"{"optimizer": "sgd"}"#),
        named(
            "h",
            r#"{"optimizer": "hybrid", "lr1": 0.01, "lr2": 0.01, "momentum": 0.9, "tl": 0}"#,
        ),
        named("alone", r#"{"optimizer": "adam", "lr": 0.01}"#),
    ];
    let mut lines = Vec::new();
    let mut worker = Worker {
        session: Session::new(Device::Cpu),
        kernels: None,
        limit: Limit::Models(2),
    };
    let bundle = Bundle {
        trials,
        share: true,
    };
    worker.run_bundle(bundle, &mut |message| lines.push(line(message)));
    assert_eq!(worker.limit, Limit::Models(2));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    a started
    b started
    a epoch 1
    b epoch 1
    a done None 0
    b done None 0
    m started
    h started
    m epoch 1
    h epoch 1
    m done None 0
    h done Some("m") 1
    bad started
    bad failed: bad config
    alone started
    alone epoch 1
    alone done None 0
    "#);
}

#[test]
fn a_panic_in_a_trial_is_its_failure() {
    let mut sent = Vec::new();
    let json =
        r#"{"optimizer": "sgd", "lr": 0.01, "epochs": 1, "batch_size": 2, "train_images": 2}"#;
    let well = run_trial(
        &mut Session::new(Device::Cpu),
        request(json),
        false,
        &mut |message| match message {
            FromWorker::Epoch { .. } => panic!("a message that cannot be sent"),
            other => sent.push(other),
        },
    );
    assert!(!well);
    let expected = "the trainer panicked: a message that cannot be sent";
    assert!(
        matches!(&sent[1], FromWorker::Failed { kind: FailureKind::Error, message, .. } if message == expected),
        "{sent:?}"
    );
}
