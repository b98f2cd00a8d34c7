//! The list of trials: filtered and sorted here, and sent in windows, so that the page does not
//! need to hold 80,000 rows.

use serde::{Deserialize, Serialize};

use super::overview::json;
use super::query::Filter;
use crate::grid::ArmGrid;
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::protocol::Real;

/// Maximum number of rows of a window.
const MAX_ROWS: usize = 500;

/// The window that the page asks for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ListRequest {
    /// The name of an arm; all arms if empty.
    arm: String,
    /// A state; all states if empty.
    state: String,
    /// The filter.
    q: String,
    /// The key to sort by; the order of the plan if empty.
    sort: String,
    /// Whether the largest comes first.
    descending: bool,
    /// Index of the first row.
    from: usize,
    /// Number of rows.
    count: usize,
}

/// A filtered and sorted list, kept for the windows that follow.
#[derive(Debug)]
pub struct Listed {
    version: u64,
    request: ListRequest,
    trials: Vec<PlannedTrial>,
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct Window {
    version: u64,
    total: usize,
    /// Names in the filter that the sweep does not have.
    unknown: Vec<String>,
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

/// Returns a window of the list as JSON. `cache` holds the last list: it is used again while
/// nothing has changed.
pub(crate) fn window(
    sweep: &Sweep,
    version: u64,
    request: ListRequest,
    cache: &mut Option<Listed>,
) -> String {
    let from = request.from;
    let count = request.count.min(MAX_ROWS);
    let request = ListRequest {
        from: 0,
        count: 0,
        ..request
    };
    let cached = cache
        .take()
        .filter(|listed| listed.version == version && listed.request == request);
    let listed = cached.unwrap_or_else(|| Listed {
        version,
        unknown: Filter::read(&request.q, sweep.grid()).unknown(sweep),
        trials: sorted(sweep, &request),
        request,
    });

    let rows = listed
        .trials
        .iter()
        .skip(from)
        .take(count)
        .map(|trial| row(sweep, trial))
        .collect();
    let window = json(&Window {
        version,
        total: listed.trials.len(),
        unknown: listed.unknown.clone(),
        from,
        rows,
    });
    *cache = Some(listed);
    window
}

fn row(sweep: &Sweep, trial: &PlannedTrial) -> Row {
    let latest = sweep.latest(trial.id);
    let failure = latest.and_then(|latest| latest.failure.as_ref());
    Row {
        trial: trial.id.to_string(),
        arm: sweep.names().arm(trial.arm).to_owned(),
        values: sweep.names().values(trial),
        seed: trial.id.seed,
        phase: trial.phase.name(),
        state: sweep.state_of(trial),
        metric: metric(sweep, trial).map(Real),
        started: latest.map(|latest| latest.started),
        seconds: latest.and_then(|latest| latest.duration),
        failures: sweep.row(trial.id).map_or(0, |row| row.failures),
        kind: failure.map(|(kind, _)| kind.to_string()),
    }
}

fn metric(sweep: &Sweep, trial: &PlannedTrial) -> Option<f64> {
    sweep
        .row(trial.id)?
        .metrics
        .as_ref()?
        .get(&sweep.spec().metric.name)
}

/// The trials that a request selects, in its order.
fn sorted(sweep: &Sweep, request: &ListRequest) -> Vec<PlannedTrial> {
    let filter = Filter::read(&request.q, sweep.grid());
    let is_wanted_arm: Vec<bool> = sweep
        .spec()
        .arms
        .iter()
        .map(|arm| request.arm.is_empty() || arm.name == request.arm)
        .collect();
    let found = sweep.trials().filter(|trial| {
        is_wanted_arm[trial.arm.0]
            && (request.state.is_empty() || sweep.state_of(trial) == request.state)
            && filter.matches(sweep, trial)
    });

    if request.sort.is_empty() {
        let mut trials: Vec<PlannedTrial> = found.copied().collect();
        if request.descending {
            trials.reverse();
        }
        return trials;
    }

    let key = SortKey::named(&request.sort, sweep);
    let mut keyed: Vec<(Option<f64>, PlannedTrial)> = found
        .map(|trial| (key.of(sweep, trial).filter(|key| !key.is_nan()), *trial))
        .collect();

    // The sort is stable. Trials without a key come last in both directions.
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) if request.descending => b.total_cmp(a),
        (Some(a), Some(b)) => a.total_cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    keyed.into_iter().map(|(_, trial)| trial).collect()
}

/// States in the order in which they are sorted.
const STATES: [&str; 5] = ["running", "failed", "done", "pruned", "waiting"];

/// What trials are sorted by.
enum SortKey {
    Metric,
    State,
    Arm,
    Seed,
    Started,
    Seconds,
    /// A parameter: for each arm its axis, if the arm has it.
    Parameter(Vec<Option<SortAxis>>),
}

/// An axis to sort by.
struct SortAxis {
    axis: usize,
    /// A number for each value; texts are sorted in the order of the sweep file.
    numbers: Vec<f64>,
}

impl SortKey {
    /// The key of a name that the page sends: `metric`, `state`, ..., or `param:NAME`.
    fn named(name: &str, sweep: &Sweep) -> Self {
        match name {
            "metric" => Self::Metric,
            "state" => Self::State,
            "arm" => Self::Arm,
            "seed" => Self::Seed,
            "started" => Self::Started,
            "seconds" => Self::Seconds,
            name => {
                let name = name.strip_prefix("param:").unwrap_or(name);
                let arms = sweep.grid().arms().iter();
                Self::Parameter(arms.map(|arm| sort_axis(arm, name)).collect())
            }
        }
    }

    /// The number that a trial is sorted by.
    fn of(&self, sweep: &Sweep, trial: &PlannedTrial) -> Option<f64> {
        match self {
            Self::Metric => metric(sweep, trial),
            Self::State => {
                let state = sweep.state_of(trial);
                let rank = STATES.iter().position(|known| *known == state)?;
                Some(rank as f64)
            }
            Self::Arm => Some(trial.arm.0 as f64),
            Self::Seed => Some(trial.id.seed as f64),
            Self::Started => Some(sweep.latest(trial.id)?.started as f64),
            Self::Seconds => sweep.latest(trial.id)?.duration,
            Self::Parameter(arms) => {
                let axis = arms[trial.arm.0].as_ref()?;
                let places = sweep.grid()[trial.arm].places(trial.index);
                Some(axis.numbers[places[axis.axis]?])
            }
        }
    }
}

fn sort_axis(arm: &ArmGrid, name: &str) -> Option<SortAxis> {
    let axis = arm.arm().axes.iter().position(|axis| axis.name == name)?;
    let values = arm.arm().axes[axis].values.iter().enumerate();
    Some(SortAxis {
        axis,
        numbers: values
            .map(|(index, value)| value.as_f64().unwrap_or(index as f64))
            .collect(),
    })
}
