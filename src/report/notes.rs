//! Remarks at the top of a report, on what limits the trust in its tables: an unfinished sweep,
//! pruned points, workers of different versions.

use crate::aggregate::Evaluation;
use crate::spec::Spec;
use crate::text::{count, form};

/// Returns the remarks on a sweep. `trainers` are the programs and versions that ran its trials.
pub fn notes(spec: &Spec, evaluation: &Evaluation, trainers: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if !evaluation.is_complete() {
        notes.push(format!(
            "The sweep is not finished: {} and {} are left, so values and selected points may \
             still change.",
            count(evaluation.tuning_left(), "tuning trial"),
            count(evaluation.sum(|arm| arm.final_tally.left()), "final trial")
        ));
    }

    if let Some(beyond) = &evaluation.beyond {
        notes.push(format!(
            "Safe racing is off, and every tuning trial runs: {beyond}. \
             Correct `best` under `metric`, or remove `prune`."
        ));
    }
    if !evaluation.pruned.is_empty() {
        notes.push(note_on_pruned(evaluation.pruned.len()));
    }

    if trainers.len() > 1 {
        notes.push(format!(
            "Trials were run by different programs or versions: {}.",
            trainers.join("; ")
        ));
    }
    if spec.seeds.final_.is_empty() {
        notes.push(
            "There are no final seeds: the values are of the same trials that the selection used, \
             and so are optimistic."
                .to_owned(),
        );
    }
    notes
}

fn note_on_pruned(points: usize) -> String {
    format!(
        "Safe racing (`prune: safe`): {} {} fewer tuning seeds than the others. \
         The selected points are those of the full grid; values of pruned points in figures \
         and points.csv are over the seeds that ran.",
        count(points, "point"),
        form(points, "has", "have")
    )
}
