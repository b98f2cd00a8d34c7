//! The worker's side of the protocol: reads bundles from stdin on a thread of its own, runs their
//! trials in order, answers through the channel, and shows that it is alive. `main` starts it.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pentagrid_protocol::task::METRICS;
use pentagrid_protocol::{
    FromWorker, HEARTBEAT_VARIABLE, Hello, MAX_LINE, PROTOCOL_VERSION, Position, ToWorker,
    TrialRequest, decode_line,
};

use crate::channel::{Channel, leave, say};
use crate::cuda::wants_tf32;
use crate::device::Compute;
use crate::engine::{Session, Sharing};
use crate::error::TrialError;
use crate::libtorch;
use crate::pack::{self, Event, Kernels, Limit, Operations, Part, curvature, partition};
use crate::settings::Settings;

/// How often a worker shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Trials to run, and whether they may take from each other.
#[derive(Debug, PartialEq)]
struct Bundle {
    trials: Vec<TrialRequest>,
    share: bool,
}

/// Serves the coordinator until it closes stdin; then the process ends at once, in the middle of a
/// trial if need be.
///
/// # Errors
/// If a thread cannot be started.
pub fn serve(out: Channel, compute: Compute, limit: Limit) -> io::Result<()> {
    let out = Arc::new(out);
    let kernels = if compute.device.is_cuda() && limit.wish() > 0 {
        compile()
    } else {
        None
    };
    let (hello, mut limit) = (hello(compute, limit, kernels.is_some()), limit);
    let mut session = Session::new(compute.device).in_form(compute.form);
    let (sender, bundles) = channel();
    thread::Builder::new()
        .name("requests".to_owned())
        .spawn(
            move || match read_requests(&mut io::stdin().lock(), &sender) {
                Ok(()) => leave(0),
                Err(problem) => {
                    say(&format!("bad input from the coordinator: {problem}"));
                    leave(2)
                }
            },
        )?;
    out.send(&FromWorker::Hello(hello));
    let heart = Arc::clone(&out);
    let silence = std::env::var(HEARTBEAT_VARIABLE)
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    thread::Builder::new()
        .name("heartbeat".to_owned())
        .spawn(move || {
            heard();
            loop {
                thread::sleep(silence.map_or(HEARTBEAT, |silence| HEARTBEAT.min(silence / 4)));
                if let Some(silence) = silence.filter(|silence| silent_for() > *silence) {
                    say(&format!(
                        "nothing was heard of the coordinator for {} s",
                        silence.as_secs()
                    ));
                    leave(1);
                }
                heart.send(&FromWorker::Heartbeat);
            }
        })?;
    for bundle in bundles {
        run_bundle(
            &mut session,
            kernels.as_ref(),
            bundle,
            &mut limit,
            &mut |message| out.send(&message),
        );
    }
    Ok(())
}

/// When the coordinator was last heard of.
static HEARD: Mutex<Option<Instant>> = Mutex::new(None);

fn heard() {
    *HEARD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn silent_for() -> Duration {
    HEARD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .map_or(Duration::ZERO, |at| at.elapsed())
}

/// The kernels for packs on a GPU. Without them packs compute by libtorch's, to other roundings and
/// slower.
fn compile() -> Option<Rc<dyn Operations>> {
    match Kernels::compile(wants_tf32()) {
        Ok(kernels) => Some(Rc::new(kernels)),
        Err(problem) => {
            say(&format!(
                "packs go without pentagrid's own kernels: {problem}"
            ));
            None
        }
    }
}

fn hello(compute: Compute, limit: Limit, own_kernels: bool) -> Hello {
    let pack = limit.wish();
    let mut libraries = vec![libtorch::name()];
    if compute.device.is_cuda() {
        libraries.push(format!("TF32 {}", if wants_tf32() { "on" } else { "off" }));
    }
    libraries.extend(compute.form.remarks().map(str::to_owned));
    if pack > 0 {
        libraries.push(format!(
            "packs of up to {pack} trials{}",
            if own_kernels { " on own kernels" } else { "" }
        ));
    }
    Hello {
        protocol: PROTOCOL_VERSION,
        program: env!("CARGO_BIN_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: compute.name(),
        metrics: METRICS.iter().map(|name| (*name).to_owned()).collect(),
        libraries,
        pack,
        threads: compute.threads.into(),
        heartbeats: true,
    }
}

/// Passes on the bundles that arrive. Ends well when the input ends; a last line without its end is
/// the coordinator's death, not a message.
fn read_requests(input: &mut impl BufRead, bundles: &Sender<Bundle>) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_LINE as u64 + 1;
        let read = input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("stdin cannot be read: {error}"))?;
        if read as u64 != limit && line.last() != Some(&b'\n') {
            return Ok(());
        }
        heard();
        match decode_line(&line).map_err(|error| error.to_string())? {
            ToWorker::Heartbeat => {}
            ToWorker::Run {
                bundle: trials,
                share,
            } => {
                if bundles.send(Bundle { trials, share }).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Runs a bundle's trials, those that can be together in packs. Where fewer models fit than `limit`
/// says, it learns so.
fn run_bundle(
    session: &mut Session,
    operations: Option<&Rc<dyn Operations>>,
    bundle: Bundle,
    limit: &mut Limit,
    send: &mut dyn FnMut(FromWorker),
) {
    for part in partition(bundle.trials, *limit, operations.is_some()) {
        match part {
            Part::Single(request) => drop(run_trial(session, request, bundle.share, send)),
            Part::Pack(requests, settings) => {
                let most = limit.models(settings[0].batch_size, curvature(&settings));
                let fitted = run_pack(
                    session,
                    operations,
                    &requests,
                    &settings,
                    (most, bundle.share),
                    send,
                );
                if fitted < most {
                    *limit = Limit::Models(fitted);
                }
            }
        }
    }
}

/// Runs trials together, and says of each what there is to be said. Gives how many models fit.
fn run_pack(
    session: &mut Session,
    operations: Option<&Rc<dyn Operations>>,
    requests: &[TrialRequest],
    settings: &[Settings],
    (most, share): (usize, bool),
    send: &mut dyn FnMut(FromWorker),
) -> usize {
    let mut begun = vec![false; requests.len()];
    let mut ended = vec![false; requests.len()];
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let seed = requests.first().map_or(0, |request| request.seed);
        pack::run(
            session,
            operations,
            settings,
            seed,
            (most, share),
            &mut |place, event| {
                let name = |place: usize| requests[place].trial.clone();
                let trial = name(place);
                begun[place] = true;
                ended[place] = matches!(event, Event::Done(..) | Event::Failed(..));
                send(match event {
                    Event::Started => FromWorker::Started { trial },
                    Event::Epoch(epoch, values) => FromWorker::Epoch {
                        trial,
                        position: Position::epoch(epoch),
                        values: values.into(),
                    },
                    Event::Done(metrics, same_as, shared_epochs) => FromWorker::Done {
                        trial,
                        metrics: metrics.into(),
                        same_as: same_as.map(name),
                        shared_epochs,
                    },
                    Event::Failed(kind, message) => FromWorker::Failed {
                        trial,
                        kind,
                        message,
                    },
                });
            },
        )
    }));
    outcome.unwrap_or_else(|payload| {
        let error = TrialError::from_panic(&*payload);
        for (place, request) in requests
            .iter()
            .enumerate()
            .filter(|(place, _)| !ended[*place])
        {
            if !begun[place] {
                send(FromWorker::Started {
                    trial: request.trial.clone(),
                });
            }
            send(FromWorker::Failed {
                trial: request.trial.clone(),
                kind: error.kind(),
                message: error.to_string(),
            });
        }
        most
    })
}

/// Runs a trial, sharing what it has in common with others or not, and sends all that is to be said
/// about it. The worker survives any failure of it. True if the trial ended well.
pub fn run_trial(
    session: &mut Session,
    request: TrialRequest,
    share: bool,
    send: &mut dyn FnMut(FromWorker),
) -> bool {
    let TrialRequest {
        trial,
        seed,
        config,
    } = request;
    send(FromWorker::Started {
        trial: trial.clone(),
    });
    let sharing = if share {
        Sharing::As(&trial)
    } else {
        Sharing::None
    };
    // The session only ever holds whole things: a panic cannot leave a half-made one behind.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        session.run(&config, seed, sharing, &mut |epoch, values| {
            send(FromWorker::Epoch {
                trial: trial.clone(),
                position: Position::epoch(epoch),
                values: values.into(),
            });
        })
    }));
    match outcome.unwrap_or_else(|payload| Err(TrialError::from_panic(&*payload))) {
        Ok((metrics, taken)) => {
            send(FromWorker::Done {
                trial,
                metrics: metrics.into(),
                same_as: taken.same_as,
                shared_epochs: taken.epochs,
            });
            true
        }
        Err(error) => {
            send(FromWorker::Failed {
                trial,
                kind: error.kind(),
                message: error.to_string(),
            });
            false
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn read(input: &[u8]) -> (Result<(), String>, Vec<Bundle>) {
        let (sender, receiver) = channel();
        let outcome = read_requests(&mut io::BufReader::with_capacity(16, input), &sender);
        drop(sender);
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
            sent.push(message)
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

    /// Two packs of two, a trial that is like no other, and one at fault: each is answered as if it
    /// ran by itself.
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
        let mut said = Vec::new();
        let mut limit = Limit::Models(2);
        run_bundle(
            &mut Session::new(Device::Cpu),
            None,
            Bundle {
                trials,
                share: true,
            },
            &mut limit,
            &mut |message| {
                said.push(match message {
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
                });
            },
        );
        assert_eq!(limit, Limit::Models(2));
        insta::assert_snapshot!(said.join("\n"), @r#"
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
                FromWorker::Epoch { .. } => panic!("the sky falls"),
                other => sent.push(other),
            },
        );
        assert!(!well);
        let expected = "the trainer panicked: the sky falls";
        assert!(
            matches!(&sent[1], FromWorker::Failed { kind: FailureKind::Error, message, .. } if message == expected),
            "{sent:?}"
        );
    }
}
