//! Versions of what is trained: notes below a table if more than one version trained its trials,
//! and the list of versions for the provenance.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::aggregate::Evaluation;
use crate::grid::{ArmGrid, Grid, TrialId};
use crate::ledger::{TrialRow, TrialState, VersionRow, Versions};
use crate::plan::Fingerprint;
use crate::spec::Spec;
use crate::text::count;

/// A version of what is trained, in the provenance and in `status --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownVersion {
    /// Its number; null for attempts of a ledger that did not record versions.
    pub version: Option<i64>,
    /// Number of finished trials of the sweep that it trained.
    pub trials: u64,
    /// When a run was first started with it.
    pub first_seen_at: Option<String>,
    /// The commit that was checked out, with a plus sign if there were uncommitted changes.
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

/// Lists the versions that trained a sweep's finished trials.
pub fn shown_versions(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Vec<ShownVersion> {
    if versions.is_one() {
        let trials = evaluation.sum(|arm| arm.tune_tally.done + arm.final_tally.done);
        return versions
            .only()
            .map(|only| shown_version(Some(only), trials, versions))
            .into_iter()
            .collect();
    }

    // Several versions: count the trials of each.
    let trials = tuning_trials(spec, grid).chain(final_trials(spec, evaluation));
    versions
        .count(finished(trials, rows))
        .into_iter()
        .map(|(number, trials)| shown_version(number, trials, versions))
        .collect()
}

fn shown_version(number: Option<i64>, trials: u64, versions: &Versions) -> ShownVersion {
    // The version before it in the list is the one that it is compared with.
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
        files: fingerprint.map(shown_files).unwrap_or_default(),
        changes: changes
            .map(|changes| changes.lines().cloned().collect())
            .unwrap_or_default(),
    }
}

fn shown_files(fingerprint: &Fingerprint) -> Vec<ShownFile> {
    fingerprint
        .files
        .iter()
        .map(|(file, contents)| ShownFile {
            file: file.clone(),
            contents: contents.clone(),
        })
        .collect()
}

/// Returns the note for a table of the selected points, if more than one version trained their
/// trials.
pub fn note_on_versions(
    spec: &Spec,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Option<String> {
    let trials: Vec<TrialId> = if spec.seeds.final_.is_empty() {
        evaluation
            .arms
            .iter()
            .filter_map(|arm| arm.point.as_ref())
            .flat_map(|point| {
                spec.seeds.tune.iter().map(|&seed| TrialId {
                    point: point.id,
                    seed,
                })
            })
            .collect()
    } else {
        final_trials(spec, evaluation).collect()
    };

    let mixed = mixed_versions(finished(trials.into_iter(), rows), versions)?;
    Some(format!(
        "What is trained changed between these trials: {mixed}. \
         provenance.json lists what changed."
    ))
}

/// Returns the note on the selection, if more than one version trained the tuning trials.
pub fn note_on_selection(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    versions: &Versions,
) -> Option<String> {
    let mixed = mixed_versions(finished(tuning_trials(spec, grid), rows), versions)?;
    Some(format!(
        "What is trained changed between the tuning trials that the points were selected by: \
         {mixed}. `run --rerun-changed` runs those of earlier versions again."
    ))
}

/// How many trials each version trained; None if one version trained all.
fn mixed_versions(trials: impl Iterator<Item = TrialId>, versions: &Versions) -> Option<String> {
    if versions.is_one() && !versions.list.iter().any(is_edited) {
        return None;
    }

    let counts = versions.count(trials);
    let any_edited = versions
        .list
        .iter()
        .filter(|row| is_edited(row))
        .any(|row| counts.iter().any(|(number, _)| *number == Some(row.number)));

    if counts.len() < 2 && !any_edited {
        return None;
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(number, trials)| {
            let row = versions.list.iter().find(|row| Some(row.number) == *number);
            format!("{} by {}", count(*trials, "trial"), version_name(row))
        })
        .collect();
    Some(parts.join(", "))
}

/// Whether files were edited while trials of the version ran.
fn is_edited(row: &VersionRow) -> bool {
    !row.fingerprint.edited.is_empty()
}

fn version_name(row: Option<&VersionRow>) -> String {
    let Some(row) = row else {
        return "a version that was not recorded".to_owned();
    };
    let name = named(row);
    if is_edited(row) {
        let edited = row.fingerprint.edited.join("; ");
        format!("{name} (not known exactly; {edited})")
    } else {
        name
    }
}

/// `version 2 (commit 1a2b3c4)`
pub(crate) fn named(row: &VersionRow) -> String {
    match row.fingerprint.commit() {
        Some(commit) => format!("version {} (commit {commit})", row.number),
        None => format!("version {}", row.number),
    }
}

fn finished<'a>(
    trials: impl Iterator<Item = TrialId> + 'a,
    rows: &'a HashMap<TrialId, TrialRow>,
) -> impl Iterator<Item = TrialId> + 'a {
    trials.filter(|trial| {
        rows.get(trial)
            .is_some_and(|row| row.state == TrialState::Done)
    })
}

/// Every tuning trial; a point of several arms counts once.
fn tuning_trials<'a>(spec: &'a Spec, grid: &'a Grid) -> impl Iterator<Item = TrialId> + 'a {
    let mut seen = HashSet::new();
    let points = grid
        .arms()
        .iter()
        .flat_map(ArmGrid::ids)
        .filter(move |point| seen.insert(*point));
    points.flat_map(|point| {
        spec.seeds
            .tune
            .iter()
            .map(move |&seed| TrialId { point, seed })
    })
}

/// The final trials of the selected points, each once.
fn final_trials<'a>(
    spec: &'a Spec,
    evaluation: &'a Evaluation,
) -> impl Iterator<Item = TrialId> + 'a {
    let mut seen = HashSet::new();
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
