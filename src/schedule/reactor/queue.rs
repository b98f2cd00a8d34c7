//! The trials that no worker has, in the order in which they are to run. Trials of one group
//! (`plan/sharing.rs`) go to one worker, bundle after bundle, since it still has what they have in
//! common.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::Time;
use super::ranked::Ranked;
use super::slot::{Group, Job};
use crate::grid::PointId;
use crate::plan::{Phase, Race};

/// The most trials of a group in one bundle: what a dying worker can take down with it, and a
/// message's length.
const MOST: usize = 64;

/// Trials that wait for a worker.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// To be tried before all others: they failed, or were cut off.
    again: VecDeque<Job>,
    /// Stretches of trials that nobody has been given any of.
    fresh: VecDeque<Stretch>,
    /// Groups of which a slot has had some, by the slot: it has one at most.
    open: BTreeMap<usize, Open>,
    /// For `--best-first`: the trials of points that have had their first one.
    ranked: Option<Ranked>,
    left: usize,
}

/// The trials of a group, or those between two groups.
#[derive(Debug)]
struct Stretch {
    group: Option<Group>,
    jobs: VecDeque<Job>,
}

/// The rest of a group that a slot works on.
#[derive(Debug)]
struct Open {
    stretch: Stretch,
    /// What the group's first finished trial took, which began with all that they have in common.
    first: Option<Time>,
    /// How many have finished since then, and what they took.
    others: (u32, Time),
}

/// Where a slot's next trials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Again,
    /// The rest of the group that it works on.
    Own,
    Fresh,
    Ranked,
    /// The rest of a group that this other slot works on.
    Others(usize),
}

impl Queue {
    /// Adds trials at the end.
    pub fn extend(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.left += 1;
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

    /// From now on the tuning trials that `extend_ranked` adds go by what their points can still
    /// reach in the race.
    pub fn rank(&mut self) {
        self.ranked.get_or_insert_default();
    }

    /// Adds trials: as they come those of the final phase and the first one of each point without a
    /// result, the others by what their points can still reach.
    pub fn extend_ranked(&mut self, jobs: Vec<Job>, race: &Race) {
        let Some(mut ranked) = self.ranked.take() else {
            return self.extend(jobs);
        };
        let mut begun = HashSet::new();
        for job in jobs {
            let point = job.trial.id.point;
            let first = race.results(point) == 0 && !ranked.knows(point) && begun.insert(point);
            if first || job.trial.phase == Phase::Final {
                self.extend([job]);
            } else {
                self.left += 1;
                ranked.push(job, race);
            }
        }
        self.ranked = Some(ranked);
    }

    /// A point has a new result.
    pub fn touch(&mut self, point: PointId, race: &Race) {
        if let Some(ranked) = &mut self.ranked {
            ranked.touch(point, race);
        }
    }

    /// Takes out the trials of the points that `is_out` says.
    pub fn take_out(&mut self, is_out: &dyn Fn(&Job) -> bool) -> Vec<Job> {
        let mut out = Vec::new();
        let fresh = self.fresh.iter_mut().map(|stretch| &mut stretch.jobs);
        let open = self.open.values_mut().map(|open| &mut open.stretch.jobs);
        for jobs in std::iter::once(&mut self.again).chain(open).chain(fresh) {
            let (gone, kept): (Vec<Job>, Vec<Job>) =
                std::mem::take(jobs).into_iter().partition(is_out);
            *jobs = kept.into();
            out.extend(gone);
        }
        self.fresh.retain(|stretch| !stretch.jobs.is_empty());
        self.open.retain(|_, open| !open.stretch.jobs.is_empty());
        out.extend(
            self.ranked
                .iter_mut()
                .flat_map(|ranked| ranked.take_out(is_out)),
        );
        self.left -= out.len();
        out
    }

    /// Adds a trial before all that have not been tried.
    pub fn put_back(&mut self, job: Job) {
        self.left += 1;
        self.again.push_front(job);
    }

    /// How many trials wait.
    pub fn len(&self) -> usize {
        self.left
    }

    /// The trial that a slot would get next. There may be none although trials wait: those of a
    /// group that another slot will sooner be done with.
    pub fn peek(&self, slot: usize) -> Option<&Job> {
        match self.place(slot)? {
            Place::Again => self.again.front(),
            Place::Own => self.open.get(&slot)?.stretch.jobs.front(),
            Place::Fresh => self.fresh.front()?.jobs.front(),
            Place::Ranked => self.ranked.as_ref()?.peek(),
            Place::Others(other) => self.open.get(&other)?.stretch.jobs.back(),
        }
    }

    /// The next bundle for a slot: trials of one group, or at most `most` that have none.
    pub fn take(&mut self, slot: usize, slots: usize, most: usize, grouped: bool) -> Vec<Job> {
        let Some(place) = self.place(slot) else {
            return Vec::new();
        };
        let bundle = match place {
            Place::Again => self.take_again(most, grouped),
            Place::Own => self.take_open(slot, |queue, jobs| {
                let count = queue.share(jobs.len(), slots, most, grouped);
                jobs.drain(..count).collect()
            }),
            Place::Fresh => self.take_fresh(slot, slots, most, grouped),
            Place::Ranked => self
                .ranked
                .as_mut()
                .map(|ranked| ranked.take(most))
                .unwrap_or_default(),
            Place::Others(other) => self.take_open(other, |_, jobs| {
                jobs.split_off(jobs.len() - jobs.len().div_ceil(2).min(MOST.max(most)))
                    .into()
            }),
        };
        self.left -= bundle.len();
        bundle
    }

    /// Takes some of the rest of the group that a slot works on.
    fn take_open(
        &mut self,
        slot: usize,
        some: impl FnOnce(&Self, &mut VecDeque<Job>) -> Vec<Job>,
    ) -> Vec<Job> {
        let Some(mut open) = self.open.remove(&slot) else {
            return Vec::new();
        };
        let bundle = some(self, &mut open.stretch.jobs);
        if !open.stretch.jobs.is_empty() {
            self.open.insert(slot, open);
        }
        bundle
    }

    /// How many of a group's trials a slot is given at a time: with other groups to go round, as
    /// many as a message takes; towards the end half of them, so that other slots can help.
    fn share(&self, there: usize, slots: usize, most: usize, grouped: bool) -> usize {
        match grouped {
            false => most.min(there),
            true if self.fresh.len() >= slots => there.min(MOST.max(most)),
            true => there.div_ceil(2).min(MOST.max(most)),
        }
    }

    fn take_again(&mut self, most: usize, grouped: bool) -> Vec<Job> {
        let Some(first) = self.again.pop_front() else {
            return Vec::new();
        };
        let (alone, group) = (first.alone, first.group());
        let most = if group.is_some() && grouped {
            MOST.max(most)
        } else {
            most
        };
        let mut bundle = vec![first];
        while !alone
            && bundle.len() < most
            && self
                .again
                .front()
                .is_some_and(|next| !next.alone && next.group() == group)
        {
            bundle.extend(self.again.pop_front());
        }
        bundle
    }

    fn take_fresh(&mut self, slot: usize, slots: usize, most: usize, grouped: bool) -> Vec<Job> {
        let Some(mut stretch) = self.fresh.pop_front() else {
            return Vec::new();
        };
        let there = stretch.jobs.len();
        let count = self.share(there, slots, most, grouped && stretch.group.is_some());
        let bundle = stretch.jobs.drain(..count).collect();
        match stretch.group {
            _ if count == there => {}
            Some(_) => drop(self.open.insert(
                slot,
                Open {
                    stretch,
                    first: None,
                    others: (0, Time::ZERO),
                },
            )),
            None => self.fresh.push_front(stretch),
        }
        bundle
    }

    /// A slot has finished a trial of a group.
    pub fn finished(&mut self, slot: usize, group: Option<Group>, took: Time) {
        let Some(open) = self
            .open
            .get_mut(&slot)
            .filter(|open| open.stretch.group == group)
        else {
            return;
        };
        match open.first {
            None => open.first = Some(took),
            Some(_) => open.others = (open.others.0 + 1, open.others.1 + took),
        }
    }

    /// Whether a slot works on a group of which there is more.
    pub fn is_open(&self, slot: usize) -> bool {
        self.open.contains_key(&slot)
    }

    fn place(&self, slot: usize) -> Option<Place> {
        if !self.again.is_empty() {
            return Some(Place::Again);
        }
        if self.is_open(slot) {
            return Some(Place::Own);
        }
        if !self.fresh.is_empty() {
            return Some(Place::Fresh);
        }
        if self
            .ranked
            .as_ref()
            .is_some_and(|ranked| ranked.peek().is_some())
        {
            return Some(Place::Ranked);
        }
        let (&longest, open) = self.open.iter().max_by_key(|(_, open)| open.remaining())?;
        open.is_worth_helping().then_some(Place::Others(longest))
    }
}

impl Open {
    /// How long its slot will take for the rest; zero while that is not known.
    fn remaining(&self) -> Time {
        let (count, took) = self.others;
        if count == 0 {
            Time::ZERO
        } else {
            took / count * self.stretch.jobs.len() as u32
        }
    }

    /// Whether another slot had better take half of the rest, which has to compute anew what the
    /// trials have in common.
    fn is_worth_helping(&self) -> bool {
        self.stretch.jobs.len() > 1 && self.first.is_some_and(|first| self.remaining() / 2 > first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::trial;
    use super::*;

    /// The trials first, first+1, ... of a group.
    fn of(group: Option<u32>, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Job> {
        numbers.map(move |number| {
            let mut trial = trial(number);
            trial.group = group;
            Job::new(trial)
        })
    }

    fn numbers(jobs: &[Job]) -> Vec<u64> {
        jobs.iter().map(|job| job.trial.index.0).collect()
    }

    fn seconds(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn groups_go_to_one_slot_and_end_at_their_borders() {
        let mut queue = Queue::default();
        queue.extend(
            of(None, 0..3)
                .chain(of(Some(0), 3..6))
                .chain(of(Some(1), 6..9))
                .chain(of(None, 9..11)),
        );
        assert_eq!(numbers(&queue.take(0, 2, 2, true)), [0, 1]);
        assert_eq!(
            numbers(&queue.take(1, 2, 2, true)),
            [2],
            "not with those of the group"
        );
        assert_eq!(
            numbers(&queue.take(0, 2, 2, true)),
            [3, 4, 5],
            "groups enough for all"
        );
        assert_eq!(
            numbers(&queue.take(1, 2, 2, true)),
            [6, 7],
            "towards the end only a half"
        );
        assert_eq!(
            numbers(&queue.take(0, 2, 2, true)),
            [9, 10],
            "the rest of a group is for the slot that has begun it"
        );
        assert_eq!(numbers(&queue.take(1, 2, 2, true)), [8]);
        assert_eq!(queue.len(), 0);
        assert!(queue.peek(0).is_none() && queue.take(0, 2, 2, true).is_empty());
    }

    #[test]
    fn a_long_group_comes_in_several_bundles() {
        let mut queue = Queue::default();
        queue.extend(
            of(Some(0), 0..150)
                .chain(of(Some(1), 150..152))
                .chain(of(Some(2), 152..154)),
        );
        assert_eq!(queue.take(0, 2, 1, true).len(), MOST);
        assert_eq!(numbers(&queue.take(1, 2, 1, true)), [150]);
        assert_eq!(
            queue.take(0, 2, 1, true).len(),
            (150 - MOST).div_ceil(2),
            "its own group before others"
        );
        assert_eq!(numbers(&queue.take(1, 2, 1, true)), [151]);
        assert_eq!(queue.take(0, 2, 100, true).len(), (150 - MOST) / 2 / 2 + 1);
    }

    /// A second slot would have to compute the beginning anew.
    #[test]
    fn another_slot_helps_only_where_that_is_sooner_done() {
        let mut queue = Queue::default();
        queue.extend(of(Some(0), 0..20));
        let group = Some((0, 0));
        assert_eq!(queue.take(0, 2, 1, true).len(), 10);
        assert!(queue.peek(1).is_none(), "nothing is known yet");
        queue.finished(0, group, seconds(10));
        assert!(queue.peek(1).is_none());
        queue.finished(0, group, seconds(1));
        assert!(
            queue.peek(1).is_none(),
            "ten more seconds are no work for two"
        );
        queue.finished(0, group, seconds(9));
        assert_eq!(
            numbers(&queue.take(1, 2, 1, true)),
            [15, 16, 17, 18, 19],
            "half of 50 s is more than 10"
        );
        queue.finished(0, group, seconds(1));
        assert!(queue.peek(1).is_none(), "half of 18 s is less");
        assert_eq!(numbers(&queue.take(0, 2, 1, true)), [10, 11, 12]);
    }

    #[test]
    fn timed_trials_and_poisonous_ones_come_alone() {
        let mut queue = Queue::default();
        queue.extend(of(Some(0), 0..3));
        assert_eq!(numbers(&queue.take(0, 1, 1, false)), [0]);
        let mut poison = of(Some(0), 7..8).next().unwrap();
        poison.alone = true;
        queue.put_back(poison);
        of(Some(0), 8..10).for_each(|job| queue.put_back(job));
        assert_eq!(numbers(&queue.take(0, 1, 1, true)), [9, 8]);
        assert_eq!(numbers(&queue.take(0, 1, 8, true)), [7]);
        assert_eq!(numbers(&queue.take(0, 1, 1, true)), [1]);
    }
}
