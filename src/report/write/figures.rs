//! Writes the figures of a report into `figures/` beside its tables: each as SVG, PNG and CSV, and
//! a list of them, by which figures of an earlier report are found and removed.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ReportError;
use super::folder::Folder;
use crate::aggregate::{Evaluation, curves};
use crate::files;
use crate::grid::{Grid, TrialId};
use crate::ledger::{EpochRow, Reader, TrialRow, TrialState};
use crate::plan::Phase;
use crate::report::figures::{FigureData, FigureFile, figures, is_figure_file};
use crate::spec::Spec;

/// The list of the figures in the folder.
const INDEX: &str = "index.json";
/// Maximum number of epochs of a trial's curve; longer histories, which may have millions, are
/// thinned evenly. A curve has no more pixels.
const MAX_CURVE_EPOCHS: usize = 2000;
const FORMATS: [&str; 3] = ["svg", "png", "csv"];

/// A figure in the list.
#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    title: String,
    caption: String,
}

impl Entry {
    fn of(figure: &FigureFile) -> Self {
        Self {
            name: figure.name.clone(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
        }
    }
}

/// Makes and writes every figure that makes sense for the sweep.
pub(super) fn write_figures(
    ledger: &Reader,
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    out: &Path,
) -> Result<Vec<FigureFile>, ReportError> {
    let phase = phase(spec, evaluation);
    let seeds = if phase == Phase::Final {
        &spec.seeds.final_
    } else {
        &spec.seeds.tune
    };
    let mut histories = Vec::new();
    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        let done = seeds
            .iter()
            .map(|&seed| TrialId {
                point: point.id,
                seed,
            })
            .filter(|id| {
                rows.get(id)
                    .is_some_and(|row| row.state == TrialState::Done)
            })
            .collect();
        histories.push((arm.arm, sampled(ledger, done)?));
    }

    let curves = curves(&histories)?;
    let list = figures(&FigureData {
        spec,
        grid,
        evaluation,
        rows,
        curves: &curves,
        phase,
    })
    .map_err(ReportError::of("a figure"))?;
    write(&list, &out.join("figures"))?;
    Ok(list)
}

/// The histories of an arm's trials, thinned if they are long. Each seed keeps the same epochs.
fn sampled(ledger: &Reader, trials: Vec<TrialId>) -> Result<Vec<EpochRow>, ReportError> {
    let lengths: Vec<usize> = trials
        .iter()
        .map(|id| ledger.history_len(*id))
        .collect::<Result<_, _>>()?;
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let stride = longest.div_ceil(MAX_CURVE_EPOCHS).max(1);

    let mut history = Vec::new();
    for (id, length) in trials.into_iter().zip(lengths) {
        // The last epoch is kept only of the longest: at the end of a shorter one the others may
        // have been thinned out.
        history.extend(ledger.history_every(id, stride, length == longest)?);
    }
    Ok(history)
}

/// The files of a figure, relative to the report's folder.
pub(super) fn figure_files(figure: &FigureFile) -> impl Iterator<Item = String> + use<> {
    FORMATS
        .map(|format| format!("figures/{}.{format}", figure.name))
        .into_iter()
}

/// The phase of the trials whose curves are drawn: final, unless there are no results yet.
fn phase(spec: &Spec, evaluation: &Evaluation) -> Phase {
    let done = evaluation.arms.iter().any(|arm| arm.final_tally.done > 0);
    if !spec.seeds.final_.is_empty() && (done || spec.seeds.tune.is_empty()) {
        Phase::Final
    } else {
        Phase::Tune
    }
}

fn write(list: &[FigureFile], path: &Path) -> Result<(), ReportError> {
    if list.is_empty() && !path.exists() {
        return Ok(());
    }
    let folder = Folder::make(path)?;
    let new: Vec<Entry> = list.iter().map(Entry::of).collect();
    let names: BTreeSet<&str> = new.iter().map(|entry| entry.name.as_str()).collect();
    let stale: Vec<Entry> = listed(path)
        .into_iter()
        .filter(|entry| !names.contains(entry.name.as_str()))
        .collect();

    // Stale files stay in the list until they are removed, so that the next report removes them if
    // this one is killed here.
    index(&folder, new.iter().chain(&stale))?;
    for figure in list {
        folder.text(&format!("{}.svg", figure.name), &figure.svg)?;
        folder.write(&format!("{}.png", figure.name), |to| {
            Ok(to.write_all(&figure.png)?)
        })?;
        folder.text(&format!("{}.csv", figure.name), &figure.csv)?;
    }

    for entry in &stale {
        for file in FORMATS.map(|format| format!("{}.{format}", entry.name)) {
            if is_figure_file(&file) {
                folder.remove(&file)?;
            }
        }
    }
    index(&folder, new.iter())
}

/// The figures of an earlier report. If the list cannot be read, it counts as empty, and no file is
/// removed.
fn listed(path: &Path) -> Vec<Entry> {
    let text = files::read(&path.join(INDEX))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn index<'a>(folder: &Folder, entries: impl Iterator<Item = &'a Entry>) -> Result<(), ReportError> {
    let entries: Vec<&Entry> = entries.collect();
    let text =
        serde_json::to_string_pretty(&entries).map_err(ReportError::of("the list of figures"))?;
    folder.text(INDEX, &(text + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str) -> FigureFile {
        FigureFile {
            name: name.to_owned(),
            title: "T".to_owned(),
            caption: "C".to_owned(),
            wide: true,
            svg: "<svg/>".to_owned(),
            png: vec![1],
            csv: "a\n".to_owned(),
        }
    }

    fn files(path: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<String> = std::fs::read_dir(path).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn stale_figures_go_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures");
        write(&[figure("figure1"), figure("sensitivity_a")], &path).unwrap();
        std::fs::write(path.join("sensitivity_mine.csv"), "mine").unwrap();
        std::fs::write(path.join("figure1.pdf"), "mine").unwrap();
        write(&[figure("figure1")], &path).unwrap();
        let expected = [
            "figure1.csv",
            "figure1.pdf",
            "figure1.png",
            "figure1.svg",
            "index.json",
            "sensitivity_mine.csv",
        ];
        assert_eq!(files(&path), expected);
        // A list that was tampered with removes no file that is not named like a figure.
        let entry = |name: &str| format!(r#"{{"name": "{name}", "title": "", "caption": ""}}"#);
        std::fs::write(dir.path().join("evil.csv"), "mine").unwrap();
        std::fs::write(
            path.join(INDEX),
            format!("[{}, {}]", entry("../evil"), entry("heatmap_/../../evil")),
        )
        .unwrap();
        write(&[], &path).unwrap();
        assert!(dir.path().join("evil.csv").exists());
        std::fs::write(path.join(INDEX), "no list").unwrap();
        write(&[], &path).unwrap();
        assert_eq!(files(&path), expected);
    }

    #[test]
    fn a_report_without_figures_makes_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        write(&[], &dir.path().join("figures")).unwrap();
        assert!(files(dir.path()).is_empty());
    }
}
