//! The common beginning of Hybrid trials: until its switch, Hybrid is SGD with momentum. `session`
//! holds the last such beginning; each trial of it takes the epochs that are there, adds those that
//! are missing, and branches off. Exact: a trial gets the numbers that it would have got by itself.

use pentagrid_protocol::Metrics;

use super::trial::{Progress, Row, Trial};
use crate::error::TrialError;
use crate::model::ResNet18;
use crate::optim::{AdahessianSettings, HybridSettings, Optimizer, OptimizerSettings};
use crate::settings::Settings;

/// What a beginning is a function of.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixKey {
    /// The settings of the trial that never switches: SGD with momentum.
    settings: Settings,
    seed: u64,
}

impl PrefixKey {
    /// The beginning of a trial, if it may have it in common with others.
    pub fn of(settings: &Settings, seed: u64) -> Option<Self> {
        let first = match &settings.optimizer {
            OptimizerSettings::SgdMomentum(first) => first,
            OptimizerSettings::Hybrid(hybrid) => &hybrid.first,
            OptimizerSettings::Sgd(_)
            | OptimizerSettings::Adam(_)
            | OptimizerSettings::Adahessian(_) => return None,
        };
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

/// A beginning, as far as some trial needed it, and the endings that have been found.
pub struct Prefix {
    key: PrefixKey,
    progress: Progress,
    optimizer: Box<dyn Optimizer>,
    rows: Vec<Row>,
    /// The state after each epoch whose loss was lower than any before it. A trial switches at the
    /// first epoch below its threshold, so it can switch at no other.
    lows: Vec<Progress>,
    endings: Vec<Ending>,
}

/// What a trial took from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The trial that it is the same as, as `Prefix::run` was told its name.
    pub same_as: Option<String>,
    /// Epochs that were there.
    pub epochs: u32,
}

/// How trials end that switch at one epoch to one optimizer, or never.
struct Ending {
    branch: Option<(u32, AdahessianSettings)>,
    /// The trial that was the first to end so.
    of: String,
    /// The rows after the switch.
    rows: Vec<(u32, Metrics)>,
    metrics: Metrics,
}

impl Prefix {
    /// A beginning of which nothing is done. The network is at the seed's starting weights.
    pub fn start(key: PrefixKey, network: ResNet18) -> Self {
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
    pub fn is_of(&self, key: &PrefixKey) -> bool {
        self.key == *key
    }

    /// Runs a trial that begins so, called `name`; as `Trial::run`, and tells what it took from
    /// others.
    ///
    /// # Errors
    /// As for `Trial::run`. The beginning may be half-made then and must not be used again.
    pub fn run(
        &mut self,
        trial: &Trial<'_>,
        name: &str,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<(Metrics, Taken), TrialError> {
        let mut taken = Taken::default();
        let hybrid = match &trial.settings.optimizer {
            OptimizerSettings::Hybrid(hybrid) => Some(hybrid),
            _ => None,
        };
        for epoch in 1..=trial.settings.epochs {
            taken.epochs += u32::from(self.rows.len() >= epoch as usize);
            let mut row = self.row(epoch, trial)?;
            // NaN is below nothing, as in `optim/hybrid.rs`.
            let switching = hybrid.filter(|hybrid| row.val_loss < hybrid.tl);
            row.tell_switch(trial.settings, switching.is_some());
            report(epoch, row.values);
            if let Some(hybrid) = switching {
                return self.branch((epoch, hybrid), (trial, name), taken, report);
            }
        }
        if let Some(ending) = self.endings.iter().find(|ending| ending.branch.is_none()) {
            taken.same_as = Some(ending.of.clone());
            return Ok((ending.metrics.clone(), taken));
        }
        let metrics = trial.finish(&self.progress)?;
        self.endings.push(Ending {
            branch: None,
            of: name.to_owned(),
            rows: Vec::new(),
            metrics: metrics.clone(),
        });
        Ok((metrics, taken))
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
        if is_low {
            self.lows.push(self.progress.duplicate()?);
        }
        self.rows.push(row.clone());
        Ok(row)
    }

    /// The second phase of a trial that switches at the end of that epoch.
    fn branch(
        &mut self,
        (epoch, hybrid): (u32, &HybridSettings),
        (trial, name): (&Trial<'_>, &str),
        mut taken: Taken,
        report: &mut dyn FnMut(u32, Metrics),
    ) -> Result<(Metrics, Taken), TrialError> {
        let branch = Some((epoch, hybrid.second.clone()));
        if let Some(ending) = self.endings.iter().find(|ending| ending.branch == branch) {
            ending
                .rows
                .iter()
                .for_each(|(epoch, row)| report(*epoch, row.clone()));
            taken.epochs += ending.rows.len() as u32;
            taken.same_as = Some(ending.of.clone());
            return Ok((ending.metrics.clone(), taken));
        }
        let mut progress = match self.lows.iter().find(|low| low.epoch() == epoch) {
            Some(low) => low.duplicate()?,
            None => unreachable!(
                "an epoch below a threshold that none before it was below is the lowest so far"
            ),
        };
        progress.switched();
        let mut rows = Vec::new();
        let mut second = OptimizerSettings::Adahessian(hybrid.second.clone()).start(trial.seed);
        trial.train(&mut progress, &mut *second, &mut |epoch, row| {
            rows.push((epoch, row.clone()));
            report(epoch, row);
        })?;
        let metrics = trial.finish(&progress)?;
        self.endings.push(Ending {
            branch,
            of: name.to_owned(),
            rows,
            metrics: metrics.clone(),
        });
        Ok((metrics, taken))
    }
}
