//! The data behind the tables as CSV: tables, points, trials, history. Numbers are written by
//! shortest round trip, so that reading them back gives exactly the same numbers. Rows are in grid
//! order, independent of the order of execution. No two columns of a file have the same name
//! (`spec::ColumnNames`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use csv::Writer;

use super::cell::CellValue;
use super::table::Table;
use crate::aggregate::{Evaluation, PointStats, Stat};
use crate::grid::{Grid, Point, PointId, TrialId};
use crate::ledger::{EpochRow, TrialRow, TrialState, Versions};
use crate::plan::Phase;
use crate::protocol::{Place, Unit};
use crate::spec::{ColumnNames, Config, Prune, Spec};

/// A CSV file that could not be written.
pub type CsvError = csv::Error;

/// A number by shortest round trip; `NaN`, `Infinity` or `-Infinity` if it is not finite.
pub(super) fn exact(value: f64) -> String {
    match value {
        x if x.is_nan() => "NaN".to_owned(),
        x if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        x => format!("{x:?}"),
    }
}

/// The same, or an empty cell where there is no number.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map(exact).unwrap_or_default()
}

/// Writes a table's values, one row for each arm.
///
/// # Errors
/// `CsvError`, if writing fails.
pub fn write_table(names: &ColumnNames, table: &Table, to: impl Write) -> Result<(), CsvError> {
    let metrics = table.columns.iter().map(|column| column.metric.as_str());
    let mut names = names.clone().with(metrics);

    let mut headings = vec!["arm".to_owned(), "label".to_owned()];
    for column in &table.columns {
        let ours = ["mean", "std", "n"];
        headings.extend(ours.map(|figure| names.figure(&column.metric, figure)));
        if column.published {
            let published = ["published_mean", "published_std", "published_n"];
            headings.extend(published.map(|figure| names.figure(&column.metric, figure)));
        }
    }

    let mut csv = Writer::from_writer(to);
    csv.write_record(&headings)?;

    for row in &table.rows {
        let mut cells = vec![row.arm.clone(), row.label.clone()];
        for value in table.values(row) {
            let n = value.and_then(|value: &CellValue| value.n);
            cells.push(cell(value.map(|value| value.mean)));
            cells.push(cell(value.and_then(|value| value.std)));
            cells.push(n.map(|n| n.to_string()).unwrap_or_default());
        }
        csv.write_record(&cells)?;
    }

    csv.flush()?;
    Ok(())
}

/// Names of all parameters of all arms, in the order of the sweep file.
fn parameters(spec: &Spec) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    spec.arms
        .iter()
        .flat_map(|arm| &arm.axes)
        .map(|axis| axis.name.as_str())
        .filter(|name| seen.insert(*name))
        .collect()
}

fn values<'a>(config: &'a Config, names: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    names.iter().map(|name| {
        config
            .get(name)
            .map(ToString::to_string)
            .unwrap_or_default()
    })
}

/// Writes every point with its statistics over the tuning seeds, each with its own n; under
/// `prune: safe` also whether it was pruned.
///
/// # Errors
/// `CsvError`, if writing fails.
pub fn write_points(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    names: &ColumnNames,
    to: impl Write,
) -> Result<(), CsvError> {
    let parameters = parameters(spec);
    let metrics: BTreeSet<&String> = evaluation
        .points
        .iter()
        .flat_map(|point| point.stats.keys())
        .collect();

    let mut csv = Writer::from_writer(to);
    csv.write_record(point_headings(spec, names, &parameters, &metrics))?;

    // Points without a result have no statistics, but a row.
    let known: HashMap<(usize, u64), &PointStats> = evaluation
        .points
        .iter()
        .map(|point| ((point.arm, point.index), point))
        .collect();

    for (arm, points) in grid.arms().iter().enumerate() {
        let best = evaluation.arms.get(arm).and_then(|arm| arm.selection.best);
        for point in points.points() {
            let stats = known.get(&(arm, point.index.0)).copied();
            let mut row = vec![
                points.arm().name.clone(),
                point.id.to_string(),
                point.index.to_string(),
                (best == Some(point.index.0)).to_string(),
                stats.map_or(0, |stats| stats.n).to_string(),
                spec.seeds.tune.len().to_string(),
                stats.map_or(0, |stats| stats.diverged).to_string(),
            ];
            if spec.prune != Prune::None {
                row.push(
                    evaluation
                        .pruned
                        .contains(&(arm, point.index.0))
                        .to_string(),
                );
            }

            row.extend(values(&point.config, &parameters));
            for metric in &metrics {
                let stat = stats.and_then(|stats| stats.stats.get(*metric));
                row.extend(stat_cells(stat));
            }
            csv.write_record(&row)?;
        }
    }

    csv.flush()?;
    Ok(())
}

fn point_headings(
    spec: &Spec,
    names: &ColumnNames,
    parameters: &[&str],
    metrics: &BTreeSet<&String>,
) -> Vec<String> {
    let mut names = names
        .clone()
        .with(metrics.iter().map(|metric| metric.as_str()));
    let figures: Vec<String> = metrics
        .iter()
        .flat_map(|metric| ["mean", "std", "n"].map(|figure| names.figure(metric, figure)))
        .collect();

    let fixed = [
        "arm", "point", "position", "selected", "n", "planned", "diverged",
    ];
    let mut headings: Vec<String> = fixed.map(str::to_owned).into();

    // Sweeps that do not prune have no such column.
    if spec.prune != Prune::None {
        headings.push("pruned".to_owned());
    }
    headings.extend(
        parameters
            .iter()
            .map(|name| names.parameter(name).to_owned()),
    );
    headings.extend(figures);
    headings
}

/// Mean, deviation and n.
pub(super) fn stat_cells(stat: Option<&Stat>) -> [String; 3] {
    [
        cell(stat.map(|stat| stat.mean)),
        cell(stat.and_then(|stat| stat.std)),
        stat.map_or(0, |stat| stat.n).to_string(),
    ]
}

/// What `trials.csv` is made of.
#[derive(Clone, Copy, Debug)]
pub struct TrialsCsv<'a> {
    /// The sweep file.
    pub spec: &'a Spec,
    /// Its points.
    pub grid: &'a Grid,
    /// The selected points.
    pub evaluation: &'a Evaluation,
    /// The trials that are listed, if they are planned.
    pub rows: &'a HashMap<TrialId, TrialRow>,
    /// Which version of what is trained each finished trial ran.
    pub versions: &'a Versions,
    /// The names of the columns.
    pub names: &'a ColumnNames,
    /// For each arm, whether its trials are listed.
    pub arms: &'a [bool],
}

/// Writes every planned trial that was ever started: its parameters, its state, the version of what
/// was trained, and its final metrics.
///
/// # Errors
/// `CsvError`, if writing fails.
pub fn write_trials(source: TrialsCsv<'_>, to: impl Write) -> Result<(), CsvError> {
    let TrialsCsv {
        spec,
        grid,
        evaluation,
        rows,
        versions,
        names,
        arms,
    } = source;
    let parameters = parameters(spec);
    let metrics: BTreeSet<&String> = rows
        .values()
        .filter_map(|row| row.metrics.as_ref())
        .flat_map(|metrics| metrics.0.keys())
        .collect();
    let names = names
        .clone()
        .with(metrics.iter().map(|metric| metric.as_str()));
    let fixed = ["trial", "arm", "point", "seed", "phase", "state", "version"];

    let mut csv = Writer::from_writer(to);
    csv.write_record(
        fixed
            .into_iter()
            .chain(parameters.iter().map(|name| names.parameter(name)))
            .chain(metrics.iter().map(|metric| names.metric(metric))),
    )?;

    // Trials that were never started have no row.
    for (arm, points) in grid.arms().iter().enumerate().filter(|(arm, _)| arms[*arm]) {
        let best = evaluation.arms.get(arm).and_then(|arm| arm.selection.best);
        for point in points.points() {
            for (id, phase) in trials_of(spec, &point, best == Some(point.index.0)) {
                let Some(row) = rows.get(&id) else { continue };
                let is_done = row.state == TrialState::Done;
                let version = versions.of(id).filter(|_| is_done);
                let mut cells = vec![
                    id.to_string(),
                    points.arm().name.clone(),
                    point.id.to_string(),
                    id.seed.to_string(),
                    phase.name().to_owned(),
                    row.state.name().to_owned(),
                    version
                        .map(|version| version.to_string())
                        .unwrap_or_default(),
                ];
                cells.extend(values(&point.config, &parameters));

                let reported = row.metrics.as_ref();
                cells.extend(
                    metrics
                        .iter()
                        .map(|name| cell(reported.and_then(|metrics| metrics.get(name)))),
                );
                csv.write_record(&cells)?;
            }
        }
    }

    csv.flush()?;
    Ok(())
}

/// The planned trials of a point: tuning seeds, then final seeds if it is selected.
fn trials_of<'a>(
    spec: &'a Spec,
    point: &Point,
    is_selected: bool,
) -> impl Iterator<Item = (TrialId, Phase)> + 'a {
    let point = point.id;
    let finals: &[u64] = if is_selected { &spec.seeds.final_ } else { &[] };
    let tuning = spec.seeds.tune.iter().map(|seed| (*seed, Phase::Tune));
    let finals = finals.iter().map(|seed| (*seed, Phase::Final));
    tuning
        .chain(finals)
        .map(move |(seed, phase)| (TrialId { point, seed }, phase))
}

/// Writes the history of every finished trial, row by row: epochs, then rows by steps.
///
/// `each` calls the given receiver with one row at a time, sorted by trial and position, and passes
/// on its errors. `steps` says whether any row has a step.
///
/// # Errors
/// The error of `each`, or `CsvError` as `E`, if writing fails.
pub fn write_history<E: From<CsvError>>(
    columns: &ColumnNames,
    grid: &Grid,
    names: &[&str],
    steps: bool,
    to: impl Write,
    each: impl FnOnce(&mut dyn FnMut(EpochRow) -> Result<(), E>) -> Result<(), E>,
) -> Result<(), E> {
    let mut arms: BTreeMap<PointId, &str> = BTreeMap::new();
    for points in grid.arms() {
        for point in points.ids() {
            arms.entry(point).or_insert(&points.arm().name);
        }
    }

    // A step has its own column, which a sweep by epochs does not have.
    let names: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| *name != Unit::Step.name())
        .collect();
    let columns = columns.clone().with(names.iter().copied());
    let fixed = ["trial", "arm", "seed", "epoch"]
        .into_iter()
        .chain(steps.then_some(Unit::Step.name()));

    let mut csv = Writer::from_writer(to);
    csv.write_record(fixed.chain(names.iter().map(|name| columns.metric(name))))?;

    each(&mut |row| {
        // Points of an earlier sweep file are still in the ledger, but not in the sweep.
        let Some(arm) = arms.get(&row.id.point) else {
            return Ok(());
        };

        let mut cells = vec![
            row.id.to_string(),
            (*arm).to_owned(),
            row.id.seed.to_string(),
            place_cell(row.epoch()),
        ];
        if steps {
            cells.push(place_cell(row.step()));
        }
        cells.extend(names.iter().map(|name| cell(row.metrics.get(name))));
        Ok(csv.write_record(&cells)?)
    })?;
    csv.flush().map_err(|error| CsvError::from(error).into())
}

fn place_cell(place: Option<Place>) -> String {
    place.map(|place| place.to_string()).unwrap_or_default()
}
