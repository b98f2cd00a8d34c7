//! The trials that wait for a worker, in the order in which they will be given out: as they came, or, for a race, by what
//! their points can still reach.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::slot::Job;
use crate::grid::PointId;
use crate::plan::{Phase, Race};

/// Trials in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// As they came. In the other order: what was put back, and comes first.
    line: VecDeque<Job>,
    ranked: Option<Ranked>,
}

/// Trials by point, the most promising point first.
#[derive(Debug, Default)]
struct Ranked {
    points: HashMap<PointId, Waiting>,
    order: BTreeSet<(Rank, PointId)>,
    /// Trials in all.
    len: usize,
    /// Points that were ever here.
    seen: usize,
}

/// The trials of a point.
#[derive(Debug)]
struct Waiting {
    jobs: VecDeque<Job>,
    rank: Rank,
    /// Its place among the points, as they came.
    place: usize,
}

/// The lesser the earlier: points that nobody has tried; then those with results, the one that can still reach most
/// before the others; last those whose first result is under way. Among equals what has more seeds left, then as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: u8,
    /// Of a number that is not negative, so that its bits are in its order.
    shortfall: u64,
    fewer_left: usize,
    place: usize,
}

impl Queue {
    /// From now on trials go by what their points can still reach in the race, not as they came.
    pub fn rank(&mut self) {
        self.ranked.get_or_insert_default();
    }

    /// Adds trials at the end.
    pub fn extend(&mut self, jobs: impl IntoIterator<Item = Job>, race: Option<&Race>) {
        let (Some(ranked), Some(race)) = (&mut self.ranked, race) else {
            self.line.extend(jobs);
            return;
        };
        let mut touched = BTreeSet::new();
        for job in jobs {
            if job.trial.phase == Phase::Final {
                self.line.push_back(job);
                continue;
            }
            let point = job.trial.id.point;
            let (seen, rank) = (&mut ranked.seen, Rank::default());
            let waiting = ranked.points.entry(point).or_insert_with(|| {
                *seen += 1;
                Waiting { jobs: VecDeque::new(), rank, place: *seen }
            });
            waiting.jobs.push_back(job);
            ranked.len += 1;
            touched.insert(point);
        }
        touched.into_iter().for_each(|point| ranked.place(point, race));
    }

    /// A point has a new result.
    pub fn touch(&mut self, point: PointId, race: &Race) {
        if let Some(ranked) = &mut self.ranked {
            ranked.place(point, race);
        }
    }

    /// Puts a trial before all others.
    pub fn push_front(&mut self, job: Job) {
        self.line.push_front(job);
    }

    /// The next trial.
    pub fn front(&self) -> Option<&Job> {
        let first = || {
            let ranked = self.ranked.as_ref()?;
            ranked.points[&ranked.order.first()?.1].jobs.front()
        };
        self.line.front().or_else(first)
    }

    /// Takes the next trial.
    pub fn pop_front(&mut self, race: Option<&Race>) -> Option<Job> {
        if let Some(job) = self.line.pop_front() {
            return Some(job);
        }
        let ranked = self.ranked.as_mut()?;
        let point = ranked.order.first()?.1;
        let job = ranked.points.get_mut(&point)?.jobs.pop_front()?;
        ranked.len -= 1;
        if let Some(race) = race {
            ranked.place(point, race);
        }
        Some(job)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.line.len() + self.ranked.as_ref().map_or(0, |ranked| ranked.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes out every trial of the points that `is_out` says.
    pub fn take_out(&mut self, is_out: &dyn Fn(&Job) -> bool) -> Vec<Job> {
        let (mut out, line): (Vec<Job>, Vec<Job>) = std::mem::take(&mut self.line).into_iter().partition(is_out);
        self.line = line.into();
        if let Some(ranked) = &mut self.ranked {
            let Ranked { points, order, len, .. } = ranked;
            for (point, waiting) in points.iter_mut().filter(|(_, waiting)| waiting.jobs.front().is_some_and(is_out)) {
                order.remove(&(waiting.rank, *point));
                *len -= waiting.jobs.len();
                out.extend(waiting.jobs.drain(..));
            }
            // A hash map has no order of its own.
            out.sort_by_key(|job| (job.trial.id.seed, job.trial.arm, job.trial.index));
        }
        out
    }
}

impl Ranked {
    /// Puts a point where it belongs now.
    fn place(&mut self, point: PointId, race: &Race) {
        let Some(waiting) = self.points.get_mut(&point) else { return };
        self.order.remove(&(waiting.rank, point));
        if waiting.jobs.is_empty() {
            return;
        }
        let results = race.results(point);
        let given = race.seeds().saturating_sub(waiting.jobs.len());
        waiting.rank = Rank {
            class: if results > 0 { 1 } else { 2 * u8::from(given > 0) },
            // Seeds that are under way are taken to give what the others gave: else one point would get all its seeds at
            // once where there are many workers, and most of them in vain.
            shortfall: (race.shortfall(point) * (given.max(results) as f64 / results.max(1) as f64)).to_bits(),
            fewer_left: given,
            place: waiting.place,
        };
        self.order.insert((waiting.rank, point));
    }
}
