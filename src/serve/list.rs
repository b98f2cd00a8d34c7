//! The list of trials: filtered and sorted here, handed out by windows, so that the page need not
//! hold 80,000 rows.

use serde::{Deserialize, Serialize};

use super::query::Filter;
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::protocol::Real;

/// The most rows of a window.
const MOST: usize = 500;

/// What the page asks for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Only this arm, by its name.
    arm: String,
    /// Only this state.
    state: String,
    /// Words and comparisons.
    q: String,
    /// What to sort by; nothing: the order in which trials run.
    sort: String,
    /// Whether the largest comes first.
    descending: bool,
    /// The first row.
    from: usize,
    /// How many rows.
    count: usize,
}

/// A list in its order, kept for the windows that follow.
#[derive(Debug)]
pub struct Listed {
    version: u64,
    request: Request,
    trials: Vec<PlannedTrial>,
}

#[derive(Serialize)]
struct Window {
    version: u64,
    total: usize,
    from: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    trial: String,
    arm: String,
    values: String,
    seed: u64,
    phase: &'static str,
    state: &'static str,
    metric: Option<Real>,
    /// Milliseconds since 1970.
    started: Option<i64>,
    seconds: Option<f64>,
    failures: u32,
    kind: Option<String>,
}

/// A window of the list as JSON. `kept` is the list of the last request: it serves again while
/// nothing has changed.
pub fn window(sweep: &Sweep, version: u64, request: Request, kept: &mut Option<Listed>) -> String {
    let (from, count) = (request.from, request.count.min(MOST));
    let same = Request {
        from: 0,
        count: 0,
        ..request
    };
    let listed = match kept
        .take()
        .filter(|kept| kept.version == version && kept.request == same)
    {
        Some(listed) => listed,
        None => Listed {
            version,
            trials: sorted(sweep, &same),
            request: same,
        },
    };
    let rows = listed
        .trials
        .iter()
        .skip(from)
        .take(count)
        .map(|trial| row(sweep, trial))
        .collect();
    let window = super::overview::json(&Window {
        version,
        total: listed.trials.len(),
        from,
        rows,
    });
    *kept = Some(listed);
    window
}

fn row(sweep: &Sweep, trial: &PlannedTrial) -> Row {
    let (row, last) = (sweep.row(trial.id), sweep.last(trial.id));
    Row {
        trial: trial.id.to_string(),
        arm: sweep.names().arm(trial.arm).to_owned(),
        values: sweep.names().values(trial),
        seed: trial.id.seed,
        phase: trial.phase.name(),
        state: sweep.state_of(trial),
        metric: metric(sweep, trial).map(Real),
        started: last.map(|last| last.started),
        seconds: last.and_then(|last| last.duration),
        failures: row.map_or(0, |row| row.failures),
        kind: last
            .and_then(|last| last.failure.as_ref())
            .map(|(kind, _)| kind.to_string()),
    }
}

fn metric(sweep: &Sweep, trial: &PlannedTrial) -> Option<f64> {
    sweep
        .row(trial.id)?
        .metrics
        .as_ref()?
        .get(&sweep.spec().metric.name)
}

fn sorted(sweep: &Sweep, request: &Request) -> Vec<PlannedTrial> {
    let filter = Filter::read(&request.q, sweep.grid());
    let arms: Vec<bool> = sweep
        .spec()
        .arms
        .iter()
        .map(|arm| request.arm.is_empty() || arm.name == request.arm)
        .collect();
    let fits = |trial: &&PlannedTrial| {
        arms[trial.arm]
            && (request.state.is_empty() || sweep.state_of(trial) == request.state)
            && filter.fits(sweep, trial)
    };
    let found = sweep.trials().filter(fits);
    if request.sort.is_empty() {
        let mut trials: Vec<PlannedTrial> = found.copied().collect();
        if request.descending {
            trials.reverse();
        }
        return trials;
    }
    let key = key(sweep, &request.sort);
    let mut keyed: Vec<(Option<f64>, PlannedTrial)> = found
        .map(|trial| (key(trial).filter(|key| !key.is_nan()), *trial))
        .collect();
    // Stable, and what has no figure comes last either way.
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) if request.descending => b.total_cmp(a),
        (Some(a), Some(b)) => a.total_cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    keyed.into_iter().map(|(_, trial)| trial).collect()
}

/// What trials are ordered by, as a number.
type Key<'a> = Box<dyn Fn(&PlannedTrial) -> Option<f64> + 'a>;

/// The key that goes by a name.
fn key<'a>(sweep: &'a Sweep, sort: &str) -> Key<'a> {
    let state = |name: &str| {
        ["running", "failed", "done", "pruned", "waiting"]
            .iter()
            .position(|known| *known == name)
    };
    match sort {
        "metric" => Box::new(|trial| metric(sweep, trial)),
        "state" => Box::new(move |trial| state(sweep.state_of(trial)).map(|place| place as f64)),
        "arm" => Box::new(|trial| Some(trial.arm as f64)),
        "seed" => Box::new(|trial| Some(trial.id.seed as f64)),
        "started" => Box::new(|trial| sweep.last(trial.id).map(|last| last.started as f64)),
        "seconds" => Box::new(|trial| sweep.last(trial.id)?.duration),
        name => {
            let name = name.strip_prefix("param:").unwrap_or(name).to_owned();
            // By arm: the axis, and its values as numbers; texts go by their place in the sweep
            // file.
            let axes: Vec<Option<(usize, Vec<f64>)>> = sweep
                .grid()
                .arms()
                .iter()
                .map(|arm| {
                    let axis = arm.arm().axes.iter().position(|axis| axis.name == name)?;
                    let values = arm.arm().axes[axis].values.iter().enumerate();
                    Some((
                        axis,
                        values
                            .map(|(place, value)| value.as_f64().unwrap_or(place as f64))
                            .collect(),
                    ))
                })
                .collect();
            Box::new(move |trial| {
                let (axis, values) = axes[trial.arm].as_ref()?;
                Some(values[sweep.grid().arms()[trial.arm].places(trial.index)[*axis]?])
            })
        }
    }
}
