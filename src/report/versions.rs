//! Says below a table when more than one version of what is trained stands behind it, and lists the
//! versions for the provenance.

use std::collections::HashMap;

use serde::Serialize;

use crate::aggregate::Evaluation;
use crate::grid::{Grid, TrialId};
use crate::ledger::{TrialRow, TrialState, VersionRow, Versions};
use crate::plan::Fingerprint;
use crate::spec::Spec;

/// A version of what is trained, in the provenance and in `status --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownVersion {
    /// Its number; null: attempts of a ledger that did not record versions.
    pub version: Option<i64>,
    /// Finished trials of the sweep that it trained.
    pub trials: u64,
    /// When a run was first started with it.
    pub first_seen_at: Option<String>,
    /// The commit that was checked out, with a plus sign where there were uncommitted changes.
    pub commit: Option<String>,
    /// The command, without values.
    pub command: Option<String>,
    /// The folder that it was started in.
    pub folder: Option<String>,
    /// Names of the variables that the sweep file sets.
    pub env: Vec<String>,
    /// Hashes of the files that the command names.
    pub files: Vec<ShownFile>,
    /// How it differs from the version before it.
    pub changes: Vec<String>,
}

/// A file that the command names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownFile {
    /// Its name in the command.
    pub file: String,
    /// A hash of its contents, or its size where it is large.
    pub contents: String,
}

/// The versions that trained a sweep's finished trials.
pub fn shown_versions(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Vec<ShownVersion> {
    if versions.is_one() {
        let done = evaluation
            .arms
            .iter()
            .map(|arm| arm.tune_tally.done + arm.final_tally.done)
            .sum();
        return versions
            .only()
            .map(|only| shown(Some(only), done, versions))
            .into_iter()
            .collect();
    }
    let trials = done(tuning(spec, grid).chain(finals(spec, evaluation)), rows);
    versions
        .count(trials)
        .into_iter()
        .map(|(number, trials)| shown(number, trials, versions))
        .collect()
}

fn shown(number: Option<i64>, trials: u64, versions: &Versions) -> ShownVersion {
    let place = versions
        .list
        .iter()
        .position(|row| Some(row.number) == number);
    let row = place.map(|place| &versions.list[place]);
    let before = place
        .and_then(|place| place.checked_sub(1))
        .map(|place| &versions.list[place]);
    let changes = row
        .zip(before)
        .map(|(row, before)| row.fingerprint.since(&before.fingerprint));
    let fingerprint = row.map(|row| &row.fingerprint);
    ShownVersion {
        version: number,
        trials,
        first_seen_at: row.map(|row| row.first_seen_at.clone()),
        commit: fingerprint.and_then(Fingerprint::commit),
        command: fingerprint.map(|of| of.command.clone()),
        folder: fingerprint.and_then(|of| of.folder.clone()),
        env: fingerprint
            .map(|of| of.env.keys().cloned().collect())
            .unwrap_or_default(),
        files: fingerprint.map(files).unwrap_or_default(),
        changes: changes
            .map(|changes| changes.lines().cloned().collect())
            .unwrap_or_default(),
    }
}

fn files(fingerprint: &Fingerprint) -> Vec<ShownFile> {
    let shown = |(file, contents): (&String, &String)| ShownFile {
        file: file.clone(),
        contents: contents.clone(),
    };
    fingerprint.files.iter().map(shown).collect()
}

/// What to say below a table of the selected points, where more than one version trained their
/// trials.
pub fn note_on_versions(
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Option<String> {
    let behind: Vec<TrialId> = match spec.seeds.final_.is_empty() {
        true => {
            let points = evaluation.arms.iter().filter_map(|arm| arm.point.as_ref());
            points
                .flat_map(|point| {
                    spec.seeds.tune.iter().map(|&seed| TrialId {
                        point: point.id,
                        seed,
                    })
                })
                .collect()
        }
        false => finals(spec, evaluation).collect(),
    };
    let mixed = mixed(done(behind.into_iter(), rows), versions)?;
    Some(format!(
        "What is trained changed between these trials: {mixed}. provenance.json lists what changed."
    ))
}

/// What to say of the selection, where more than one version trained the tuning trials.
pub fn note_on_selection(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Option<String> {
    let mixed = mixed(done(tuning(spec, grid), rows), versions)?;
    Some(format!(
        "What is trained changed between the tuning trials that the points were selected by: {mixed}. `run --rerun-changed` runs those of earlier versions again."
    ))
}

/// How many trials each version trained; None if one version trained all.
fn mixed(trials: impl Iterator<Item = TrialId>, versions: &Versions) -> Option<String> {
    let edited = |row: &&VersionRow| !row.fingerprint.edited.is_empty();
    if versions.is_one() && !versions.list.iter().any(|row| edited(&row)) {
        return None;
    }
    let counts = versions.count(trials);
    let part = |(number, trials): &(Option<i64>, u64)| {
        let trials = if *trials == 1 {
            "1 trial".to_owned()
        } else {
            format!("{trials} trials")
        };
        let row = versions.list.iter().find(|row| Some(row.number) == *number);
        let unclear = row.filter(edited).map(|row| {
            format!(
                " (not known exactly; {})",
                row.fingerprint.edited.join("; ")
            )
        });
        let named = row.map_or("a version that was not recorded".to_owned(), named);
        format!("{trials} by {named}{}", unclear.unwrap_or_default())
    };
    let unclear = versions
        .list
        .iter()
        .filter(edited)
        .any(|row| counts.iter().any(|(number, _)| *number == Some(row.number)));
    (counts.len() > 1 || unclear).then(|| counts.iter().map(part).collect::<Vec<_>>().join(", "))
}

/// `version 2 (commit 1a2b3c4)`
pub fn named(row: &VersionRow) -> String {
    match row.fingerprint.commit() {
        Some(commit) => format!("version {} (commit {commit})", row.number),
        None => format!("version {}", row.number),
    }
}

fn done<'a>(
    trials: impl Iterator<Item = TrialId> + 'a,
    rows: &'a HashMap<TrialId, TrialRow>,
) -> impl Iterator<Item = TrialId> + 'a {
    trials.filter(|trial| {
        rows.get(trial)
            .is_some_and(|row| row.state == TrialState::Done)
    })
}

/// Every tuning trial; a point that stands in several arms counts once.
fn tuning<'a>(spec: &'a Spec, grid: &'a Grid) -> impl Iterator<Item = TrialId> + 'a {
    let mut seen = std::collections::HashSet::new();
    let points = grid
        .arms()
        .iter()
        .flat_map(|arm| arm.ids())
        .filter(move |point| seen.insert(*point));
    points.flat_map(|point| {
        spec.seeds
            .tune
            .iter()
            .map(move |&seed| TrialId { point, seed })
    })
}

/// The final trials of the selected points, each once.
fn finals<'a>(spec: &'a Spec, evaluation: &'a Evaluation) -> impl Iterator<Item = TrialId> + 'a {
    let mut seen = std::collections::HashSet::new();
    let points = evaluation
        .arms
        .iter()
        .filter_map(|arm| Some(arm.point.as_ref()?.id))
        .filter(move |point| seen.insert(*point));
    points.flat_map(|point| {
        spec.seeds
            .final_
            .iter()
            .map(move |&seed| TrialId { point, seed })
    })
}
