//! For `--best-first`: the trials of points that have had their first one, the most promising point
//! first.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::slot::Job;
use crate::grid::PointId;
use crate::plan::Race;

/// Trials by point.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    points: HashMap<PointId, Waiting>,
    order: BTreeSet<(Rank, PointId)>,
}

/// The trials of a point.
#[derive(Debug)]
struct Waiting {
    jobs: VecDeque<Job>,
    rank: Rank,
    /// Its place among the points, as they came.
    place: usize,
    /// How many seeds complete it, how many results it has, and how far it can still come
    /// (`Race::shortfall`).
    standing: (usize, usize, f64),
}

/// The lesser the earlier: points with results first, the one that can still reach most before the
/// others, then those whose first result is under way. Among equals what has more seeds left, then
/// as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    untold: bool,
    /// Of a number that is not negative, so that its bits are in its order.
    shortfall: u64,
    given: usize,
    place: usize,
}

impl Ranked {
    /// Adds a trial.
    pub fn push(&mut self, mut job: Job, race: &Race) {
        // It comes by itself, not with others of its group.
        job.trial.group = None;
        let (point, place) = (job.trial.id.point, self.points.len());
        let new = || Waiting {
            jobs: VecDeque::new(),
            rank: Rank::default(),
            place,
            standing: (0, 0, 0.0),
        };
        self.points
            .entry(point)
            .or_insert_with(new)
            .jobs
            .push_back(job);
        self.touch(point, race);
    }

    /// Whether trials of that point have come here.
    pub fn knows(&self, point: PointId) -> bool {
        self.points.contains_key(&point)
    }

    /// A point has a new result.
    pub fn touch(&mut self, point: PointId, race: &Race) {
        if let Some(waiting) = self.points.get_mut(&point) {
            waiting.standing = (race.seeds(), race.results(point), race.shortfall(point));
            self.place(point);
        }
    }

    /// The next trial.
    pub fn peek(&self) -> Option<&Job> {
        self.points[&self.order.first()?.1].jobs.front()
    }

    /// Takes the next trials, at most so many.
    pub fn take(&mut self, most: usize) -> Vec<Job> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some((_, point)) = self.order.first().copied() else {
                break;
            };
            taken.extend(
                self.points
                    .get_mut(&point)
                    .and_then(|waiting| waiting.jobs.pop_front()),
            );
            self.place(point);
        }
        taken
    }

    /// Takes out every trial of the points that `is_out` says, in the order of seeds and points.
    pub fn take_out(&mut self, is_out: &dyn Fn(&Job) -> bool) -> Vec<Job> {
        let mut out = Vec::new();
        for (point, waiting) in self
            .points
            .iter_mut()
            .filter(|(_, waiting)| waiting.jobs.front().is_some_and(is_out))
        {
            self.order.remove(&(waiting.rank, *point));
            out.extend(waiting.jobs.drain(..));
        }
        out.sort_by_key(|job| (job.trial.id.seed, job.trial.arm, job.trial.index));
        out
    }

    /// Puts a point where it belongs now.
    fn place(&mut self, point: PointId) {
        let Some(waiting) = self.points.get_mut(&point) else {
            return;
        };
        self.order.remove(&(waiting.rank, point));
        if waiting.jobs.is_empty() {
            return;
        }
        let (seeds, results, shortfall) = waiting.standing;
        let given = seeds.saturating_sub(waiting.jobs.len());
        // Seeds that are under way are taken to give what the others gave: else one point would get
        // all its seeds at once where there are many workers, and most of them in vain.
        let expected = shortfall * (given.max(results) as f64 / results.max(1) as f64);
        waiting.rank = Rank {
            untold: results == 0,
            shortfall: expected.to_bits(),
            given,
            place: waiting.place,
        };
        self.order.insert((waiting.rank, point));
    }
}
