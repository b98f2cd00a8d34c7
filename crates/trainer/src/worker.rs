//! The worker's side of the protocol: reads bundles from stdin on a thread of its own, runs their
//! trials in order, answers through the channel, and sends heartbeats. `main` starts it.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pentagrid_protocol::task::METRICS;
use pentagrid_protocol::{
    FrameError, FromWorker, HEARTBEAT_VARIABLE, Hello, MAX_LINE, PROTOCOL_VERSION, Position,
    ToWorker, TrialRequest, decode_line,
};

use crate::channel::{Channel, exit_now, log};
use crate::cuda::wants_tf32;
use crate::device::Compute;
use crate::engine::{Session, Sharing};
use crate::error::TrialError;
use crate::libtorch;
use crate::pack::{
    self, Event, Kernels, Limit, Operations, PackOptions, Part, partition, uses_curvature,
};
use crate::settings::Settings;

/// How often a worker sends a heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// When the coordinator's last message came.
static LAST_MESSAGE: Mutex<Option<Instant>> = Mutex::new(None);

/// Trials to run, and whether they may share work.
#[derive(Debug, PartialEq)]
struct Bundle {
    trials: Vec<TrialRequest>,
    share: bool,
}

/// Why nothing more can be read from the coordinator.
#[derive(Debug, thiserror::Error)]
enum InputError {
    /// The system refused.
    #[error("stdin cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is not a message.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Runs trials until the coordinator closes stdin; then the process ends at once, even in the
/// middle of a trial.
///
/// # Errors
/// If a thread cannot be started.
pub(crate) fn serve(out: Channel, compute: Compute, limit: Limit) -> io::Result<()> {
    let kernels = if compute.device.is_cuda() && limit.preferred_bundle() > 0 {
        compile_kernels()
    } else {
        None
    };

    // `hello` says whether there are kernels, because results depend on them.
    let hello = hello(compute, limit, kernels.is_some());
    let mut worker = Worker {
        session: Session::new(compute.device).in_form(compute.form),
        kernels,
        limit,
    };

    let out = Arc::new(out);
    let (sender, bundles) = channel();
    start_thread("requests", move || receive(&sender))?;
    out.send(&FromWorker::Hello(hello));
    let heart = Arc::clone(&out);
    start_thread("heartbeat", move || send_heartbeats(&heart))?;

    // Ends only if the thread that reads has ended without ending the process.
    for bundle in bundles {
        worker.run_bundle(bundle, &mut |message| out.send(&message));
    }
    Ok(())
}

fn start_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
}

/// Receives bundles until the input ends, then ends the process.
fn receive(bundles: &Sender<Bundle>) {
    match read_requests(&mut io::stdin().lock(), bundles) {
        Ok(()) => exit_now(0),
        Err(error) => {
            log(format_args!("bad input from the coordinator: {error}"));
            exit_now(2)
        }
    }
}

/// Sends heartbeats. Ends the process if the coordinator has been silent for longer than the
/// environment allows: it cannot be reached any more, and may have started another worker.
fn send_heartbeats(out: &Channel) {
    let max_silence = std::env::var(HEARTBEAT_VARIABLE)
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    // Frequent enough to notice a silence soon after it is too long.
    let interval = max_silence.map_or(HEARTBEAT_INTERVAL, |silence| {
        HEARTBEAT_INTERVAL.min(silence / 4)
    });

    note_message();
    loop {
        thread::sleep(interval);
        if let Some(max_silence) = max_silence
            && silence() > max_silence
        {
            let seconds = max_silence.as_secs();
            log(format_args!(
                "nothing was heard of the coordinator for {seconds} s"
            ));
            exit_now(1);
        }
        out.send(&FromWorker::Heartbeat);
    }
}

/// Notes that a message of the coordinator has come.
fn note_message() {
    let mut last = LAST_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner);
    *last = Some(Instant::now());
}

/// How long ago the coordinator's last message came.
fn silence() -> Duration {
    let last = LAST_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner);
    last.map_or(Duration::ZERO, |at| at.elapsed())
}

/// The kernels for packs on a GPU. Without them packs compute with libtorch's, which are slower and
/// round differently.
fn compile_kernels() -> Option<Rc<dyn Operations>> {
    match Kernels::compile(wants_tf32()) {
        Ok(kernels) => Some(Rc::new(kernels)),
        Err(error) => {
            log(format_args!(
                "packs run without pentagrid's own kernels: {error}"
            ));
            None
        }
    }
}

fn hello(compute: Compute, limit: Limit, own_kernels: bool) -> Hello {
    // The libraries and switches that the bits of a result depend on.
    let pack = limit.preferred_bundle();
    let mut libraries = vec![libtorch::name()];
    if compute.device.is_cuda() {
        libraries.push(format!("TF32 {}", if wants_tf32() { "on" } else { "off" }));
    }
    libraries.extend(compute.form.remarks().map(str::to_owned));
    if pack > 0 {
        let kernels = if own_kernels { " on own kernels" } else { "" };
        libraries.push(format!("packs of up to {pack} trials{kernels}"));
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

/// Passes on bundles until the input ends. A last line without its newline is not a message: the
/// coordinator has died while it wrote it.
fn read_requests(input: &mut impl BufRead, bundles: &Sender<Bundle>) -> Result<(), InputError> {
    // One byte more than a message may have tells a line that is too long from one that ends there.
    let limit = MAX_LINE as u64 + 1;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line)?;
        if read as u64 != limit && line.last() != Some(&b'\n') {
            return Ok(());
        }

        note_message();
        match decode_line(&line)? {
            ToWorker::Heartbeat => {}
            ToWorker::Run { bundle, share } => {
                let bundle = Bundle {
                    trials: bundle,
                    share,
                };
                if bundles.send(bundle).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// What bundles are run with.
struct Worker {
    session: Session,
    kernels: Option<Rc<dyn Operations>>,
    /// How many models a pack may have. It shrinks when packs turn out not to fit.
    limit: Limit,
}

impl Worker {
    /// Runs a bundle's trials, in packs where they can be packed.
    fn run_bundle(&mut self, bundle: Bundle, send: &mut dyn FnMut(FromWorker)) {
        let Bundle { trials, share } = bundle;
        for part in partition(trials, self.limit, self.kernels.is_some()) {
            match part {
                Part::Single(request) => {
                    run_trial(&mut self.session, request, share, send);
                }
                Part::Pack { requests, settings } => {
                    let max_models = self
                        .limit
                        .models(settings[0].batch_size, uses_curvature(&settings));
                    let options = PackOptions {
                        operations: self.kernels.as_ref(),
                        max_models,
                        share,
                    };
                    let fitted = run_pack(&mut self.session, options, &requests, &settings, send);
                    // Later packs start with what has been found to fit.
                    if fitted < max_models {
                        self.limit = Limit::Models(fitted);
                    }
                }
            }
        }
    }
}

/// How far the messages about a trial of a pack have got.
#[derive(Clone, Copy, Default)]
struct Sent {
    started: bool,
    ended: bool,
}

/// Runs trials as packs and sends their messages. Returns how many models fit into a pack.
fn run_pack(
    session: &mut Session,
    options: PackOptions<'_>,
    requests: &[TrialRequest],
    settings: &[Settings],
    send: &mut dyn FnMut(FromWorker),
) -> usize {
    let seed = requests.first().map_or(0, |request| request.seed);
    let mut sent = vec![Sent::default(); requests.len()];
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pack::run(session, options, settings, seed, &mut |index, event| {
            sent[index].started = true;
            sent[index].ended = matches!(event, Event::Done { .. } | Event::Failed { .. });
            send(pack_message(requests, index, event));
        })
    }));

    // After a panic, every trial that has not ended gets its messages here.
    outcome.unwrap_or_else(|payload| {
        let error = TrialError::from_panic(&*payload);
        for (request, sent) in requests.iter().zip(&sent) {
            if sent.ended {
                continue;
            }
            if !sent.started {
                send(started(&request.trial));
            }
            send(failed(&request.trial, &error));
        }
        options.max_models
    })
}

/// The message about an event of a trial in a pack.
fn pack_message(requests: &[TrialRequest], index: usize, event: Event) -> FromWorker {
    let trial = requests[index].trial.clone();
    match event {
        Event::Started => FromWorker::Started { trial },
        Event::Epoch { epoch, values } => FromWorker::Epoch {
            trial,
            position: Position::epoch(epoch),
            values: values.into(),
        },
        Event::Done {
            metrics,
            same_as,
            shared_epochs,
        } => FromWorker::Done {
            trial,
            metrics: metrics.into(),
            same_as: same_as.map(|index| requests[index].trial.clone()),
            shared_epochs,
        },
        Event::Failed { kind, message } => FromWorker::Failed {
            trial,
            kind,
            message,
        },
    }
}

fn started(trial: &str) -> FromWorker {
    FromWorker::Started {
        trial: trial.to_owned(),
    }
}

fn failed(trial: &str, error: &TrialError) -> FromWorker {
    FromWorker::Failed {
        trial: trial.to_owned(),
        kind: error.kind(),
        message: error.to_string(),
    }
}

/// Runs a trial, sharing work with others or not, and sends its messages. The worker survives any
/// failure of it. Returns whether the trial finished.
pub(crate) fn run_trial(
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
    send(started(&trial));
    let sharing = if share {
        Sharing::As(&trial)
    } else {
        Sharing::None
    };

    // The session takes its state out while it changes it, so a panic leaves nothing half-done.
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
        Ok(outcome) => {
            send(FromWorker::Done {
                trial,
                metrics: outcome.metrics.into(),
                same_as: outcome.taken.same_as,
                shared_epochs: outcome.taken.epochs,
            });
            true
        }
        Err(error) => {
            send(failed(&trial, &error));
            false
        }
    }
}

#[cfg(test)]
mod tests;
