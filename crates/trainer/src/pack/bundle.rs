//! Trials as packs. Those of one optimizer train together from the start; Hybrid and SGD with
//! momentum go in two rounds: every different first phase once, then all that have switched,
//! whenever that was, as one pack of AdaHessian. The worker hears of each trial as if it ran by
//! itself.

use std::collections::VecDeque;
use std::rc::Rc;

use pentagrid_protocol::task::{METRICS, SWITCH_METRIC};
use pentagrid_protocol::{FailureKind, Metrics};

use super::native::Operations;
use super::network::Networks;
use super::rules;
use super::training::{ByHand, Images, Pack, index};
use crate::data::{Batches, Sets};
use crate::engine::{Row, Session, Trial};
use crate::error::TrialError;
use crate::model::ResNet18;
use crate::optim::{
    AdahessianSettings, AdamSettings, OptimizerSettings, SgdMomentumSettings, SgdSettings,
};
use crate::settings::{Protocol, Settings};

/// What trials of one pack agree in. `None` for a trial that is never packed: the authors' own
/// protocol, an audit.
#[derive(Clone, Debug, PartialEq)]
pub struct PackKey {
    seed: u64,
    settings: Settings,
}

impl PackKey {
    /// The key of a trial.
    pub fn of(settings: &Settings, seed: u64) -> Option<Self> {
        if settings.protocol == Protocol::AsRun {
            return None;
        }
        // One optimizer of each family stands for all of it.
        let optimizer = match &settings.optimizer {
            OptimizerSettings::Sgd(_) => OptimizerSettings::Sgd(SgdSettings { lr: 0.0 }),
            OptimizerSettings::Adam(_) => OptimizerSettings::Adam(AdamSettings {
                lr: 0.0,
                beta1: 0.0,
                beta2: 0.0,
                eps: 0.0,
            }),
            OptimizerSettings::Adahessian(_) => OptimizerSettings::Adahessian(AdahessianSettings {
                lr: 0.0,
                beta1: 0.0,
                beta2: 0.0,
                eps: 0.0,
                hessian_power: 0.0,
            }),
            OptimizerSettings::SgdMomentum(_) | OptimizerSettings::Hybrid(_) => {
                OptimizerSettings::SgdMomentum(SgdMomentumSettings {
                    lr: 0.0,
                    momentum: 0.0,
                    dampening: 0.0,
                })
            }
        };
        Some(Self {
            seed,
            settings: Settings {
                optimizer,
                ..settings.clone()
            },
        })
    }
}

/// What is to be said of a trial.
#[derive(Debug)]
pub enum Event {
    /// It begins.
    Started,
    /// A row of its history, with the epoch's number from 1.
    Epoch(u32, Metrics),
    /// Its final metrics; the place of the trial whose result it is, if it was not computed again;
    /// how many of its epochs were computed for others.
    Done(Metrics, Option<usize>, u32),
    /// It has failed.
    Failed(FailureKind, String),
}

/// A model of a pack: how it goes on from where.
struct Entrant {
    /// The trials that it is, for as long as they are the same.
    trials: Vec<usize>,
    rule: OptimizerSettings,
    /// One model.
    from: Rc<Networks>,
    /// Epochs done, and the seconds that they took.
    epoch: u32,
    seconds: f64,
}

/// A trial on its way.
struct Course<'a> {
    settings: &'a Settings,
    started: bool,
    ended: bool,
    /// The scores of its last row, and its switch.
    metrics: Metrics,
    switched: bool,
    /// Epochs that were computed for others.
    shared: u32,
}

/// Trials of one key on their way.
struct Courses<'a> {
    seed: u64,
    epochs: u32,
    images: &'a Images<'a>,
    operations: Option<Rc<dyn Operations>>,
    trials: Vec<Course<'a>>,
    /// Whether trials that are the same for a while are one model for as long.
    share: bool,
    report: &'a mut dyn FnMut(usize, Event),
}

/// Runs trials of one key in packs of at most `most` models; `report` hears of each by its place.
/// Where memory runs out before a pack's first epoch ends, it is halved. Gives the most models that
/// were found to fit. With `share`, what trials have in common is computed once. `operations` are
/// what packs compute by, where it is not libtorch alone.
///
/// Errors of trials are told to `report`, none is lost.
pub fn run(
    session: &mut Session,
    operations: Option<&Rc<dyn Operations>>,
    trials: &[Settings],
    seed: u64,
    (most, share): (usize, bool),
    report: &mut dyn FnMut(usize, Event),
) -> usize {
    let prepared = prepare(session, trials, seed);
    let (sets, network, settings) = match prepared {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return most,
        Err(error) => {
            fail_all(0..trials.len(), &error, report);
            return most;
        }
    };
    let trial = Trial {
        settings,
        seed,
        sets: &sets,
        device: session.device(),
    };
    let images = trial.training_set().and_then(|train| {
        let batches = Batches::new(&train, settings.batch_size)?;
        Ok(Images {
            train,
            batches,
            val: &sets.val,
            test: &sets.test,
            device: session.device(),
        })
    });
    let started = images.and_then(|images| Ok((images, Rc::new(Networks::of(&network, 1)?))));
    drop(network);
    match started {
        Ok((images, start)) => {
            if let Some(operations) = operations.filter(|_| session.is_first(settings)) {
                // Where it fails, so will the trials.
                let _ = warm_up(operations, &start, settings, &images);
            }
            let trials = trials.iter().map(Course::new).collect();
            let mut courses = Courses {
                seed,
                epochs: settings.epochs,
                images: &images,
                operations: operations.cloned(),
                trials,
                share,
                report,
            };
            let entrants = courses.entrants(&start);
            let (most, branches) = courses.run_all(entrants, most);
            courses.run_all(branches, most).0
        }
        Err(error) => {
            fail_all(0..trials.len(), &error, report);
            most
        }
    }
}

type Prepared<'a> = (Rc<Sets>, ResNet18, &'a Settings);

fn prepare<'a>(
    session: &mut Session,
    trials: &'a [Settings],
    seed: u64,
) -> Result<Option<Prepared<'a>>, TrialError> {
    let Some(settings) = trials.first() else {
        return Ok(None);
    };
    let sets = session.sets(settings.data_dir.clone())?;
    Ok(Some((
        sets,
        session.network(seed, settings.batch_size)?,
        settings,
    )))
}

/// Takes a step and scores, as the trials will, on copies that are thrown away.
fn warm_up(
    operations: &Rc<dyn Operations>,
    start: &Networks,
    settings: &Settings,
    images: &Images<'_>,
) -> Result<(), TrialError> {
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
        let by_hand = Some(ByHand::new(Rc::clone(operations), &networks));
        Pack {
            networks,
            rule,
            by_hand,
        }
        .warm_up(images)?;
    }
    Ok(())
}

fn fail_all(
    trials: impl Iterator<Item = usize>,
    error: &TrialError,
    report: &mut dyn FnMut(usize, Event),
) {
    for trial in trials {
        report(trial, Event::Started);
        report(trial, Event::Failed(error.kind(), error.to_string()));
    }
}

impl<'a> Course<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            started: false,
            ended: false,
            metrics: Metrics::default(),
            switched: false,
            shared: 0,
        }
    }

    /// What the trial's first round is by.
    fn first_rule(&self) -> OptimizerSettings {
        match &self.settings.optimizer {
            OptimizerSettings::Hybrid(hybrid) => {
                OptimizerSettings::SgdMomentum(hybrid.first.clone())
            }
            other => other.clone(),
        }
    }
}

impl Courses<'_> {
    /// The different first rounds.
    fn entrants(&self, start: &Rc<Networks>) -> Vec<Entrant> {
        let mut entrants: Vec<Entrant> = Vec::new();
        for (place, trial) in self.trials.iter().enumerate() {
            let rule = trial.first_rule();
            match entrants
                .iter_mut()
                .find(|entrant| self.share && entrant.rule == rule)
            {
                Some(entrant) => entrant.trials.push(place),
                None => {
                    entrants.push(Entrant {
                        trials: vec![place],
                        rule,
                        from: Rc::clone(start),
                        epoch: 0,
                        seconds: 0.0,
                    });
                }
            }
        }
        entrants
    }

    /// Runs entrants, so many at a time. Gives how many fit, and what has branched off.
    fn run_all(&mut self, mut entrants: Vec<Entrant>, mut most: usize) -> (usize, Vec<Entrant>) {
        let mut branches = Vec::new();
        let mut packs = VecDeque::new();
        // Of even sizes: a pack of one model after one of fifty would waste the device.
        while !entrants.is_empty() {
            let packs_left = entrants.len().div_ceil(most.max(1));
            let rest = entrants.split_off(entrants.len().div_ceil(packs_left));
            packs.push_back(std::mem::replace(&mut entrants, rest));
        }
        while let Some(mut pack) = packs.pop_front() {
            let mut begun = false;
            let Err(error) = self.run_pack(&pack, &mut begun, &mut branches) else {
                continue;
            };
            if error.kind() == FailureKind::OutOfMemory && !begun && pack.len() > 1 {
                let rest = pack.split_off(pack.len().div_ceil(2));
                most = pack.len();
                packs.push_front(rest);
                packs.push_front(pack);
                continue;
            }
            for trial in pack.iter().flat_map(|entrant| &entrant.trials) {
                let course = &mut self.trials[*trial];
                // One that has branched off goes on from there.
                let goes_on = branches.iter().any(|branch| branch.trials.contains(trial));
                if !course.ended && !goes_on {
                    course.ended = true;
                    (self.report)(*trial, Event::Failed(error.kind(), error.to_string()));
                }
            }
        }
        (most, branches)
    }

    /// One pack to its end. `begun` is set once an epoch has been reported.
    fn run_pack(
        &mut self,
        entrants: &[Entrant],
        begun: &mut bool,
        branches: &mut Vec<Entrant>,
    ) -> Result<(), TrialError> {
        for trial in entrants.iter().flat_map(|entrant| &entrant.trials) {
            if !std::mem::replace(&mut self.trials[*trial].started, true) {
                (self.report)(*trial, Event::Started);
            }
        }
        let networks = Networks::join(
            &entrants
                .iter()
                .map(|entrant| &*entrant.from)
                .collect::<Vec<_>>(),
        )?;
        let settings: Vec<OptimizerSettings> = entrants
            .iter()
            .map(|entrant| entrant.rule.clone())
            .collect();
        let rule = rules::start(&settings, self.seed, networks.weights())?;
        let by_hand = self
            .operations
            .clone()
            .map(|operations| ByHand::new(operations, &networks));
        let mut pack = Pack {
            networks,
            rule,
            by_hand,
        };
        // By model: its entrant's state, as far as it has changed.
        let mut models: Vec<Model> = entrants.iter().map(Model::of).collect();
        while !models.is_empty() {
            let rows = pack.epoch(self.images)?;
            *begun = true;
            for (place, (model, row)) in models.iter_mut().zip(rows).enumerate() {
                model.epoch += 1;
                model.seconds += row.values.get("seconds").unwrap_or_default();
                branches.extend(self.end_epoch(model, place, &row, &pack)?);
            }
            let epochs = self.epochs;
            let over = |model: &Model| model.epoch >= epochs;
            if models.iter().any(over) {
                let scores = pack.test(self.images)?;
                for (model, score) in models.iter().zip(scores).filter(|(model, _)| over(model)) {
                    self.finish(model, score);
                }
            }
            let stays: Vec<usize> = (0..models.len())
                .filter(|place| !over(&models[*place]) && !models[*place].trials.is_empty())
                .collect();
            if stays.len() < models.len() && !stays.is_empty() {
                pack.select(&stays)?;
            }
            let mut place = 0;
            models.retain(|_| {
                place += 1;
                stays.contains(&(place - 1))
            });
        }
        Ok(())
    }

    /// Reports a model's row for each of its trials. Trials that switch leave it: gives what they
    /// go on as.
    fn end_epoch(
        &mut self,
        model: &mut Model,
        place: usize,
        row: &Row,
        pack: &Pack,
    ) -> Result<Vec<Entrant>, TrialError> {
        let mut branches: Vec<Entrant> = Vec::new();
        let mut left: Option<Rc<Networks>> = None;
        let mut stay = Vec::new();
        for (place_in_model, trial) in std::mem::take(&mut model.trials).into_iter().enumerate() {
            let course = &mut self.trials[trial];
            course.shared += u32::from(place_in_model > 0);
            // The last row's scores stand.
            for (name, value) in row
                .values
                .0
                .iter()
                .filter(|(name, _)| METRICS.contains(&name.as_str()))
            {
                course.metrics.set(name.as_str(), value.0);
            }
            // NaN is below nothing, as in `optim/hybrid.rs`.
            let switching = match &course.settings.optimizer {
                OptimizerSettings::Hybrid(hybrid)
                    if !course.switched && row.val_loss < hybrid.tl =>
                {
                    Some(&hybrid.second)
                }
                _ => None,
            };
            let mut row = row.clone();
            row.tell_switch(course.settings, switching.is_some());
            (self.report)(trial, Event::Epoch(model.epoch, row.values));
            let Some(second) = switching else {
                stay.push(trial);
                continue;
            };
            course.switched = true;
            course.metrics.set(SWITCH_METRIC, f64::from(model.epoch));
            let rule = OptimizerSettings::Adahessian(second.clone());
            // One that switches at its last epoch ends with the weights that it has.
            if model.epoch >= self.epochs {
                stay.push(trial);
            } else if let Some(branch) = branches
                .iter_mut()
                .find(|branch| self.share && branch.rule == rule)
            {
                branch.trials.push(trial);
            } else {
                let from = match &left {
                    Some(left) => Rc::clone(left),
                    None => {
                        let own = Rc::new(
                            pack.networks
                                .select(&index(&[place], self.images.device)?)?,
                        );
                        left = Some(Rc::clone(&own));
                        own
                    }
                };
                branches.push(Entrant {
                    trials: vec![trial],
                    rule,
                    from,
                    epoch: model.epoch,
                    seconds: model.seconds,
                });
            }
        }
        model.trials = stay;
        Ok(branches)
    }

    /// The end of a model's trials.
    fn finish(&mut self, model: &Model, [loss, accuracy]: [f64; 2]) {
        for (place, trial) in model.trials.iter().enumerate() {
            let course = &mut self.trials[*trial];
            let mut metrics = std::mem::take(&mut course.metrics);
            metrics.set("test_loss", loss);
            metrics.set("test_accuracy", accuracy);
            metrics.set("training_seconds", model.seconds);
            course.ended = true;
            // The first of them is reported first.
            let same_as = model.trials.first().filter(|_| place > 0).copied();
            (self.report)(*trial, Event::Done(metrics, same_as, course.shared));
        }
    }
}

/// A model in training.
struct Model {
    trials: Vec<usize>,
    epoch: u32,
    seconds: f64,
}

impl Model {
    fn of(entrant: &Entrant) -> Self {
        Self {
            trials: entrant.trials.clone(),
            epoch: entrant.epoch,
            seconds: entrant.seconds,
        }
    }
}
