//! Talks to a worker as the coordinator does and finds out what it does wrong, for `pentagrid
//! worker-check`. Each check is one promise of `docs/protocol.md`.

mod partner;

use std::path::PathBuf;
use std::time::Duration;

use partner::{Answer, Partner};

use crate::protocol::{
    Hello, Metrics, Notes, PROTOCOL_VERSION, Position, Reported, TrialRequest, note_text,
};
use crate::schedule::launch::quoted;
use crate::spec::Config;

/// How long a worker may take to say hello, or to be silent while it has a trial: the coordinator's
/// own limits.
const HELLO: Duration = Duration::from_secs(120);
/// How long a worker may take to leave once its stdin is closed.
const LEAVE: Duration = Duration::from_secs(5);

/// What to check.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables, as a slot sets them.
    pub environment: Vec<(String, String)>,
    /// The file that its stderr goes to.
    pub log: PathBuf,
    /// The configuration of the trials.
    pub config: Config,
    /// The metric that a sweep would select by, if that matters.
    pub metric: Option<String>,
    /// How long a trial may take.
    pub patience: Duration,
}

/// What a check gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be; what was seen.
    Good(String),
    /// Not a breach, but not what one expects either.
    Odd(String),
    /// Against the protocol: what was seen, and what to do.
    Bad(String, &'static str),
}

/// One check: what was to be seen, and what was.
pub type Check = (&'static str, Verdict);

/// Goes through all checks, as far as they make sense after what was seen.
///
/// # Errors
/// The operating system's, if the log cannot be opened or the program not be started.
pub async fn check(subject: &Subject) -> std::io::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut worker = Partner::start(subject)?;
    if !hello(&mut worker, subject, &mut checks).await {
        worker.kill();
        return Ok(checks);
    }
    let request = |number: u32, seed: u64| TrialRequest {
        trial: format!("check{number:05}-{seed}"),
        seed,
        config: subject.config.clone(),
    };
    let first = worker.run(&[request(1, 0)], subject.patience).await;
    let mut healthy = result(&first, subject, &mut checks);
    if healthy {
        let again = worker.run(&[request(2, 0)], subject.patience).await;
        healthy = repeatable(&first, &again, &mut checks);
    }
    if healthy {
        let bundle = worker
            .run(&[request(3, 1), request(4, 2)], subject.patience)
            .await;
        healthy = bundled(&first, &bundle, &mut checks);
    }
    if healthy {
        // The same trial twice is what trials can have in common most.
        let shared = worker
            .share(&[request(6, 0), request(7, 0)], subject.patience)
            .await;
        healthy = sharing(&first, &shared, &mut checks);
    }
    if healthy {
        worker.close();
        checks.push((
            "leaves when its stdin is closed and it has nothing to do",
            leaving(worker.wait(LEAVE).await),
        ));
        checks.push(interrupted(subject, request(5, 3)).await?);
    } else {
        worker.kill();
    }
    Ok(checks)
}

async fn hello(worker: &mut Partner, subject: &Subject, checks: &mut Vec<Check>) -> bool {
    const WHAT: &str = "says hello";
    const HELP: &str = "print {\"type\":\"hello\",\"protocol\":1,\"program\":\"NAME\",\"version\":\"1\",\"device\":\"cpu\",\"threads\":1} as the first line \
                        of stdout, flush it, and print everything else to stderr";
    let hello: Hello = match worker.hello(HELLO).await {
        Ok(hello) => hello,
        Err(what) => {
            checks.push((WHAT, Verdict::Bad(what, HELP)));
            return false;
        }
    };
    if hello.protocol != PROTOCOL_VERSION {
        let seen = format!(
            "it speaks version {} of the protocol, this program version {PROTOCOL_VERSION}",
            hello.protocol
        );
        checks.push((
            WHAT,
            Verdict::Bad(
                seen,
                "see docs/protocol.md for the version that this program speaks",
            ),
        ));
        return false;
    }
    let unnamed: Vec<&str> = [
        ("program", &hello.program),
        ("version", &hello.version),
        ("device", &hello.device),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.trim().is_empty().then_some(key))
    .collect();
    checks.push(match unnamed.is_empty() {
        true => (
            WHAT,
            Verdict::Good(format!(
                "{} {} on {}",
                hello.program, hello.version, hello.device
            )),
        ),
        false => (
            WHAT,
            Verdict::Odd(format!(
                "without {}: the provenance of a report will lack it",
                unnamed.join(", ")
            )),
        ),
    });
    if let Some(metric) = subject
        .metric
        .as_ref()
        .filter(|metric| !hello.metrics.is_empty() && !hello.metrics.contains(metric))
    {
        let seen = format!(
            "its hello does not list {metric:?} (but {})",
            hello.metrics.join(", ")
        );
        checks.push((
            "reports the metric",
            Verdict::Bad(seen, "list it under `metrics`, or leave the list out"),
        ));
        return false;
    }
    true
}

/// A trial's history and final metrics, without what differs from run to run.
fn lasting(answer: &Answer) -> (Vec<(Position, Metrics)>, Option<Metrics>) {
    let history = answer
        .history
        .iter()
        .map(|(position, values)| (*position, values.numbers.without_wall_clock()))
        .collect();
    (
        history,
        answer
            .metrics
            .as_ref()
            .map(|metrics| metrics.numbers.without_wall_clock()),
    )
}

fn result(
    answers: &Result<Vec<Answer>, String>,
    subject: &Subject,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "runs a trial";
    const DIED: &str = "it died of this trial, which a sweep tries three times: the end of its stderr says why; what it can name itself it should \
                        say by `failed`, and live on";
    const HELP: &str = "answer `run` with `started`, any number of `epoch`, and `done` or `failed`, each with the trial's id";
    let verdict = match answers.as_ref().map(|answers| answers.first()) {
        Err(what) if what.starts_with("the worker ") => Verdict::Bad(what.clone(), DIED),
        Err(what) => Verdict::Bad(what.clone(), HELP),
        Ok(None) => Verdict::Bad("there was no answer".to_owned(), HELP),
        Ok(Some(Answer {
            failure: Some((kind, message)),
            ..
        })) => Verdict::Bad(
            format!("it failed with {kind}: {message}"),
            "name a configuration that it can run, e.g. --config '{\"lr\": 0.1}'; how it fails is seen in its log",
        ),
        Ok(Some(answer)) => {
            let metrics = answer.metrics.clone().unwrap_or_default();
            let names: Vec<&str> = metrics.numbers.0.keys().map(String::as_str).collect();
            match &subject.metric {
                Some(metric) if metrics.notes.get(metric).is_some() => {
                    let value = metrics.notes.get(metric).map(note_text).unwrap_or_default();
                    let seen = format!("{metric} of `done` is {value:?}, which is not a number");
                    Verdict::Bad(
                        seen,
                        "the metric that the sweep selects by is a number, or \"NaN\", \"Infinity\" or \"-Infinity\"",
                    )
                }
                Some(metric) if metrics.get(metric).is_none() => {
                    let seen = format!(
                        "its final metrics are {}, without {metric}",
                        names.join(", ")
                    );
                    Verdict::Bad(
                        seen,
                        "put the metric that the sweep selects by into `metrics` of `done`",
                    )
                }
                _ if names.is_empty() => Verdict::Bad(
                    "`done` has no metrics".to_owned(),
                    "put the final metrics into `done`",
                ),
                _ => Verdict::Good(format!(
                    "{} epochs, then {}",
                    answer.history.len(),
                    names.join(", ")
                )),
            }
        }
    };
    let good = matches!(verdict, Verdict::Good(_));
    checks.push((WHAT, verdict));
    if let Some(answer) = answers
        .as_ref()
        .ok()
        .and_then(|answers| answers.first())
        .filter(|_| good)
    {
        checks.push(("numbers its epochs", numbering(&answer.history)));
        checks.extend(notes(answer).map(|verdict| ("reports numbers", verdict)));
    }
    good
}

/// Epochs from 1, or positions that only grow.
fn numbering(history: &[(Position, Reported)]) -> Verdict {
    let positions: Vec<Position> = history.iter().map(|(position, _)| *position).collect();
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
        return Verdict::Odd("there are none, so learning curves will be empty".to_owned());
    };
    if positions
        .iter()
        .zip(1..)
        .all(|(position, number)| *position == Position::epoch(number))
    {
        return Verdict::Good(format!("1 to {}", positions.len()));
    }
    if first.unit == last.unit && positions.is_sorted_by(|a, b| a < b) {
        return Verdict::Good(format!(
            "{first} to {}, in {} rows",
            last.place,
            positions.len()
        ));
    }
    let shown: Vec<String> = positions
        .iter()
        .take(20)
        .map(|position| position.place.to_string())
        .collect();
    Verdict::Odd(format!(
        "[{}]: rows of one epoch become one row, and figures expect 1, 2, 3, ...",
        shown.join(", ")
    ))
}

/// What was reported that is no number; None if nothing was.
fn notes(answer: &Answer) -> Option<Verdict> {
    let mut all = Notes::default();
    let reports = answer
        .history
        .iter()
        .map(|(_, values)| values)
        .chain(&answer.metrics);
    reports.for_each(|values| all.extend(&values.notes));
    let shown: Vec<String> = all
        .iter()
        .take(5)
        .map(|(name, value)| format!("{name} = {}", quoted(&note_text(value))))
        .collect();
    (!all.is_empty()).then(|| {
        Verdict::Odd(format!(
            "not numbers, and kept as notes: {}",
            shown.join(", ")
        ))
    })
}

fn repeatable(
    first: &Result<Vec<Answer>, String>,
    again: &Result<Vec<Answer>, String>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "gives the same again for the same configuration and seed";
    let (Ok(first), Ok(again)) = (first, again) else {
        let what = again.as_ref().err().cloned().unwrap_or_default();
        checks.push((
            WHAT,
            Verdict::Bad(
                what,
                "a worker runs one trial after another: keep reading stdin after `done`",
            ),
        ));
        return false;
    };
    let same = first.first().map(lasting) == again.first().map(lasting);
    checks.push((
        WHAT,
        match same {
            true => Verdict::Good("bit for bit, wall-clock times aside".to_owned()),
            false => Verdict::Bad(
                "metrics or history differ".to_owned(),
                "derive all randomness from `seed`, and let nothing stay from the trial before; if the device itself is not \
             deterministic, `pentagrid verify` will say so too",
            ),
        },
    ));
    true
}

fn bundled(
    first: &Result<Vec<Answer>, String>,
    bundle: &Result<Vec<Answer>, String>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "answers every trial of a bundle";
    const HELP: &str =
        "`run` holds a list of trials: answer each of them (`--bundle` makes it longer than one)";
    match bundle {
        Err(what) => {
            checks.push((WHAT, Verdict::Bad(what.clone(), HELP)));
            return false;
        }
        Ok(answers) => {
            checks.push((WHAT, Verdict::Good(format!("{} of {0}", answers.len()))));
            let all: Vec<_> = first
                .iter()
                .flatten()
                .chain(answers)
                .map(|answer| lasting(answer).1)
                .collect();
            let verdict = match all.windows(2).all(|pair| pair[0] == pair[1]) {
                true => Verdict::Odd(
                    "seeds 0, 1 and 2 gave the same metrics: is `seed` used?".to_owned(),
                ),
                false => Verdict::Good("other seeds, other metrics".to_owned()),
            };
            checks.push(("uses the seed", verdict));
        }
    }
    true
}

/// Trials that it may compute together must give what they give alone.
fn sharing(
    first: &Result<Vec<Answer>, String>,
    shared: &Result<Vec<Answer>, String>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "shares work without changing a number";
    const HELP: &str = "with `\"share\":true` it may compute once what trials have in common, or ignore that: each is answered with its whole \
                        history and result, `same_as` names a trial of the group that it has finished, and `shared_epochs` counts rows of the history";
    let answers = match shared {
        Ok(answers) => answers,
        Err(what) => {
            checks.push((WHAT, Verdict::Bad(what.clone(), HELP)));
            return false;
        }
    };
    let alone = first.iter().flatten().next().map(lasting);
    let too_many = answers
        .iter()
        .find(|answer| answer.shared_epochs as usize > answer.history.len());
    let verdict = if let Some(answer) = too_many {
        let (shared, there) = (answer.shared_epochs, answer.history.len());
        Verdict::Bad(
            format!(
                "it says that {shared} epochs were computed for another trial, of a history of {there}"
            ),
            HELP,
        )
    } else if answers.iter().any(|answer| Some(lasting(answer)) != alone) {
        Verdict::Bad(
            "metrics or history are not those of the same trial by itself".to_owned(),
            HELP,
        )
    } else if answers
        .iter()
        .any(|answer| answer.same_as.is_some() || answer.shared_epochs > 0)
    {
        Verdict::Good("what two trials have in common was computed once".to_owned())
    } else {
        Verdict::Good("it computes each trial by itself".to_owned())
    };
    checks.push((WHAT, verdict));
    true
}

/// A second worker, whose stdin is closed in the middle of a trial.
async fn interrupted(subject: &Subject, request: TrialRequest) -> std::io::Result<Check> {
    const WHAT: &str = "leaves when its stdin is closed in the middle of a trial";
    let mut worker = Partner::start(subject)?;
    let ready = worker.hello(HELLO).await;
    let begun = match ready {
        Ok(_) => worker.begin(&request, subject.patience).await,
        Err(what) => Err(what),
    };
    worker.close();
    let verdict = match begun {
        Ok(()) => leaving(worker.wait(LEAVE).await),
        Err(what) => Verdict::Odd(format!("not seen: {what}")),
    };
    worker.kill();
    Ok((WHAT, verdict))
}

fn leaving(left: Option<String>) -> Verdict {
    match left {
        Some(how) => Verdict::Good(how),
        None => Verdict::Bad(
            format!("it was still there after {} s", LEAVE.as_secs()),
            "read stdin in a thread of its own, and exit at once when it ends: no worker may outlive its coordinator",
        ),
    }
}
