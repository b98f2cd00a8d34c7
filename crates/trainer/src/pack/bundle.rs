//! Runs the trials of one pack key as packs: prepares images, starting weights and kernels, then
//! hands over to `rounds`. The worker gets the same events for each trial as if it ran by itself.

use std::rc::Rc;

use pentagrid_protocol::{FailureKind, Metrics};

use super::native::Operations;
use super::network::Networks;
use super::rounds::Rounds;
use super::rules;
use super::training::{Images, Pack, Passes};
use crate::data::Batches;
use crate::engine::{Session, Trial};
use crate::error::TrialError;
use crate::optim::OptimizerSettings;
use crate::settings::Settings;

/// Progress of a trial, to be sent to the coordinator.
#[derive(Debug)]
pub(crate) enum Event {
    /// It starts.
    Started,
    /// A row of its history.
    Epoch {
        /// The epoch, from 1.
        epoch: u32,
        /// What was measured at its end.
        values: Metrics,
    },
    /// It is finished.
    Done {
        /// Its final metrics.
        metrics: Metrics,
        /// The index of the trial whose result it reuses, if it was not computed again.
        same_as: Option<usize>,
        /// How many of its epochs were computed for another trial.
        shared_epochs: u32,
    },
    /// It has failed.
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// The reason, as text.
        message: String,
    },
}

/// How the trials of a bundle are packed.
#[derive(Clone, Copy)]
pub(crate) struct PackOptions<'a> {
    /// The kernels to compute with; `None` for libtorch's operations alone.
    pub operations: Option<&'a Rc<dyn Operations>>,
    /// Maximum number of models in a pack.
    pub max_models: usize,
    /// Whether to compute only once what trials have in common.
    pub share: bool,
}

/// Runs trials of one key in packs and returns how many models were found to fit into one: a pack
/// that runs out of memory before the end of its first epoch is halved.
///
/// `report` gets each trial's events with the index of the trial. Errors are reported as failed
/// trials; no trial is lost.
pub(crate) fn run(
    session: &mut Session,
    options: PackOptions<'_>,
    trials: &[Settings],
    seed: u64,
    report: &mut dyn FnMut(usize, Event),
) -> usize {
    let outcome = try_run(session, options, trials, seed, report);

    // All errors that get here come from the preparation, before any event of a trial.
    outcome.unwrap_or_else(|error| {
        for trial in 0..trials.len() {
            report(trial, Event::Started);
            report(trial, Event::failed(&error));
        }
        options.max_models
    })
}

/// `run`, with the errors of the preparation returned instead of reported.
fn try_run(
    session: &mut Session,
    options: PackOptions<'_>,
    trials: &[Settings],
    seed: u64,
    report: &mut dyn FnMut(usize, Event),
) -> Result<usize, TrialError> {
    // The key covers everything but the hyper-parameters, so any trial's settings will do.
    let Some(settings) = trials.first() else {
        return Ok(options.max_models);
    };
    let sets = session.sets(settings.data_dir.clone())?;
    let network = session.network(seed, settings.batch_size)?;

    let trial = Trial {
        settings,
        seed,
        sets: &sets,
        device: session.device(),
    };
    let train = trial.training_set()?;
    let images = Images {
        batches: Batches::new(&train, settings.batch_size)?,
        train,
        val: &sets.val,
        test: &sets.test,
        device: session.device(),
    };
    let start = Rc::new(Networks::of(&network, 1)?);
    drop(network);

    if let Some(operations) = options.operations
        && session.is_first(settings)
    {
        // A failure here is not reported: the trials will meet it again, and report it then.
        let _ = warm_up(operations, &start, settings, &images);
    }

    let mut rounds = Rounds::new(trials, seed, &images, options, report);
    let first_models = rounds.first_models(&start);
    let first = rounds.run(first_models, options.max_models);
    let second = rounds.run(first.branches, first.max_models);
    Ok(second.max_models)
}

/// Takes one step and one evaluation, as the trials will, on copies that are thrown away. The first
/// use of a kernel loads it and takes memory, which must not count as training time.
fn warm_up(
    operations: &Rc<dyn Operations>,
    start: &Networks,
    settings: &Settings,
    images: &Images<'_>,
) -> Result<(), TrialError> {
    // Both phases of Hybrid use kernels of their own.
    let rules = match &settings.optimizer {
        OptimizerSettings::Hybrid(own) => {
            vec![
                OptimizerSettings::SgdMomentum(own.first.clone()),
                OptimizerSettings::Adahessian(own.second.clone()),
            ]
        }
        own => vec![own.clone()],
    };

    for rule in rules {
        let networks = Networks::join(&[start])?;
        let rule = rules::start(&[rule], 0, networks.weights())?;
        let passes = Some(Passes::new(Rc::clone(operations), &networks));
        let mut pack = Pack {
            networks,
            rule,
            passes,
        };
        pack.warm_up(images)?;
    }
    Ok(())
}

impl Event {
    /// The failure of a trial with that error.
    pub(super) fn failed(error: &TrialError) -> Self {
        Self::Failed {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}
