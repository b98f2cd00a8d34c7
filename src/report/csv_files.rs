//! The data behind the tables as CSV: tables, points, trials, history. Numbers are written by
//! shortest round trip, so that reading them back gives the very same numbers; rows come in grid
//! order, whatever the order of execution. No two columns of a file have one name
//! (`spec::ColumnNames`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use csv::Writer;

use super::table::Table;
use crate::aggregate::Evaluation;
use crate::grid::{Grid, PointId, TrialId};
use crate::ledger::{EpochRow, TrialRow};
use crate::plan::Phase;
use crate::protocol::{Metrics, Place, Real, Unit};
use crate::spec::{ColumnNames, Config, Prune, Spec};

/// A CSV file that could not be written.
pub type CsvError = csv::Error;

/// A number by shortest round trip; what is not finite is spelled out.
pub(super) fn exact(value: f64) -> String {
    match value {
        x if x.is_nan() => "NaN".to_owned(),
        x if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        x => format!("{x:?}"),
    }
}

/// The same, or nothing where there is no number.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map(exact).unwrap_or_default()
}

/// A table's figures, one row for each arm.
///
/// # Errors
/// As the file that is written to.
pub fn write_table(spec: &Spec, table: &Table, to: impl Write) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    let mut headings = vec!["arm".to_owned(), "label".to_owned()];
    let mut names = ColumnNames::of(
        spec,
        table.columns.iter().map(|column| column.metric.as_str()),
    );
    for column in &table.columns {
        headings.extend(["mean", "std", "n"].map(|figure| names.figure(&column.metric, figure)));
        if column.published {
            headings.extend(
                ["published_mean", "published_std", "published_n"]
                    .map(|figure| names.figure(&column.metric, figure)),
            );
        }
    }
    csv.write_record(&headings)?;
    for row in &table.rows {
        let mut cells = vec![row.arm.clone(), row.label.clone()];
        for figure in table.figures(row) {
            cells.push(cell(figure.map(|figure| figure.mean)));
            cells.push(cell(figure.and_then(|figure| figure.std)));
            cells.push(
                figure
                    .and_then(|figure| figure.n)
                    .map(|n| n.to_string())
                    .unwrap_or_default(),
            );
        }
        csv.write_record(&cells)?;
    }
    csv.flush()?;
    Ok(())
}

/// Names of all parameters of all arms, in the order of the file.
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

/// Every point with its statistics over the tuning seeds, each with its own n; for `prune: safe`
/// also whether it was pruned, and so has fewer.
///
/// # Errors
/// As the file that is written to.
pub fn write_points(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    to: impl Write,
) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    let parameters = parameters(spec);
    let metrics: BTreeSet<&String> = evaluation
        .points
        .iter()
        .flat_map(|point| point.stats.keys())
        .collect();
    let mut names = ColumnNames::of(spec, metrics.iter().map(|metric| metric.as_str()));
    let figures: Vec<String> = metrics
        .iter()
        .flat_map(|metric| ["mean", "std", "n"].map(|figure| names.figure(metric, figure)))
        .collect();
    let races = spec.prune != Prune::None;
    let fixed = [
        "arm", "point", "position", "selected", "n", "planned", "diverged",
    ]
    .map(str::to_owned);
    let fixed = fixed.into_iter().chain(races.then(|| "pruned".to_owned()));
    csv.write_record(
        fixed
            .chain(
                parameters
                    .iter()
                    .map(|name| names.parameter(name).to_owned()),
            )
            .chain(figures),
    )?;
    let known: HashMap<(usize, u64), _> = evaluation
        .points
        .iter()
        .map(|point| ((point.arm, point.index), point))
        .collect();
    for (arm, points) in grid.arms().iter().enumerate() {
        let best = evaluation.arms.get(arm).and_then(|arm| arm.selection.best);
        for point in points.points() {
            let stats = known.get(&(arm, point.index.0));
            let mut row = vec![
                points.arm().name.clone(),
                point.id.to_string(),
                point.index.to_string(),
                (best == Some(point.index.0)).to_string(),
                stats.map_or(0, |stats| stats.n).to_string(),
                spec.seeds.tune.len().to_string(),
                stats.map_or(0, |stats| stats.diverged).to_string(),
            ];
            row.extend(races.then(|| {
                evaluation
                    .pruned
                    .contains(&(arm, point.index.0))
                    .to_string()
            }));
            row.extend(values(&point.config, &parameters));
            for metric in &metrics {
                let stat = stats.and_then(|stats| stats.stats.get(*metric));
                row.push(cell(stat.map(|stat| stat.mean)));
                row.push(cell(stat.and_then(|stat| stat.std)));
                row.push(stat.map_or(0, |stat| stat.n).to_string());
            }
            csv.write_record(&row)?;
        }
    }
    csv.flush()?;
    Ok(())
}

/// Every planned trial that was ever started, of the arms that `arms` says: what it was, where it
/// stands, and its final metrics.
///
/// # Errors
/// As the file that is written to.
pub fn write_trials(
    spec: &Spec,
    grid: &Grid,
    evaluation: &Evaluation,
    rows: &HashMap<TrialId, TrialRow>,
    arms: &[bool],
    to: impl Write,
) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    let parameters = parameters(spec);
    let metrics: BTreeSet<&String> = rows
        .values()
        .filter_map(|row| row.metrics.as_ref())
        .flat_map(|m| m.0.keys())
        .collect();
    let fixed = ["trial", "arm", "point", "seed", "phase", "state"].map(str::to_owned);
    let names = ColumnNames::of(spec, metrics.iter().map(|metric| metric.as_str()));
    csv.write_record(
        fixed
            .into_iter()
            .chain(
                parameters
                    .iter()
                    .map(|name| names.parameter(name).to_owned()),
            )
            .chain(metrics.iter().map(|metric| names.metric(metric).to_owned())),
    )?;
    for (arm, points) in grid.arms().iter().enumerate().filter(|(arm, _)| arms[*arm]) {
        let best = evaluation.arms.get(arm).and_then(|arm| arm.selection.best);
        for point in points.points() {
            let finals: &[u64] = if best == Some(point.index.0) {
                &spec.seeds.final_
            } else {
                &[]
            };
            let seeds = spec
                .seeds
                .tune
                .iter()
                .map(|seed| (Phase::Tune, seed))
                .chain(finals.iter().map(|seed| (Phase::Final, seed)));
            for (phase, &seed) in seeds {
                let id = TrialId {
                    point: point.id,
                    seed,
                };
                let Some(row) = rows.get(&id) else { continue };
                let mut cells = vec![
                    id.to_string(),
                    points.arm().name.clone(),
                    point.id.to_string(),
                    seed.to_string(),
                    phase.name().to_owned(),
                    row.state.name().to_owned(),
                ];
                cells.extend(values(&point.config, &parameters));
                let figure = |name: &&String| {
                    cell(row.metrics.as_ref().and_then(|metrics| metrics.get(name)))
                };
                cells.extend(metrics.iter().map(figure));
                csv.write_record(&cells)?;
            }
        }
    }
    csv.flush()?;
    Ok(())
}

/// The history of every finished trial, row by row: epochs, then what is by steps. `each` hands
/// over the rows one at a time, sorted by trial and position, and passes on what the receiver
/// returns. `steps`: whether any row says its step.
///
/// # Errors
/// As the file that is written to, or as `each`.
pub fn write_history<E: From<CsvError>>(
    spec: &Spec,
    grid: &Grid,
    names: &[&str],
    steps: bool,
    to: impl Write,
    each: impl FnOnce(&mut dyn FnMut(EpochRow) -> Result<(), E>) -> Result<(), E>,
) -> Result<(), E> {
    let mut csv = Writer::from_writer(to);
    let mut arms: BTreeMap<PointId, &str> = BTreeMap::new();
    for points in grid.arms() {
        for point in points.ids() {
            arms.entry(point).or_insert(&points.arm().name);
        }
    }
    // A step is a column of its own, which a sweep by epochs does not have.
    let names: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| *name != Unit::Step.name())
        .collect();
    let fixed = ["trial", "arm", "seed", "epoch"]
        .into_iter()
        .chain(steps.then_some(Unit::Step.name()));
    let columns = ColumnNames::of(spec, names.iter().copied());
    csv.write_record(fixed.chain(names.iter().map(|name| columns.metric(name))))?;
    each(&mut |row| {
        // Points of an earlier spec are in the ledger still, but not in the sweep.
        let Some(arm) = arms.get(&row.id.point) else {
            return Ok(());
        };
        let place = |place: Option<Place>| place.map(|place| place.to_string()).unwrap_or_default();
        let mut cells = vec![
            row.id.to_string(),
            (*arm).to_owned(),
            row.id.seed.to_string(),
            place(row.epoch()),
        ];
        cells.extend(steps.then(|| place(row.step())));
        cells.extend(names.iter().map(|name| figure(&row.metrics, name)));
        Ok(csv.write_record(&cells)?)
    })?;
    csv.flush().map_err(|error| CsvError::from(error).into())
}

fn figure(metrics: &Metrics, name: &str) -> String {
    cell(metrics.0.get(name).map(|Real(value)| *value))
}
