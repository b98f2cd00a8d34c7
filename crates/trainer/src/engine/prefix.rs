//! The common beginning of Hybrid trials: until its switch, Hybrid is SGD with momentum. `session`
//! holds the last such beginning. Each trial takes the epochs that are there, adds those that are
//! missing, and branches off. A trial gets exactly the numbers that it would get by itself.

use pentagrid_protocol::Metrics;

use super::trial::{Progress, Row, Trial};
use crate::error::TrialError;
use crate::model::ResNet18;
use crate::optim::{AdahessianSettings, HybridSettings, Optimizer, OptimizerSettings};
use crate::settings::Settings;

/// Everything that a beginning depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PrefixKey {
    /// The settings of the trial that never switches: SGD with momentum.
    settings: Settings,
    seed: u64,
}

impl PrefixKey {
    /// The beginning of a trial, if other trials may begin in the same way.
    pub(super) fn of(settings: &Settings, seed: u64) -> Option<Self> {
        let first = match &settings.optimizer {
            OptimizerSettings::SgdMomentum(first) => first,
            OptimizerSettings::Hybrid(hybrid) => &hybrid.first,
            OptimizerSettings::Sgd(_)
            | OptimizerSettings::Adam(_)
            | OptimizerSettings::Adahessian(_) => return None,
        };
        // Everything else in the settings, such as the number of epochs, must be the same too.
        let optimizer = OptimizerSettings::SgdMomentum(first.clone());
        Some(Self {
            settings: Settings {
                optimizer,
                ..settings.clone()
            },
            seed,
        })
    }
}

/// A beginning, as far as some trial needed it, and the endings that were computed from it.
pub(super) struct Prefix {
    key: PrefixKey,
    progress: Progress,
    optimizer: Box<dyn Optimizer>,
    rows: Vec<Row>,
    /// The state after each epoch whose loss was lower than any before it. A trial switches at the
    /// first epoch below its threshold, so it can switch at no other.
    lows: Vec<Progress>,
    endings: Vec<Ending>,
}

/// What a trial reused of other trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The trial that has the same result, by the name that `Prefix::run` was given.
    pub same_as: Option<String>,
    /// How many epochs were there already.
    pub epochs: u32,
}

/// The result of a trial.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its final metrics.
    pub metrics: Metrics,
    /// What it reused.
    pub taken: Taken,
}

/// The rest of all trials that switch at one epoch to one optimizer, or that never switch.
struct Ending {
    branch: Option<Branch>,
    /// The first trial that ended like this.
    name: String,
    /// The epochs after the switch.
    rows: Vec<EndingRow>,
    metrics: Metrics,
}

/// A switch: the epoch at whose end it happens, and the second phase.
#[derive(Clone, PartialEq)]
struct Branch {
    epoch: u32,
    second: AdahessianSettings,
}

/// A row of history after the switch.
struct EndingRow {
    epoch: u32,
    values: Metrics,
}

impl Prefix {
    /// A beginning before its first epoch. The network is at the seed's starting weights.
    pub(super) fn start(key: PrefixKey, network: ResNet18) -> Self {
        let optimizer = key.settings.optimizer.start(key.seed);
        Self {
            key,
            progress: Progress::start(network),
            optimizer,
            rows: Vec::new(),
            lows: Vec::new(),
            endings: Vec::new(),
        }
    }

    /// Whether this is the beginning of that key.
    pub(super) fn is_of(&self, key: &PrefixKey) -> bool {
        self.key == *key
    }

    /// Runs a trial that begins like this, as `Trial::run` does. Other trials will know it by
    /// `name`.
    ///
    /// # Errors
    /// As for `Trial::run`. The beginning may be in the middle of a step then, and must not be used
    /// again.
    pub(super) fn run(
        &mut self,
        trial: &Trial<'_>,
        name: &str,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<Outcome, TrialError> {
        let mut taken = Taken::default();
        let hybrid = match &trial.settings.optimizer {
            OptimizerSettings::Hybrid(hybrid) => Some(hybrid),
            _ => None,
        };

        for epoch in 1..=trial.settings.epochs {
            taken.epochs += u32::from(self.rows.len() >= epoch as usize);
            let mut row = self.row(epoch, trial)?;
            // NaN is below no threshold, as in `optim/hybrid.rs`.
            let switching = hybrid.filter(|hybrid| row.val_loss < hybrid.tl);
            row.tell_switch(trial.settings, switching.is_some());
            report(epoch, row.values);
            if let Some(HybridSettings { second, .. }) = switching {
                let second = second.clone();
                let branch = Branch { epoch, second };
                return self.run_branch(branch, trial, name, taken, report);
            }
        }

        // The trial has never switched.
        if let Some(ending) = self.ending(None) {
            return Ok(ending.reuse(taken));
        }
        let metrics = trial.finish(&self.progress)?;
        self.endings.push(Ending {
            branch: None,
            name: name.to_owned(),
            rows: Vec::new(),
            metrics: metrics.clone(),
        });
        Ok(Outcome { metrics, taken })
    }

    /// The ending of trials with that switch, if one was computed.
    fn ending(&self, branch: Option<&Branch>) -> Option<&Ending> {
        self.endings
            .iter()
            .find(|ending| ending.branch.as_ref() == branch)
    }

    /// The row of an epoch, which is trained if no trial has needed it yet.
    fn row(&mut self, epoch: u32, trial: &Trial<'_>) -> Result<Row, TrialError> {
        if let Some(row) = self.rows.get(epoch as usize - 1) {
            return Ok(row.clone());
        }

        let row = trial.epoch(&mut self.progress, &mut *self.optimizer)?;
        let is_low = !row.val_loss.is_nan()
            && !self
                .rows
                .iter()
                .any(|before| before.val_loss <= row.val_loss);
        // A copy, because the beginning goes on for the next trial.
        if is_low {
            self.lows.push(self.progress.duplicate()?);
        }
        self.rows.push(row.clone());
        Ok(row)
    }

    /// The second phase of a trial that switches at the end of that epoch.
    fn run_branch(
        &mut self,
        branch: Branch,
        trial: &Trial<'_>,
        name: &str,
        mut taken: Taken,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<Outcome, TrialError> {
        if let Some(ending) = self.ending(Some(&branch)) {
            for row in &ending.rows {
                report(row.epoch, row.values.clone());
            }
            taken.epochs += ending.rows.len() as u32;
            return Ok(ending.reuse(taken));
        }

        let Some(low) = self.lows.iter().find(|low| low.epoch() == branch.epoch) else {
            unreachable!("the first epoch below a threshold is lower than all epochs before it")
        };
        // A copy, because other trials may branch off at the same epoch.
        let mut progress = low.duplicate()?;
        progress.note_switch();
        let mut rows = Vec::new();
        let mut optimizer = OptimizerSettings::Adahessian(branch.second.clone()).start(trial.seed);
        trial.train(&mut progress, &mut *optimizer, &mut |epoch, values| {
            rows.push(EndingRow {
                epoch,
                values: values.clone(),
            });
            report(epoch, values);
        })?;

        let metrics = trial.finish(&progress)?;
        self.endings.push(Ending {
            branch: Some(branch),
            name: name.to_owned(),
            rows,
            metrics: metrics.clone(),
        });
        Ok(Outcome { metrics, taken })
    }
}

impl Ending {
    /// The outcome of a later trial that ends like this.
    fn reuse(&self, taken: Taken) -> Outcome {
        Outcome {
            metrics: self.metrics.clone(),
            taken: Taken {
                same_as: Some(self.name.clone()),
                ..taken
            },
        }
    }
}
