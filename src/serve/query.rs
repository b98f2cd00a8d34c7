//! The filter of the trial list: words and comparisons as people type them, e.g. `adam lr<0.01
//! state=failed seed=3`. Pure.

use crate::grid::Grid;
use crate::monitor::Sweep;
use crate::plan::PlannedTrial;
use crate::spec::ParamValue;

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
    /// Longer signs first: `<=` is not `<`.
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

    /// Texts are equal or not; they have no order.
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

/// What a trial must be to be listed: every term must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<Term>);

#[derive(Clone, Debug)]
enum Term {
    /// By arm: the axis that is meant, and which of its values fit. None: the arm has no such
    /// parameter.
    Parameter(Vec<Option<(usize, Vec<bool>)>>),
    Arm(Vec<bool>),
    Seed(Comparison, f64),
    State(Comparison, String),
    Phase(Comparison, String),
    Kind(Comparison, String),
    Metric(Comparison, f64, String),
    /// A bare word: the beginning of an id, a part of the arm's name, or a part of a value, by axis
    /// of each arm.
    Word(String, Vec<bool>, Vec<Vec<Vec<bool>>>),
}

impl Filter {
    /// Reads what was typed. A comparison with something that no arm has fits no trial.
    pub fn read(text: &str, grid: &Grid) -> Self {
        Self(
            text.split_whitespace()
                .map(|word| term(word, grid))
                .collect(),
        )
    }

    /// Whether a trial is to be listed.
    pub fn fits(&self, sweep: &Sweep, trial: &PlannedTrial) -> bool {
        let mut places = None;
        let mut place = |axis: usize| {
            places
                .get_or_insert_with(|| sweep.grid().arms()[trial.arm].places(trial.index))
                .get(axis)
                .copied()
                .flatten()
        };
        self.0.iter().all(|term| match term {
            Term::Parameter(arms) => match &arms[trial.arm] {
                Some((axis, fitting)) => place(*axis).is_some_and(|value| fitting[value]),
                None => false,
            },
            Term::Arm(arms) => arms[trial.arm],
            Term::Seed(comparison, seed) => comparison.of_numbers(trial.id.seed as f64, *seed),
            Term::State(comparison, state) => comparison.of_texts(sweep.state_of(trial), state),
            Term::Phase(comparison, phase) => comparison.of_texts(trial.phase.name(), phase),
            Term::Kind(comparison, kind) => {
                let failure = sweep.last(trial.id).and_then(|last| last.failure.as_ref());
                failure.is_some_and(|(found, _)| comparison.of_texts(found.name(), kind))
            }
            Term::Metric(comparison, wanted, name) => {
                let metrics = sweep.row(trial.id).and_then(|row| row.metrics.as_ref());
                metrics
                    .and_then(|metrics| metrics.get(name))
                    .is_some_and(|value| comparison.of_numbers(value, *wanted))
            }
            Term::Word(word, arms, values) => {
                arms[trial.arm]
                    || values[trial.arm]
                        .iter()
                        .enumerate()
                        .any(|(axis, fitting)| place(axis).is_some_and(|value| fitting[value]))
                    || trial.id.to_string().starts_with(word.as_str())
            }
        })
    }
}

fn term(word: &str, grid: &Grid) -> Term {
    let sign = |(at, _): (usize, char)| {
        Comparison::SIGNS
            .iter()
            .find_map(|(sign, found)| Some((at, word[at..].strip_prefix(sign)?, *found)))
    };
    let found = word
        .char_indices()
        .find_map(sign)
        .filter(|(at, rest, _)| *at > 0 && !rest.is_empty());
    let Some((at, wanted, comparison)) = found else {
        return bare(word, grid);
    };
    let name = &word[..at];
    let axes = |name: &str| -> Vec<Option<(usize, Vec<bool>)>> {
        let of_arm = |arm: &crate::grid::ArmGrid| {
            let axis = arm.arm().axes.iter().position(|axis| axis.name == name)?;
            Some((
                axis,
                arm.arm().axes[axis]
                    .values
                    .iter()
                    .map(|value| comparison.of_value(value, wanted))
                    .collect(),
            ))
        };
        grid.arms().iter().map(of_arm).collect()
    };
    let parameters = axes(name);
    // A parameter that is called `seed` or `state` is what its owner means.
    if parameters.iter().any(Option::is_some) {
        return Term::Parameter(parameters);
    }
    let number = wanted.parse::<f64>();
    match (name, number) {
        ("arm", _) => {
            let fits = |arm: &crate::grid::ArmGrid| match comparison {
                Comparison::Different => arm.arm().name != wanted && arm.arm().label != wanted,
                _ => arm.arm().name == wanted || arm.arm().label == wanted,
            };
            Term::Arm(grid.arms().iter().map(fits).collect())
        }
        ("seed", Ok(seed)) => Term::Seed(comparison, seed),
        ("state", _) => Term::State(comparison, wanted.to_owned()),
        ("phase", _) => Term::Phase(comparison, wanted.to_owned()),
        ("kind", _) => Term::Kind(comparison, wanted.to_owned()),
        (metric, Ok(number)) => Term::Metric(comparison, number, metric.to_owned()),
        _ => Term::Arm(vec![false; grid.arms().len()]),
    }
}

fn bare(word: &str, grid: &Grid) -> Term {
    let word = word.to_lowercase();
    let arms = grid.arms().iter().map(|arm| {
        let arm = arm.arm();
        arm.name.to_lowercase().contains(&word) || arm.label.to_lowercase().contains(&word)
    });
    let fitting = |axis: &crate::spec::Axis| {
        axis.values
            .iter()
            .map(|value| value.to_string().to_lowercase().contains(&word))
            .collect()
    };
    // A digit stands in every second value: numbers are found by comparisons.
    let is_number = word.parse::<f64>().is_ok();
    let values = grid.arms().iter().map(|arm| {
        let axes = arm.arm().axes.iter();
        if is_number {
            Vec::new()
        } else {
            axes.map(fitting).collect()
        }
    });
    Term::Word(word.clone(), arms.collect(), values.collect())
}
