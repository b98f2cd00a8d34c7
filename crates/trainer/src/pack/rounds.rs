//! The packs of a bundle, round by round. Trials of one optimizer train together from start to end.
//! Hybrid and SGD with momentum take two rounds: in the first each distinct first phase is a model;
//! in the second all trials that have switched, at whichever epoch, are one pack of AdaHessian.

use std::collections::VecDeque;
use std::rc::Rc;

use pentagrid_protocol::task::{METRICS, SWITCH_METRIC};
use pentagrid_protocol::{FailureKind, Metrics};

use super::bundle::{Event, PackOptions};
use super::native::Operations;
use super::network::Networks;
use super::rules;
use super::training::{Images, Pack, Passes, index};
use crate::engine::{Row, Score};
use crate::error::TrialError;
use crate::optim::{AdahessianSettings, OptimizerSettings};
use crate::settings::Settings;

/// The trials of a bundle, and what they are trained on and reported with.
pub(super) struct Rounds<'a> {
    seed: u64,
    epochs: u32,
    images: &'a Images<'a>,
    operations: Option<Rc<dyn Operations>>,
    trials: Vec<TrialState<'a>>,
    /// Whether trials that are the same up to some epoch are one model until then.
    share: bool,
    report: &'a mut dyn FnMut(usize, Event),
}

/// How far a trial is.
struct TrialState<'a> {
    settings: &'a Settings,
    started: bool,
    ended: bool,
    /// The scores of its last row, and the epoch at which it switched.
    metrics: Metrics,
    switched: bool,
    /// Epochs that were computed for another trial.
    shared_epochs: u32,
}

/// A model that is to be trained: with which rule, and from which weights.
pub(super) struct ModelStart {
    /// The trials that it stands for, as long as they are the same.
    trials: Vec<usize>,
    rule: OptimizerSettings,
    /// The weights and statistics of one model.
    networks: Rc<Networks>,
    /// Epochs that were done before.
    epoch: u32,
    /// The seconds that they took.
    seconds: f64,
}

/// A model in training.
struct Model {
    trials: Vec<usize>,
    epoch: u32,
    seconds: f64,
}

/// The outcome of a round.
pub(super) struct RoundOutcome {
    /// How many models fitted into a pack.
    pub max_models: usize,
    /// Where trials have switched to their second phase.
    pub branches: Vec<ModelStart>,
}

/// What a pack has done, which counts even if it fails later.
#[derive(Default)]
struct PackProgress {
    /// Whether an epoch has been trained.
    begun: bool,
    branches: Vec<ModelStart>,
}

impl<'a> Rounds<'a> {
    /// The trials before their first round.
    pub(super) fn new(
        trials: &'a [Settings],
        seed: u64,
        images: &'a Images<'a>,
        options: PackOptions<'_>,
        report: &'a mut dyn FnMut(usize, Event),
    ) -> Self {
        Self {
            seed,
            epochs: trials.first().map_or(0, |settings| settings.epochs),
            images,
            operations: options.operations.cloned(),
            trials: trials.iter().map(TrialState::new).collect(),
            share: options.share,
            report,
        }
    }

    /// The models of the first round: one for each trial, or for each distinct first phase if
    /// trials share.
    pub(super) fn first_models(&self, start: &Rc<Networks>) -> Vec<ModelStart> {
        let mut models: Vec<ModelStart> = Vec::new();
        for (trial, state) in self.trials.iter().enumerate() {
            let rule = state.first_rule();
            // Until the first switch, trials with the same first phase are one model.
            if let Some(model) = self.shared_model(&mut models, &rule) {
                model.trials.push(trial);
                continue;
            }
            models.push(ModelStart {
                trials: vec![trial],
                rule,
                networks: Rc::clone(start),
                epoch: 0,
                seconds: 0.0,
            });
        }
        models
    }

    /// The model of that rule among those of one start, if trials share.
    fn shared_model<'m>(
        &self,
        models: &'m mut [ModelStart],
        rule: &OptimizerSettings,
    ) -> Option<&'m mut ModelStart> {
        models
            .iter_mut()
            .find(|model| self.share && model.rule == *rule)
    }

    /// Runs models in packs of at most `max_models`.
    pub(super) fn run(&mut self, models: Vec<ModelStart>, mut max_models: usize) -> RoundOutcome {
        let mut branches = Vec::new();
        let mut packs = even_packs(models, max_models);

        while let Some(mut pack) = packs.pop_front() {
            let mut progress = PackProgress::default();
            let outcome = self.run_pack(&pack, &mut progress);
            let begun = progress.begun;
            branches.append(&mut progress.branches);
            let Err(error) = outcome else { continue };

            // Only a pack that has reported nothing yet can start again.
            if error.kind() == FailureKind::OutOfMemory && !begun && pack.len() > 1 {
                let second_half = pack.split_off(pack.len().div_ceil(2));
                max_models = pack.len();
                packs.push_front(second_half);
                packs.push_front(pack);
                continue;
            }
            self.fail(&pack, &branches, &error);
        }
        RoundOutcome {
            max_models,
            branches,
        }
    }

    /// Reports the failure of a pack's trials, except those that have ended or switched before.
    fn fail(&mut self, pack: &[ModelStart], branches: &[ModelStart], error: &TrialError) {
        for &trial in pack.iter().flat_map(|model| &model.trials) {
            let has_switched = branches.iter().any(|branch| branch.trials.contains(&trial));
            let state = &mut self.trials[trial];
            if !state.ended && !has_switched {
                state.ended = true;
                (self.report)(trial, Event::failed(error));
            }
        }
    }

    /// Trains one pack until each of its models is finished or has no trials left.
    fn run_pack(
        &mut self,
        starts: &[ModelStart],
        progress: &mut PackProgress,
    ) -> Result<(), TrialError> {
        // A pack that is halved, or a second round, must not report a start again.
        for &trial in starts.iter().flat_map(|model| &model.trials) {
            let was_started = std::mem::replace(&mut self.trials[trial].started, true);
            if !was_started {
                (self.report)(trial, Event::Started);
            }
        }

        let mut pack = self.build_pack(starts)?;
        let mut models: Vec<Model> = starts.iter().map(Model::of).collect();
        while !models.is_empty() {
            let rows = pack.epoch(self.images)?;
            progress.begun = true;
            for (place, (model, row)) in models.iter_mut().zip(rows).enumerate() {
                model.epoch += 1;
                model.seconds += row.values.get("seconds").unwrap_or_default();
                let branches = self.end_epoch(model, place, &row, &pack)?;
                progress.branches.extend(branches);
            }

            // Models of a second round began at different epochs, so they finish at different times.
            let epochs = self.epochs;
            if models.iter().any(|model| model.is_finished(epochs)) {
                let scores = pack.test(self.images)?;
                for (model, score) in models.iter().zip(scores) {
                    if model.is_finished(epochs) {
                        self.finish(model, score);
                    }
                }
            }

            // Models that are finished, or whose trials have all switched, leave the pack.
            let stays: Vec<bool> = models
                .iter()
                .map(|model| !model.is_finished(epochs) && !model.trials.is_empty())
                .collect();
            let places: Vec<usize> = (0..models.len()).filter(|place| stays[*place]).collect();
            if places.len() < models.len() && !places.is_empty() {
                pack.select(&places)?;
            }
            let mut stays = stays.into_iter();
            models.retain(|_| stays.next() == Some(true));
        }
        Ok(())
    }

    /// Joins the starting points of models into one pack.
    fn build_pack(&self, starts: &[ModelStart]) -> Result<Pack, TrialError> {
        let parts: Vec<&Networks> = starts.iter().map(|start| &*start.networks).collect();
        let networks = Networks::join(&parts)?;
        let settings: Vec<OptimizerSettings> =
            starts.iter().map(|start| start.rule.clone()).collect();
        let rule = rules::start(&settings, self.seed, networks.weights())?;
        // The layers of the passes are the same for every number of models.
        let passes = self
            .operations
            .clone()
            .map(|operations| Passes::new(operations, &networks));

        Ok(Pack {
            networks,
            rule,
            passes,
        })
    }

    /// Reports a model's row for each of its trials. Trials that switch leave the model: returns
    /// the starting points of their second phases.
    fn end_epoch(
        &mut self,
        model: &mut Model,
        place: usize,
        row: &Row,
        pack: &Pack,
    ) -> Result<Vec<ModelStart>, TrialError> {
        let mut branches: Vec<ModelStart> = Vec::new();
        // The model's weights are copied once for all of its trials that switch here.
        let mut switched_networks: Option<Rc<Networks>> = None;
        let mut staying = Vec::new();

        for (index_in_model, trial) in std::mem::take(&mut model.trials).into_iter().enumerate() {
            let second = self.report_epoch(trial, model.epoch, row, index_in_model > 0);
            // A switch at the very end has no second phase.
            let Some(second) = second.filter(|_| !model.is_finished(self.epochs)) else {
                staying.push(trial);
                continue;
            };

            let rule = OptimizerSettings::Adahessian(second);
            if let Some(branch) = self.shared_model(&mut branches, &rule) {
                branch.trials.push(trial);
                continue;
            }
            let networks = match &switched_networks {
                Some(networks) => Rc::clone(networks),
                None => {
                    let places = index(&[place], self.images.device)?;
                    let networks = Rc::new(pack.networks.select(&places)?);
                    switched_networks = Some(Rc::clone(&networks));
                    networks
                }
            };
            branches.push(ModelStart {
                trials: vec![trial],
                rule,
                networks,
                epoch: model.epoch,
                seconds: model.seconds,
            });
        }
        model.trials = staying;
        Ok(branches)
    }

    /// Reports one trial's row, and notes its switch if it switches at the end of this epoch:
    /// returns the settings of its second phase then. `is_shared` says that the epoch was computed
    /// for another trial.
    fn report_epoch(
        &mut self,
        trial: usize,
        epoch: u32,
        row: &Row,
        is_shared: bool,
    ) -> Option<AdahessianSettings> {
        let state = &mut self.trials[trial];
        state.shared_epochs += u32::from(is_shared);
        state.keep_scores(&row.values);

        let second = state.second_phase(row.val_loss);
        if second.is_some() {
            state.switched = true;
            state.metrics.set(SWITCH_METRIC, f64::from(epoch));
        }

        // The row is the same for all trials of the model, except for this.
        let mut row = row.clone();
        row.tell_switch(state.settings, second.is_some());
        let values = row.values;
        (self.report)(trial, Event::Epoch { epoch, values });
        second
    }

    /// Reports the final metrics of a model's trials. The first one is the one that was computed.
    fn finish(&mut self, model: &Model, score: Score) {
        for (index_in_model, &trial) in model.trials.iter().enumerate() {
            let state = &mut self.trials[trial];
            let mut metrics = std::mem::take(&mut state.metrics);
            metrics.set("test_loss", score.loss);
            metrics.set("test_accuracy", score.accuracy);
            metrics.set("training_seconds", model.seconds);
            state.ended = true;

            let same_as = model.trials.first().filter(|_| index_in_model > 0).copied();
            let shared_epochs = state.shared_epochs;
            let done = Event::Done {
                metrics,
                same_as,
                shared_epochs,
            };
            (self.report)(trial, done);
        }
    }
}

/// Cuts models into packs of even sizes: a pack of one model after one of fifty would leave the
/// device idle.
fn even_packs(mut models: Vec<ModelStart>, max_models: usize) -> VecDeque<Vec<ModelStart>> {
    let mut packs = VecDeque::new();
    while !models.is_empty() {
        let packs_left = models.len().div_ceil(max_models.max(1));
        let rest = models.split_off(models.len().div_ceil(packs_left));
        packs.push_back(std::mem::replace(&mut models, rest));
    }
    packs
}

impl<'a> TrialState<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            started: false,
            ended: false,
            metrics: Metrics::default(),
            switched: false,
            shared_epochs: 0,
        }
    }

    /// The optimizer of the trial's first round.
    fn first_rule(&self) -> OptimizerSettings {
        match &self.settings.optimizer {
            OptimizerSettings::Hybrid(hybrid) => {
                OptimizerSettings::SgdMomentum(hybrid.first.clone())
            }
            other => other.clone(),
        }
    }

    /// Keeps a row's scores: those of the last row are final metrics.
    fn keep_scores(&mut self, values: &Metrics) {
        for (name, value) in &values.0 {
            if METRICS.contains(&name.as_str()) {
                self.metrics.set(name.as_str(), value.0);
            }
        }
    }

    /// The second phase, if the trial switches to it after an epoch with that loss.
    fn second_phase(&self, val_loss: f64) -> Option<AdahessianSettings> {
        match &self.settings.optimizer {
            // NaN is below no threshold, as in `optim/hybrid.rs`.
            OptimizerSettings::Hybrid(hybrid) if !self.switched && val_loss < hybrid.tl => {
                Some(hybrid.second.clone())
            }
            _ => None,
        }
    }
}

impl Model {
    fn of(start: &ModelStart) -> Self {
        Self {
            trials: start.trials.clone(),
            epoch: start.epoch,
            seconds: start.seconds,
        }
    }

    /// Whether all of its epochs are done.
    fn is_finished(&self, epochs: u32) -> bool {
        self.epoch >= epochs
    }
}
