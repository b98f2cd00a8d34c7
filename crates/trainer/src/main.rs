//! `pentagrid-trainer`, the built-in task: ResNet18 on MNIST. Started without arguments, it is a
//! worker of the coordinator (`pentagrid`); with `--config` it runs one trial. No other program of
//! pentagrid uses libtorch.
//!
//! ```text
//! main -> worker -> engine (session, prefix, trial, evaluate) -> data, model, optim, probes
//!           |   \-> pack (many trials as one network)         ->  the same
//!         channel -> the coordinator
//! ```

#![warn(unreachable_pub)]

mod channel;
mod cuda;
mod data;
mod device;
mod engine;
mod error;
#[cfg(test)]
mod golden;
mod libtorch;
#[cfg(test)]
mod margins;
mod model;
mod optim;
mod pack;
mod probes;
mod processor;
mod rng;
mod settings;
mod tensors;
mod worker;

use std::io::{self, IsTerminal, stdin};
use std::process::ExitCode;

use clap::Parser;
use pentagrid_protocol::{Config, TrialRequest};

use crate::channel::{Channel, log};
use crate::device::{Compute, DeviceError, wants_cuda};
use crate::engine::Session;
use crate::pack::{Limit, LimitError};

/// Trains ResNet18 on MNIST: the built-in task of pentagrid.
///
/// Without arguments it is a worker: pentagrid starts it, sends trials as JSON lines on
/// its stdin and reads the answers from its stdout. It ends when its stdin is closed.
///
/// With --config and --seed it runs that one trial and prints the same JSON lines:
/// `started`, an `epoch` each, then `done` or `failed`. `pentagrid show` prints the line
/// that reruns a trial so.
///
/// Environment:
///   PENTAGRID_DEVICE   cpu (the default) or cuda, the first of CUDA_VISIBLE_DEVICES
///   PENTAGRID_PACK     maximum number of trials of a bundle to train as one network;
///                      1 for none. By default as many as fit on a GPU, none on a CPU
///   PENTAGRID_TF32     1 lets a GPU multiply with 10 bits of mantissa, which is faster
///   PENTAGRID_THREADS  CPU threads, 1 by default; others change the rounding of results
///
/// For checks on a CPU, which show whether rounding or the network's form decides on a result.
/// Trials are then trained one by one, regardless of PENTAGRID_PACK:
///   PENTAGRID_PRECISION  single (the default) or double
///   PENTAGRID_DEAD_TAPS  1 keeps the weights that only ever meet padding
///
/// Exit codes: 0 done; 1 the trial failed; 2 bad usage, configuration text or message.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// The trial's hyper-parameters as a JSON object, e.g. '{"optimizer": "sgd", "lr": 0.01,
    /// "epochs": 3}'
    #[arg(long, value_name = "JSON", requires = "seed", value_parser = read_config)]
    config: Option<Config>,
    /// The seed that all of the trial's randomness derives from
    #[arg(long, value_name = "N", requires = "config")]
    seed: Option<u64>,
}

fn read_config(text: &str) -> Result<Config, serde_json::Error> {
    serde_json::from_str(text)
}

/// Why the trainer ends without having run anything.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot restart with the switches for TF32: {0}")]
    Tf32(io::Error),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("cannot set stdout aside for messages: {0}")]
    Stdout(io::Error),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl StartError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Device(_) | Self::Limit(_) => ExitCode::from(2),
            Self::Tf32(_) | Self::Stdout(_) | Self::Thread(_) => ExitCode::FAILURE,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(arguments).unwrap_or_else(|error| {
        log(&error);
        error.exit_code()
    })
}

fn run(arguments: Arguments) -> Result<ExitCode, StartError> {
    if wants_cuda() {
        cuda::settle_tf32().map_err(StartError::Tf32)?;
        // Not fatal: if there is no GPU without the library, libtorch will say so.
        if let Err(error) = cuda::load() {
            log(error);
        }
    }
    let compute = Compute::from_environment()?;
    let channel = Channel::take_stdout().map_err(StartError::Stdout)?;

    if let (Some(config), Some(seed)) = (arguments.config, arguments.seed) {
        let request = TrialRequest {
            trial: "by-hand".to_owned(),
            seed,
            config,
        };
        let mut session = Session::new(compute.device).in_form(compute.form);
        let finished = worker::run_trial(&mut session, request, false, &mut |message| {
            channel.send(&message);
        });
        return Ok(if finished {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }

    let limit = Limit::from_environment(compute)?;
    if stdin().is_terminal() {
        log(
            "waiting for messages of a coordinator on stdin; see --help for running one trial by hand",
        );
    }
    worker::serve(channel, compute, limit).map_err(StartError::Thread)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        let parse = |arguments: &[&str]| {
            Arguments::try_parse_from([&["pentagrid-trainer"], arguments].concat())
        };
        assert!(parse(&[]).unwrap().config.is_none());
        let given = parse(&["--config", r#"{"lr": 1e-4}"#, "--seed", "3"]).unwrap();
        assert_eq!(
            (given.seed, given.config.unwrap().canonical().as_str()),
            (Some(3), r#"{"lr":0.0001}"#)
        );
        assert!(parse(&["--seed", "3"]).is_err() && parse(&["--config", "{}"]).is_err());
        assert!(parse(&["--config", "{lr: 1}", "--seed", "3"]).is_err());
    }
}
