//! The filter of the trial list: words and comparisons, e.g. `adam lr<0.01 state=failed seed=3`.
//! Pure.

use crate::grid::{ArmGrid, Grid, PointIndex};
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::spec::{Axis, ParamValue};

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    /// Longer signs come first, so that `<=` is not read as `<`.
    const SIGNS: [(&'static str, Self); 6] = [
        ("!=", Self::Different),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::More),
    ];

    fn of_numbers(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Different => a != b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::More => a > b,
            Self::AtLeast => a >= b,
        }
    }

    /// Texts are equal or not, but have no order.
    fn of_texts(self, a: &str, b: &str) -> bool {
        match self {
            Self::Equal => a.eq_ignore_ascii_case(b),
            Self::Different => !a.eq_ignore_ascii_case(b),
            Self::Less | Self::AtMost | Self::More | Self::AtLeast => false,
        }
    }

    fn of_value(self, value: &ParamValue, wanted: &str) -> bool {
        match (value.as_f64(), wanted.parse::<f64>()) {
            (Some(a), Ok(b)) => self.of_numbers(a, b),
            _ => self.of_texts(&value.to_string(), wanted),
        }
    }
}

/// Which values of an axis match, by the index of the value.
type Matching = Vec<bool>;

/// A filter of trials: all of its terms must match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter(Vec<Term>);

/// One word of a filter. Vectors are by arm.
#[derive(Clone, Debug)]
enum Term {
    /// A parameter; None: the arm has no such parameter.
    Parameter(Vec<Option<AxisTerm>>),
    Arm(Vec<bool>),
    Seed(Comparison, f64),
    State(Comparison, String),
    Phase(Comparison, String),
    Kind(Comparison, String),
    Metric(Comparison, f64, String),
    /// A comparison of a name that is not known, or with a text where a number is needed.
    Nothing(String),
    Word(WordTerm),
}

/// A comparison with a parameter of one arm.
#[derive(Clone, Debug)]
struct AxisTerm {
    axis: usize,
    values: Matching,
}

/// A bare word: the beginning of an id, a part of an arm's name, or a part of a value.
#[derive(Clone, Debug)]
struct WordTerm {
    word: String,
    /// By arm: whether its name matches.
    arms: Vec<bool>,
    /// By arm and axis: the values that match.
    values: Vec<Vec<Matching>>,
}

impl Filter {
    /// Parses what was typed. A comparison with something that no arm has matches no trial.
    pub(crate) fn read(text: &str, grid: &Grid) -> Self {
        Self(
            text.split_whitespace()
                .map(|word| term(word, grid))
                .collect(),
        )
    }

    /// Returns the compared names that are neither a parameter nor a metric that a trial has
    /// reported. They match no trial.
    pub(crate) fn unknown(&self, sweep: &Sweep) -> Vec<String> {
        let unknown = self.0.iter().filter_map(|term| match term {
            // A seed that is no number is a wrong value of a known name.
            Term::Nothing(name) if name == "seed" => None,
            Term::Metric(_, _, name) | Term::Nothing(name) if !is_reported(sweep, name) => {
                Some(name.clone())
            }
            _ => None,
        });
        unknown.collect()
    }

    /// Whether a trial matches.
    pub(crate) fn matches(&self, sweep: &Sweep, trial: &PlannedTrial) -> bool {
        let mut values = TrialValues {
            arm: &sweep.grid()[trial.arm],
            index: trial.index,
            places: None,
        };
        self.0
            .iter()
            .all(|term| term.matches(sweep, trial, &mut values))
    }
}

/// The values of a trial, as indices into the axes; computed when the first term needs them.
struct TrialValues<'a> {
    arm: &'a ArmGrid,
    index: PointIndex,
    places: Option<Vec<Option<usize>>>,
}

impl TrialValues<'_> {
    /// The index of the trial's value on an axis; None if the trial does not have the parameter.
    fn on(&mut self, axis: usize) -> Option<usize> {
        let places = self
            .places
            .get_or_insert_with(|| self.arm.places(self.index));
        places.get(axis).copied().flatten()
    }
}

impl Term {
    fn matches(&self, sweep: &Sweep, trial: &PlannedTrial, values: &mut TrialValues<'_>) -> bool {
        match self {
            Self::Parameter(arms) => arms[trial.arm.0]
                .as_ref()
                .is_some_and(|term| values.on(term.axis).is_some_and(|value| term.values[value])),
            Self::Arm(arms) => arms[trial.arm.0],
            Self::Seed(comparison, seed) => comparison.of_numbers(trial.id.seed as f64, *seed),
            Self::State(comparison, state) => comparison.of_texts(sweep.state_of(trial), state),
            Self::Phase(comparison, phase) => comparison.of_texts(trial.phase.name(), phase),
            Self::Kind(comparison, kind) => {
                let latest = sweep.latest(trial.id);
                latest
                    .and_then(|latest| latest.failure.as_ref())
                    .is_some_and(|(found, _)| comparison.of_texts(found.name(), kind))
            }
            Self::Metric(comparison, wanted, name) => {
                let metrics = sweep.row(trial.id).and_then(|row| row.metrics.as_ref());
                metrics
                    .and_then(|metrics| metrics.get(name))
                    .is_some_and(|value| comparison.of_numbers(value, *wanted))
            }
            Self::Nothing(_) => false,
            Self::Word(term) => term.matches(trial, values),
        }
    }
}

impl WordTerm {
    fn matches(&self, trial: &PlannedTrial, values: &mut TrialValues<'_>) -> bool {
        if self.arms[trial.arm.0] {
            return true;
        }
        for (axis, matching) in self.values[trial.arm.0].iter().enumerate() {
            if values.on(axis).is_some_and(|value| matching[value]) {
                return true;
            }
        }
        trial.id.to_string().starts_with(&self.word)
    }
}

/// Whether a metric is the one that selects, or a trial has reported it.
fn is_reported(sweep: &Sweep, name: &str) -> bool {
    name == sweep.spec().metric.name
        || sweep.rows().values().any(|row| {
            let metrics = row.metrics.as_ref();
            metrics.is_some_and(|metrics| metrics.get(name).is_some())
        })
}

/// Parses a word of the filter.
fn term(word: &str, grid: &Grid) -> Term {
    let Some((name, comparison, wanted)) = split_comparison(word) else {
        return Term::Word(word_term(word, grid));
    };

    let parameters: Vec<Option<AxisTerm>> = grid
        .arms()
        .iter()
        .map(|arm| axis_term(arm, name, comparison, wanted))
        .collect();

    // A parameter may be called `seed` or `state`; then that is meant.
    if parameters.iter().any(Option::is_some) {
        return Term::Parameter(parameters);
    }

    match (name, wanted.parse::<f64>()) {
        ("arm", _) => Term::Arm(
            grid.arms()
                .iter()
                .map(|arm| {
                    let is_named = arm.arm().name == wanted || arm.arm().label == wanted;
                    is_named != (comparison == Comparison::Different)
                })
                .collect(),
        ),
        ("seed", Ok(seed)) => Term::Seed(comparison, seed),
        ("state", _) => Term::State(comparison, wanted.to_owned()),
        ("phase", _) => Term::Phase(comparison, wanted.to_owned()),
        ("kind", _) => Term::Kind(comparison, wanted.to_owned()),
        (metric, Ok(number)) => Term::Metric(comparison, number, metric.to_owned()),
        (name, _) => Term::Nothing(name.to_owned()),
    }
}

/// Splits `name<value` at its first sign. None if it has no sign, no name or no value.
fn split_comparison(word: &str) -> Option<(&str, Comparison, &str)> {
    let (at, comparison, wanted) = word.char_indices().find_map(|(at, _)| {
        Comparison::SIGNS
            .iter()
            .find_map(|(sign, comparison)| Some((at, *comparison, word[at..].strip_prefix(sign)?)))
    })?;
    (at > 0 && !wanted.is_empty()).then(|| (&word[..at], comparison, wanted))
}

/// A comparison with a parameter of an arm; None if the arm does not have it.
fn axis_term(arm: &ArmGrid, name: &str, comparison: Comparison, wanted: &str) -> Option<AxisTerm> {
    let axis = arm.arm().axes.iter().position(|axis| axis.name == name)?;
    let values = arm.arm().axes[axis].values.iter();
    Some(AxisTerm {
        axis,
        values: values
            .map(|value| comparison.of_value(value, wanted))
            .collect(),
    })
}

fn word_term(word: &str, grid: &Grid) -> WordTerm {
    let word = word.to_lowercase();
    let arms = grid
        .arms()
        .iter()
        .map(|arm| {
            let arm = arm.arm();
            arm.name.to_lowercase().contains(&word) || arm.label.to_lowercase().contains(&word)
        })
        .collect();

    // A digit occurs in every second value, so that numbers are matched by comparisons only.
    let is_number = word.parse::<f64>().is_ok();
    let values = grid
        .arms()
        .iter()
        .map(|arm| match is_number {
            true => Vec::new(),
            false => arm
                .arm()
                .axes
                .iter()
                .map(|axis| values_with(axis, &word))
                .collect(),
        })
        .collect();
    WordTerm { word, arms, values }
}

/// The values of an axis that contain a word.
fn values_with(axis: &Axis, word: &str) -> Matching {
    axis.values
        .iter()
        .map(|value| value.to_string().to_lowercase().contains(word))
        .collect()
}
