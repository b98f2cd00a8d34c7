//! Talks to a worker as the coordinator does and finds out what it does wrong, for `pentagrid
//! worker-check`. Each check is one promise of `docs/protocol.md`.

mod answer;
mod checks;
mod error;
mod partner;

use std::path::PathBuf;
use std::time::Duration;

use partner::Partner;

use crate::protocol::{Hello, PROTOCOL_VERSION, TrialRequest};
use crate::spec::Config;

/// How long a worker may take to say hello, or may be silent while it has a trial: the limits of
/// the coordinator.
const HELLO_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a worker may take to exit after its stdin is closed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What to check.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables, as a slot sets them.
    pub environment: Vec<(String, String)>,
    /// The file for its stderr.
    pub log: PathBuf,
    /// The configuration of the trials.
    pub config: Config,
    /// The metric that a sweep would select by, if that matters.
    pub metric: Option<String>,
    /// How long a trial may take.
    pub trial_timeout: Duration,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be, with what was seen.
    Good(String),
    /// Not a breach, but unexpected.
    Odd(String),
    /// Against the protocol: what was seen, and what to do.
    Bad(String, &'static str),
}

/// A check: what was to be seen, and its result.
pub type Check = (&'static str, Verdict);

/// Makes all checks, as far as they make sense after the results so far.
///
/// # Errors
/// The operating system's, if the log cannot be opened or the program not be started.
pub async fn check(subject: &Subject) -> std::io::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut worker = Partner::start(subject)?;
    let is_well = check_hello(&mut worker, subject, &mut checks).await
        && check_trials(&mut worker, subject, &mut checks).await;
    if !is_well {
        worker.kill();
        return Ok(checks);
    }

    worker.close();
    let exit = worker.wait(EXIT_TIMEOUT).await;
    checks.push((
        "leaves when its stdin is closed and it has nothing to do",
        exited(exit),
    ));
    checks.push(check_interruption(subject).await?);
    Ok(checks)
}

/// Checks the worker's hello. Returns whether it makes sense to continue.
async fn check_hello(worker: &mut Partner, subject: &Subject, checks: &mut Vec<Check>) -> bool {
    const WHAT: &str = "says hello";
    const HELP: &str = "print {\"type\":\"hello\",\"protocol\":1,\"program\":\"NAME\",\"version\":\"1\",\"device\":\"cpu\",\"threads\":1} as the first line \
                        of stdout, flush it, and print everything else to stderr";
    let hello = match worker.hello(HELLO_TIMEOUT).await {
        Ok(hello) => hello,
        Err(error) => {
            checks.push((WHAT, Verdict::Bad(error.to_string(), HELP)));
            return false;
        }
    };
    if hello.protocol != PROTOCOL_VERSION {
        let seen = format!(
            "it speaks version {} of the protocol, this program version {PROTOCOL_VERSION}",
            hello.protocol
        );
        let help = "see docs/protocol.md for the version that this program speaks";
        checks.push((WHAT, Verdict::Bad(seen, help)));
        return false;
    }
    checks.push((WHAT, introduction(&hello)));

    let Some(metric) = &subject.metric else {
        return true;
    };
    if hello.metrics.is_empty() || hello.metrics.contains(metric) {
        return true;
    }
    let seen = format!(
        "its hello does not list {metric:?} (but {})",
        hello.metrics.join(", ")
    );
    let help = "list it under `metrics`, or leave the list out";
    checks.push(("reports the metric", Verdict::Bad(seen, help)));
    false
}

/// Whether a hello says all that a report shows.
fn introduction(hello: &Hello) -> Verdict {
    let missing: Vec<&str> = [
        ("program", &hello.program),
        ("version", &hello.version),
        ("device", &hello.device),
    ]
    .into_iter()
    .filter(|(_, value)| value.trim().is_empty())
    .map(|(key, _)| key)
    .collect();
    if missing.is_empty() {
        return Verdict::Good(format!(
            "{} {} on {}",
            hello.program, hello.version, hello.device
        ));
    }
    Verdict::Odd(format!(
        "without {}: the provenance of a report will lack it",
        missing.join(", ")
    ))
}

/// Checks how the worker runs trials. Returns whether it makes sense to continue.
async fn check_trials(worker: &mut Partner, subject: &Subject, checks: &mut Vec<Check>) -> bool {
    let timeout = subject.trial_timeout;
    let first = worker.run(&[request(subject, 1, 0)], timeout).await;
    if !checks::result(&first, subject, checks) {
        return false;
    }
    // The check above has failed if there is no answer.
    let first = first.unwrap_or_default();

    let again = worker.run(&[request(subject, 2, 0)], timeout).await;
    if !checks::repeatable(&first, &again, checks) {
        return false;
    }
    let bundle = [request(subject, 3, 1), request(subject, 4, 2)];
    let answers = worker.run(&bundle, timeout).await;
    if !checks::bundled(&first, &answers, checks) {
        return false;
    }
    // The same trial twice has as much in common as trials can have.
    let twins = [request(subject, 6, 0), request(subject, 7, 0)];
    let shared = worker.share(&twins, timeout).await;
    checks::sharing(&first, &shared, checks)
}

fn request(subject: &Subject, number: u32, seed: u64) -> TrialRequest {
    TrialRequest {
        trial: format!("check{number:05}-{seed}"),
        seed,
        config: subject.config.clone(),
    }
}

/// Checks a second worker, whose stdin is closed in the middle of a trial.
async fn check_interruption(subject: &Subject) -> std::io::Result<Check> {
    const WHAT: &str = "leaves when its stdin is closed in the middle of a trial";
    let mut worker = Partner::start(subject)?;
    let begun = match worker.hello(HELLO_TIMEOUT).await {
        Ok(_) => {
            let request = request(subject, 5, 3);
            worker.begin(&request, subject.trial_timeout).await
        }
        Err(error) => Err(error),
    };
    worker.close();
    let verdict = match begun {
        Ok(()) => exited(worker.wait(EXIT_TIMEOUT).await),
        Err(error) => Verdict::Odd(format!("not seen: {error}")),
    };
    worker.kill();
    Ok((WHAT, verdict))
}

/// Whether a worker has exited in time.
fn exited(exit: Option<String>) -> Verdict {
    match exit {
        Some(how) => Verdict::Good(how),
        None => Verdict::Bad(
            format!("it was still there after {} s", EXIT_TIMEOUT.as_secs()),
            "read stdin in a thread of its own, and exit at once when it ends: no worker may outlive its coordinator",
        ),
    }
}
