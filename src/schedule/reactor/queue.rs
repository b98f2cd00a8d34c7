//! The trials that wait for a worker, in the order in which they are to run. Trials of one group
//! (`plan/sharing.rs`) go to one worker, bundle after bundle, since that worker still has what they
//! have in common.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::ranked::Ranked;
use super::slot::{Group, Job};
use super::{SlotIndex, Time};
use crate::grid::PointId;
use crate::plan::{Phase, Race};

/// Maximum number of trials of a group in one bundle. It bounds what a worker that crashes takes
/// with it, and the length of a message.
const MAX_GROUP_BUNDLE: usize = 64;

/// Trials that wait for a worker.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Trials that failed or were cut off. They come before all others.
    again: VecDeque<Job>,
    /// Stretches of which no slot has been given any trial.
    fresh: VecDeque<Stretch>,
    /// The groups that slots have begun, by slot: each has one at most.
    open: BTreeMap<SlotIndex, OpenGroup>,
    /// For `--best-first`: the trials of points that have had their first one.
    ranked: Option<Ranked>,
    len: usize,
}

/// The trials of a group, or those between two groups.
#[derive(Debug)]
struct Stretch {
    group: Option<Group>,
    jobs: VecDeque<Job>,
}

/// The rest of a group that a slot works on.
#[derive(Debug)]
struct OpenGroup {
    stretch: Stretch,
    /// How long the group's first finished trial took, which includes what the trials have in
    /// common.
    first_duration: Option<Time>,
    /// How many trials have finished since then.
    later_count: u32,
    /// How long these took together.
    later_duration: Time,
}

/// Where a slot's next trials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Trials that are tried again.
    Again,
    /// The rest of the group that the slot works on.
    Own,
    /// A stretch that no slot has begun.
    Fresh,
    /// The most promising point.
    Ranked,
    /// The rest of a group that another slot works on.
    Other(SlotIndex),
}

impl Queue {
    /// Adds trials at the end.
    pub(crate) fn extend(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.len += 1;
            let group = job.group();
            match self.fresh.back_mut() {
                Some(stretch) if stretch.group == group => stretch.jobs.push_back(job),
                _ => self.fresh.push_back(Stretch {
                    group,
                    jobs: [job].into(),
                }),
            }
        }
    }

    /// From now on `extend_ranked` orders tuning trials by what their points can still reach in the
    /// race.
    pub(crate) fn rank(&mut self) {
        self.ranked.get_or_insert_default();
    }

    /// Adds trials. Those of the final phase, and the first one of each point without a result,
    /// keep their order; the others are ordered by what their points can still reach.
    pub(crate) fn extend_ranked(&mut self, jobs: Vec<Job>, race: &Race) {
        let Some(mut ranked) = self.ranked.take() else {
            return self.extend(jobs);
        };
        let mut begun = HashSet::new();
        for job in jobs {
            let point = job.trial.id.point;
            let is_first =
                race.results(point) == 0 && !ranked.contains(point) && begun.insert(point);
            if is_first || job.trial.phase == Phase::Final {
                self.extend([job]);
            } else {
                self.len += 1;
                ranked.push(job, race);
            }
        }
        self.ranked = Some(ranked);
    }

    /// Updates the order after a point has a new result.
    pub(crate) fn on_result(&mut self, point: PointId, race: &Race) {
        if let Some(ranked) = &mut self.ranked {
            ranked.on_result(point, race);
        }
    }

    /// Takes out the trials for which `is_out` holds.
    pub(crate) fn take_out(&mut self, is_out: &dyn Fn(&Job) -> bool) -> Vec<Job> {
        let mut out = Vec::new();
        let open = self.open.values_mut().map(|open| &mut open.stretch.jobs);
        let fresh = self.fresh.iter_mut().map(|stretch| &mut stretch.jobs);
        for jobs in std::iter::once(&mut self.again).chain(open).chain(fresh) {
            let (gone, kept): (Vec<Job>, Vec<Job>) =
                std::mem::take(jobs).into_iter().partition(is_out);
            *jobs = kept.into();
            out.extend(gone);
        }
        self.fresh.retain(|stretch| !stretch.jobs.is_empty());
        self.open.retain(|_, open| !open.stretch.jobs.is_empty());

        if let Some(ranked) = &mut self.ranked {
            out.extend(ranked.take_out(is_out));
        }
        self.len -= out.len();
        out
    }

    /// Adds a trial before all that have not been tried.
    pub(crate) fn put_back(&mut self, job: Job) {
        self.len += 1;
        self.again.push_front(job);
    }

    /// The number of trials that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The trial that a slot would get next. There may be none although trials wait: those of a
    /// group that another slot will finish sooner.
    pub(crate) fn peek(&self, slot: SlotIndex) -> Option<&Job> {
        match self.source(slot)? {
            Source::Again => self.again.front(),
            Source::Own => self.open.get(&slot)?.stretch.jobs.front(),
            Source::Fresh => self.fresh.front()?.jobs.front(),
            Source::Ranked => self.ranked.as_ref()?.peek(),
            Source::Other(other) => self.open.get(&other)?.stretch.jobs.back(),
        }
    }

    /// Takes the next bundle for a slot: trials of one group, or at most `limit` trials that have
    /// none. `slots` is the number of all slots; unless `grouped`, groups are split like any other
    /// trials.
    pub(crate) fn take(
        &mut self,
        slot: SlotIndex,
        slots: usize,
        limit: usize,
        grouped: bool,
    ) -> Vec<Job> {
        let Some(source) = self.source(slot) else {
            return Vec::new();
        };
        let bundle = match source {
            Source::Again => self.take_again(limit, grouped),
            Source::Own => {
                let available = self
                    .open
                    .get(&slot)
                    .map_or(0, |open| open.stretch.jobs.len());
                let count = self.bundle_size(available, slots, limit, grouped);
                self.take_open(slot, |jobs| jobs.drain(..count).collect())
            }
            Source::Fresh => self.take_fresh(slot, slots, limit, grouped),
            Source::Ranked => match &mut self.ranked {
                Some(ranked) => ranked.take(limit),
                None => Vec::new(),
            },
            Source::Other(other) => self.take_open(other, |jobs| {
                let half = jobs.len().div_ceil(2).min(MAX_GROUP_BUNDLE.max(limit));
                jobs.split_off(jobs.len() - half).into()
            }),
        };
        self.len -= bundle.len();
        bundle
    }

    /// Takes some of the rest of the group that a slot works on, and closes the group if no trial
    /// is left.
    fn take_open(
        &mut self,
        slot: SlotIndex,
        take: impl FnOnce(&mut VecDeque<Job>) -> Vec<Job>,
    ) -> Vec<Job> {
        let Some(open) = self.open.get_mut(&slot) else {
            return Vec::new();
        };
        let bundle = take(&mut open.stretch.jobs);
        if open.stretch.jobs.is_empty() {
            self.open.remove(&slot);
        }
        bundle
    }

    /// How many trials of a stretch a slot is given at once. While there are stretches for all
    /// slots, as many of a group as a bundle holds; towards the end half of them, so that other
    /// slots can help.
    fn bundle_size(&self, available: usize, slots: usize, limit: usize, grouped: bool) -> usize {
        if !grouped {
            return limit.min(available);
        }
        let wanted = if self.fresh.len() >= slots {
            available
        } else {
            available.div_ceil(2)
        };
        wanted.min(MAX_GROUP_BUNDLE.max(limit))
    }

    fn take_again(&mut self, limit: usize, grouped: bool) -> Vec<Job> {
        let Some(first) = self.again.pop_front() else {
            return Vec::new();
        };
        let is_alone = first.alone;
        let group = first.group();
        let limit = if group.is_some() && grouped {
            MAX_GROUP_BUNDLE.max(limit)
        } else {
            limit
        };

        let mut bundle = vec![first];
        while !is_alone && bundle.len() < limit {
            let next = self.again.front();
            if next.is_none_or(|next| next.alone || next.group() != group) {
                break;
            }
            bundle.extend(self.again.pop_front());
        }
        bundle
    }

    fn take_fresh(
        &mut self,
        slot: SlotIndex,
        slots: usize,
        limit: usize,
        grouped: bool,
    ) -> Vec<Job> {
        let Some(mut stretch) = self.fresh.pop_front() else {
            return Vec::new();
        };
        let grouped = grouped && stretch.group.is_some();
        let count = self.bundle_size(stretch.jobs.len(), slots, limit, grouped);
        let bundle = stretch.jobs.drain(..count).collect();
        if stretch.jobs.is_empty() {
            return bundle;
        }

        if stretch.group.is_some() {
            self.open.insert(slot, OpenGroup::new(stretch));
        } else {
            self.fresh.push_front(stretch);
        }
        bundle
    }

    /// Notes that a slot has finished a trial of a group.
    pub(crate) fn on_finished(&mut self, slot: SlotIndex, group: Option<Group>, duration: Time) {
        let Some(open) = self.open.get_mut(&slot) else {
            return;
        };
        if open.stretch.group != group {
            return;
        }
        if open.first_duration.is_none() {
            open.first_duration = Some(duration);
        } else {
            open.later_count += 1;
            open.later_duration += duration;
        }
    }

    /// Whether a slot works on a group of which more trials wait.
    pub(crate) fn has_open_group(&self, slot: SlotIndex) -> bool {
        self.open.contains_key(&slot)
    }

    fn source(&self, slot: SlotIndex) -> Option<Source> {
        if !self.again.is_empty() {
            return Some(Source::Again);
        }
        if self.has_open_group(slot) {
            return Some(Source::Own);
        }
        if !self.fresh.is_empty() {
            return Some(Source::Fresh);
        }
        if self.ranked.as_ref().and_then(Ranked::peek).is_some() {
            return Some(Source::Ranked);
        }
        let (&other, open) = self.open.iter().max_by_key(|(_, open)| open.remaining())?;
        open.is_worth_helping().then_some(Source::Other(other))
    }
}

impl OpenGroup {
    fn new(stretch: Stretch) -> Self {
        Self {
            stretch,
            first_duration: None,
            later_count: 0,
            later_duration: Time::ZERO,
        }
    }

    /// How long its slot will take for the rest; zero while that is not known.
    fn remaining(&self) -> Time {
        if self.later_count == 0 {
            return Time::ZERO;
        }
        self.later_duration / self.later_count * self.stretch.jobs.len() as u32
    }

    /// Whether it is faster if another slot takes half of the rest. That slot has to compute again
    /// what the trials have in common.
    fn is_worth_helping(&self) -> bool {
        let repeated = self.first_duration;
        self.stretch.jobs.len() > 1
            && repeated.is_some_and(|repeated| self.remaining() / 2 > repeated)
    }
}

#[cfg(test)]
mod tests;
