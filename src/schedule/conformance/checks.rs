//! The checks of what a worker answers about its trials.

use super::answer::Answer;
use super::error::WorkerError;
use super::{Check, Subject, Verdict};
use crate::collect::quoted;
use crate::protocol::{Metrics, Notes, Position, Reported, note_text};
use crate::text::count;

/// How many positions of a history are shown.
const MAX_SHOWN_POSITIONS: usize = 20;
/// How many notes are shown.
const MAX_SHOWN_NOTES: usize = 5;

/// A trial's history and final metrics, without what differs from run to run.
#[derive(PartialEq)]
struct Reproducible {
    history: Vec<(Position, Metrics)>,
    metrics: Option<Metrics>,
}

impl Reproducible {
    fn of(answer: &Answer) -> Self {
        let history = answer
            .history
            .iter()
            .map(|(position, values)| (*position, values.numbers.without_wall_clock()))
            .collect();
        Self {
            history,
            metrics: reproducible_metrics(answer),
        }
    }
}

fn reproducible_metrics(answer: &Answer) -> Option<Metrics> {
    let metrics = answer.metrics.as_ref()?;
    Some(metrics.numbers.without_wall_clock())
}

/// Whether the worker runs a trial.
pub(super) fn result(
    answers: &Result<Vec<Answer>, WorkerError>,
    subject: &Subject,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "runs a trial";
    const DIED: &str = "it died of this trial, which a sweep tries three times: the end of its stderr says why; what it can name itself it should \
                        say by `failed`, and live on";
    const HELP: &str = "answer `run` with `started`, any number of `epoch`, and `done` or `failed`, each with the trial's id";
    let answer = match answers {
        Ok(answers) => answers.first(),
        Err(error) => {
            let help = match error {
                WorkerError::Exited(_) => DIED,
                _ => HELP,
            };
            checks.push((WHAT, Verdict::Bad(error.to_string(), help)));
            return false;
        }
    };
    let Some(answer) = answer else {
        checks.push((WHAT, Verdict::Bad("there was no answer".to_owned(), HELP)));
        return false;
    };

    let verdict = outcome(answer, subject);
    let is_good = matches!(verdict, Verdict::Good(_));
    checks.push((WHAT, verdict));
    if is_good {
        checks.push(("numbers its epochs", numbering(&answer.history)));
        checks.extend(notes(answer).map(|verdict| ("reports numbers", verdict)));
    }
    is_good
}

/// Whether a trial has ended with the metric.
fn outcome(answer: &Answer, subject: &Subject) -> Verdict {
    if let Some((kind, message)) = &answer.failure {
        return Verdict::Bad(
            format!("it failed with {kind}: {message}"),
            "name a configuration that it can run, e.g. --config '{\"lr\": 0.1}'; how it fails is seen in its log",
        );
    }
    let metrics = answer.metrics.clone().unwrap_or_default();
    let names: Vec<&str> = metrics.numbers.0.keys().map(String::as_str).collect();
    let names = names.join(", ");
    if let Some(metric) = &subject.metric {
        if let Some(value) = metrics.notes.get(metric) {
            return Verdict::Bad(
                format!(
                    "{metric} of `done` is {:?}, which is not a number",
                    note_text(value)
                ),
                "the metric that the sweep selects by is a number, or \"NaN\", \"Infinity\" or \"-Infinity\"",
            );
        }
        if metrics.get(metric).is_none() {
            return Verdict::Bad(
                format!("its final metrics are {names}, without {metric}"),
                "put the metric that the sweep selects by into `metrics` of `done`",
            );
        }
    }
    if names.is_empty() {
        return Verdict::Bad(
            "`done` has no metrics".to_owned(),
            "put the final metrics into `done`",
        );
    }
    Verdict::Good(format!(
        "{}, then {names}",
        count(answer.history.len(), "epoch")
    ))
}

/// Whether epochs count from 1, or positions at least grow.
fn numbering(history: &[(Position, Reported)]) -> Verdict {
    let positions: Vec<Position> = history.iter().map(|(position, _)| *position).collect();
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
        return Verdict::Odd("there are none, so learning curves will be empty".to_owned());
    };
    let counts_from_one = positions
        .iter()
        .zip(1..)
        .all(|(position, number)| *position == Position::epoch(number));
    if counts_from_one {
        return Verdict::Good(format!("1 to {}", positions.len()));
    }
    if first.unit == last.unit && positions.is_sorted_by(|a, b| a < b) {
        return Verdict::Good(format!(
            "{first} to {}, in {}",
            last.place,
            count(positions.len(), "row")
        ));
    }
    let shown: Vec<String> = positions
        .iter()
        .take(MAX_SHOWN_POSITIONS)
        .map(|position| position.place.to_string())
        .collect();
    Verdict::Odd(format!(
        "[{}]: rows of one epoch become one row, and figures expect 1, 2, 3, ...",
        shown.join(", ")
    ))
}

/// The reported values that are not numbers, if there are any.
fn notes(answer: &Answer) -> Option<Verdict> {
    let mut all = Notes::default();
    for (_, values) in &answer.history {
        all.extend(&values.notes);
    }
    if let Some(metrics) = &answer.metrics {
        all.extend(&metrics.notes);
    }
    if all.is_empty() {
        return None;
    }
    let shown: Vec<String> = all
        .iter()
        .take(MAX_SHOWN_NOTES)
        .map(|(name, value)| format!("{name} = {}", quoted(&note_text(value))))
        .collect();
    Some(Verdict::Odd(format!(
        "not numbers, and kept as notes: {}",
        shown.join(", ")
    )))
}

/// Whether the same trial gives the same again.
pub(super) fn repeatable(
    first: &[Answer],
    again: &Result<Vec<Answer>, WorkerError>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "gives the same again for the same configuration and seed";
    let again = match again {
        Ok(again) => again,
        Err(error) => {
            let help = "a worker runs one trial after another: keep reading stdin after `done`";
            checks.push((WHAT, Verdict::Bad(error.to_string(), help)));
            return false;
        }
    };
    let is_same = first.first().map(Reproducible::of) == again.first().map(Reproducible::of);
    let verdict = if is_same {
        Verdict::Good("bit for bit, wall-clock times aside".to_owned())
    } else {
        Verdict::Bad(
            "metrics or history differ".to_owned(),
            "derive all randomness from `seed`, and let nothing stay from the trial before; if the device itself is not \
             deterministic, `pentagrid verify` will say so too",
        )
    };
    checks.push((WHAT, verdict));
    true
}

/// Whether each trial of a bundle is answered, and seeds make a difference.
pub(super) fn bundled(
    first: &[Answer],
    bundle: &Result<Vec<Answer>, WorkerError>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "answers every trial of a bundle";
    let answers = match bundle {
        Ok(answers) => answers,
        Err(error) => {
            let help = "`run` holds a list of trials: answer each of them (`--bundle` makes it longer than one)";
            checks.push((WHAT, Verdict::Bad(error.to_string(), help)));
            return false;
        }
    };
    checks.push((WHAT, Verdict::Good(format!("{} of {0}", answers.len()))));

    let metrics: Vec<Option<Metrics>> = first
        .iter()
        .chain(answers)
        .map(reproducible_metrics)
        .collect();
    let verdict = if metrics.windows(2).all(|pair| pair[0] == pair[1]) {
        Verdict::Odd("seeds 0, 1 and 2 gave the same metrics: is `seed` used?".to_owned())
    } else {
        Verdict::Good("other seeds, other metrics".to_owned())
    };
    checks.push(("uses the seed", verdict));
    true
}

/// Whether trials that the worker may compute together give what they give alone.
pub(super) fn sharing(
    first: &[Answer],
    shared: &Result<Vec<Answer>, WorkerError>,
    checks: &mut Vec<Check>,
) -> bool {
    const WHAT: &str = "shares work without changing a number";
    const HELP: &str = "with `\"share\":true` it may compute once what trials have in common, or ignore that: each is answered with its whole \
                        history and result, `same_as` names a trial of the group that it has finished, and `shared_epochs` counts rows of the history";
    let answers = match shared {
        Ok(answers) => answers,
        Err(error) => {
            checks.push((WHAT, Verdict::Bad(error.to_string(), HELP)));
            return false;
        }
    };

    let alone = first.first().map(Reproducible::of);
    let too_many = answers
        .iter()
        .find(|answer| answer.shared_epochs as usize > answer.history.len());
    let verdict = if let Some(answer) = too_many {
        let seen = format!(
            "it says that it took {} from another trial, of a history of {}",
            count(answer.shared_epochs, "epoch"),
            answer.history.len()
        );
        Verdict::Bad(seen, HELP)
    } else if answers
        .iter()
        .any(|answer| Some(Reproducible::of(answer)) != alone)
    {
        let seen = "metrics or history are not those of the same trial by itself";
        Verdict::Bad(seen.to_owned(), HELP)
    } else if answers
        .iter()
        .any(|answer| answer.same_as.is_some() || answer.shared_epochs > 0)
    {
        Verdict::Good("what two trials have in common was computed once".to_owned())
    } else {
        Verdict::Good("it computes each trial by itself".to_owned())
    };
    checks.push((WHAT, verdict));
    true
}
