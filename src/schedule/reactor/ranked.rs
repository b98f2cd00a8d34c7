//! The order of `--best-first`: the trials of points that have had their first one, the most
//! promising point first.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::slot::Job;
use crate::grid::PointId;
use crate::plan::Race;

/// Trials by point.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    points: HashMap<PointId, RankedPoint>,
    order: BTreeSet<(Rank, PointId)>,
}

/// The queued trials of a point.
#[derive(Debug)]
struct RankedPoint {
    jobs: VecDeque<Job>,
    rank: Rank,
    /// Its place in the order in which the points were added.
    place: usize,
    standing: Standing,
}

/// How a point stands in the race.
#[derive(Debug, Default)]
struct Standing {
    /// How many results complete it.
    seeds: usize,
    /// How many results it has.
    results: usize,
    /// How far it falls short of the best that it could reach (`Race::shortfall`).
    shortfall: f64,
}

/// The rank of a point, the least first: points with results come before points whose first result
/// is under way; then the point that can still reach most; then the one with most seeds left; then
/// the one that was added first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_no_result: bool,
    /// The bits of a number that is not negative, which sort as the number does.
    shortfall: u64,
    given: usize,
    place: usize,
}

impl Ranked {
    /// Adds a trial.
    pub(crate) fn push(&mut self, mut job: Job, race: &Race) {
        // It is handed out by itself, not with others of its group.
        job.trial.group = None;
        let point = job.trial.id.point;
        let place = self.points.len();
        let ranked = self.points.entry(point).or_insert_with(|| RankedPoint {
            jobs: VecDeque::new(),
            rank: Rank::default(),
            place,
            standing: Standing::default(),
        });
        ranked.jobs.push_back(job);
        self.on_result(point, race);
    }

    /// Whether trials of this point have been added before.
    pub(crate) fn contains(&self, point: PointId) -> bool {
        self.points.contains_key(&point)
    }

    /// Updates a point that has a new result.
    pub(crate) fn on_result(&mut self, point: PointId, race: &Race) {
        if let Some(ranked) = self.points.get_mut(&point) {
            ranked.standing = Standing {
                seeds: race.seeds(),
                results: race.results(point),
                shortfall: race.shortfall(point),
            };
            self.update_rank(point);
        }
    }

    /// The next trial.
    pub(crate) fn peek(&self) -> Option<&Job> {
        let (_, point) = self.order.first()?;
        self.points[point].jobs.front()
    }

    /// Takes the next trials, at most `limit`.
    pub(crate) fn take(&mut self, limit: usize) -> Vec<Job> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some((_, point)) = self.order.first().copied() else {
                break;
            };
            if let Some(ranked) = self.points.get_mut(&point) {
                taken.extend(ranked.jobs.pop_front());
            }
            self.update_rank(point);
        }
        taken
    }

    /// Takes out every trial of the points for which `is_out` holds, in the order of seeds and
    /// points.
    pub(crate) fn take_out(&mut self, is_out: &dyn Fn(&Job) -> bool) -> Vec<Job> {
        let mut out = Vec::new();
        for (point, ranked) in &mut self.points {
            if ranked.jobs.front().is_some_and(is_out) {
                self.order.remove(&(ranked.rank, *point));
                out.extend(ranked.jobs.drain(..));
            }
        }
        out.sort_by_key(|job| (job.trial.id.seed, job.trial.arm, job.trial.index));
        out
    }

    /// Moves a point to its place in the order.
    fn update_rank(&mut self, point: PointId) {
        let Some(ranked) = self.points.get_mut(&point) else {
            return;
        };
        self.order.remove(&(ranked.rank, point));
        if ranked.jobs.is_empty() {
            return;
        }

        let Standing {
            seeds,
            results,
            shortfall,
        } = ranked.standing;
        let given = seeds.saturating_sub(ranked.jobs.len());
        // Seeds that are under way are expected to give what the others gave. Otherwise one point
        // would get all its seeds at once where there are many workers, most of them in vain.
        let expected = shortfall * (given.max(results) as f64 / results.max(1) as f64);
        ranked.rank = Rank {
            has_no_result: results == 0,
            shortfall: expected.to_bits(),
            given,
            place: ranked.place,
        };
        self.order.insert((ranked.rank, point));
    }
}
