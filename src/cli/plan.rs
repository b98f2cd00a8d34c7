//! `pentagrid plan`: what a sweep would run. Touches nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::args::{LauncherArg, PlanArgs};
use super::error::CliError;
use super::planned::{self, Known};
use super::printer::Printer;
use super::trials_left::TrialsLeft;
use crate::aggregate::evaluate;
use crate::grid::{ArmGrid, ArmIndex, Grid, TrialId};
use crate::ledger::{FILE_NAME, Reader, TrialRow, TrialState};
use crate::plan::{Basis, Bounds, Groups, SpecChanges, all_trials, estimate};
use crate::progress::human_duration;
use crate::report::lay_out;
use crate::spec::{Dimension, Goal, Prune, Spec, Subgrid};
use crate::sweep::{self, Computing, Outcome, Subject, SweepFile, place, take_fingerprint};
use crate::text::{count, thousands};

/// Shows what a sweep would run.
pub fn plan(arguments: &PlanArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let SweepFile { text, spec } = sweep::read(&arguments.spec, arguments.dir.as_deref())?;
    let grid = Grid::new(&spec);
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| sweep::default_run_dir(&spec));
    let ledger = if dir.join(FILE_NAME).exists() {
        Some(Reader::open(&dir)?)
    } else {
        None
    };
    let rows: HashMap<TrialId, TrialRow> = match &ledger {
        Some(ledger) => ledger
            .trials()?
            .into_iter()
            .map(|row| (row.id, row))
            .collect(),
        None => HashMap::new(),
    };
    if let Ok(folder) = sweep::folder()
        && let Some(warning) =
            sweep::handover_warning(&spec, &sweep::working_folder(&spec, &folder))
    {
        printer.warn(warning);
    }
    if arguments.trials {
        return list(&spec, &grid, &rows, arguments.json, printer);
    }
    let launcher = arguments.launcher.map(LauncherArg::kind);
    let placement = place(&spec, &arguments.devices, launcher)?;
    let slots = placement.slots.len();
    let devices: HashSet<usize> = placement.slots.iter().map(|slot| slot.device).collect();
    let devices = devices.len();
    let launcher = placement.launcher;
    let (measured, changes) = match &ledger {
        Some(ledger) => {
            let folder = sweep::folder()?;
            let computing = Computing::default();
            let subject = Subject {
                spec: &spec,
                folder: &folder,
                launcher: &launcher,
                computing,
                run_dir: &dir,
            };
            (durations(&spec, ledger)?, changes(subject, &text, ledger)?)
        }
        None => (BTreeMap::new(), Vec::new()),
    };
    if arguments.json {
        let rows = ledger.is_some().then_some(&rows);
        printer.data(&planned::document(
            &spec,
            &grid,
            Known {
                rows,
                changes,
                measured: &measured,
                slots,
                devices,
            },
        )?)?;
        return Ok(Outcome::Done);
    }
    printer.text(&overview(&spec, &grid))?;
    let mut left = TrialsLeft::of_all(&spec, &grid);
    if ledger.is_some() {
        if !changes.is_empty() {
            let retrained = changes.iter().any(|line| line.ends_with(RAN));
            let flags = if retrained {
                "`--rerun-changed` or `--accept-changes`"
            } else {
                "`--accept-changes`"
            };
            printer.text(&format!(
                "Changed since the last run in {}, so that `run` asks for {flags}:\n  {}",
                dir.display(),
                changes.join("\n  ")
            ))?;
        }
        let evaluation = evaluate(&spec, &grid, &rows)?;
        left = TrialsLeft::of_unfinished(&spec, &grid, &evaluation);
        let failed = match evaluation.failed() {
            0 => String::new(),
            1 => ", 1 failed (`run --retry-failed` runs it again)".to_owned(),
            failed => format!(
                ", {} failed (`run --retry-failed` runs them again)",
                thousands(failed)
            ),
        };
        printer.text(&format!(
            "{}: {} tuning and {} left{failed}",
            dir.display(),
            left.tune(),
            count(left.finals(), "final trial")
        ))?;
    }
    let groups = Groups::of(&spec, &grid);
    if !groups.is_empty() {
        printer.text(&sharing(groups.bounds(), spec.seeds.tune.len() as u64))?;
        if let Some(ledger) = &ledger {
            printer.text(&shared_so_far(&rows, ledger.epochs()?))?;
        }
    }
    let line = |what: &str, counts: &[u64], slots: usize| {
        let work = estimate(
            &spec,
            &grid,
            (0..).map(ArmIndex).zip(counts.iter().copied()),
            &measured,
        )?;
        if counts.iter().all(|&count| count == 0) {
            return None;
        }
        let each = work.work / slots as u32;
        let time = if each.as_millis() < 500 {
            "less than a second".to_owned()
        } else {
            human_duration(each)
        };
        let basis = match work.basis {
            Basis::Measured => "by this sweep's finished trials",
            Basis::Reference => "by a reference machine's speed, so roughly",
        };
        // What is known of finished trials holds what they shared.
        let without = what == "tuning" && work.basis == Basis::Reference && !groups.is_empty();
        let without = if without { ", without sharing" } else { "" };
        let on = if slots == 1 {
            "alone on the device".to_owned()
        } else {
            format!("on {}", count(slots, "slot"))
        };
        Some(format!("  {what:<7} {time} {on}, {basis}{without}"))
    };
    let lines: Vec<String> = [
        line("tuning", &left.tune, slots),
        line("final", &left.finals, devices),
    ]
    .into_iter()
    .flatten()
    .collect();
    match lines.is_empty() {
        true if left.tune() + left.finals() == 0 => {}
        true => printer.text("Estimated time: unknown until the first trials have finished")?,
        false => printer.text(&format!("Estimated time:\n{}", lines.join("\n")))?,
    }
    Ok(Outcome::Done)
}

/// What trials have in common, before any has run: bounds of what that saves.
fn sharing(bounds: Bounds, seeds: u64) -> String {
    let (trials, groups) = (bounds.points * seeds, bounds.groups * seeds);
    let mut out = format!(
        "Sharing: {} in {} with work in common, which is computed once",
        count(trials, "tuning trial"),
        count(groups, "group")
    );
    if let Some(epochs) = bounds.epochs {
        let times = |most: u64| factor(epochs.nominal, most);
        out.push_str(&format!(
            ":\n  {} to {} different trials; {} to {} times fewer epochs than one by one (off with --no-sharing)",
            thousands(groups),
            thousands(trials),
            times(epochs.most),
            times(epochs.least)
        ));
    }
    out
}

/// What sharing has saved, by the trials that have finished.
fn shared_so_far(rows: &HashMap<TrialId, TrialRow>, epochs: u64) -> String {
    let done = || rows.values().filter(|row| row.state == TrialState::Done);
    let (count, alike) = (
        done().count() as u64,
        done().filter(|row| row.shared.same_as.is_some()).count() as u64,
    );
    let taken: u64 = rows.values().map(|row| u64::from(row.shared.epochs)).sum();
    if count == 0 {
        return "  nothing has finished yet".to_owned();
    }
    let mut out = format!(
        "  so far {} different trials among {} finished ones",
        thousands(count - alike),
        thousands(count)
    );
    if epochs > 0 {
        out.push_str(&format!(
            "; {} of {} epochs computed, {} times fewer",
            thousands(epochs - taken.min(epochs)),
            thousands(epochs),
            factor(epochs, epochs - taken.min(epochs))
        ));
    }
    out
}

/// How many times more one is than the other, with two digits.
fn factor(more: u64, less: u64) -> String {
    let times = more as f64 / less.max(1) as f64;
    if times < 10.0 {
        format!("{times:.1}")
    } else {
        format!("{times:.0}")
    }
}

/// Mean durations of finished trials, by arm number.
fn durations(spec: &Spec, ledger: &Reader) -> Result<BTreeMap<ArmIndex, f64>, CliError> {
    let by_name = ledger.durations()?;
    let mean = |name: &String| by_name.get(name).map(|(count, sum)| sum / *count as f64);
    Ok(spec
        .arms
        .iter()
        .enumerate()
        .filter_map(|(arm, spec)| Some((ArmIndex(arm), mean(&spec.name)?)))
        .collect())
}

/// Arms, points, seeds and trials as a table.
fn overview(spec: &Spec, grid: &Grid) -> String {
    let headings = ["Arm", "Points", "Tuning trials", "Final trials", "Grid"]
        .map(str::to_owned)
        .into();
    let mut rows = Vec::new();
    let (tune, finals) = (spec.seeds.tune.len() as u64, spec.seeds.final_.len() as u64);
    for arm in grid.arms() {
        let shape = shape(arm);
        rows.push(vec![
            arm.arm().label.clone(),
            thousands(arm.len()),
            thousands(arm.len() * tune),
            thousands(finals),
            shape,
        ]);
    }
    let arms = grid.arms().len() as u64;
    rows.push(vec![
        "all".to_owned(),
        thousands(grid.len()),
        thousands(grid.len() * tune),
        thousands(arms * finals),
        String::new(),
    ]);
    let mut out = format!("{}: {}\n", spec.name, spec.task);
    if let Some(description) = &spec.description {
        out.push_str(&format!("{}\n", description.trim()));
    }
    out.push_str(&format!("{}\n", lay_out(headings, rows, 1..4)));
    out.push_str(&format!(
        "{}, {} and {}\n",
        count(grid.len(), "point"),
        count(grid.len() * tune, "tuning trial"),
        count(arms * finals, "final one")
    ));
    if grid.arms_overlap() {
        out.push_str(
            "Some points stand in several arms: they are run once, and counted in each.\n",
        );
    }
    out.push_str(&format!(
        "Seeds: {} for tuning, {} for the final trials\nSelected: the point of each arm with the best mean {} ({})",
        seed_list(&spec.seeds.tune),
        seed_list(&spec.seeds.final_),
        spec.metric.name,
        spec.metric.goal.name()
    ));
    if let Prune::Safe { best } = spec.prune {
        let bound = if spec.metric.goal == Goal::Maximize {
            "at most"
        } else {
            "at least"
        };
        out.push_str(&format!(
            "\nSafe racing: points that cannot win any more get no further seeds, so fewer tuning trials may run ({} is {bound} {best})",
            spec.metric.name
        ));
    }
    out
}

/// Seeds in the order in which they are used: `0 to 4` where each follows the one before it, else
/// one by one.
fn seed_list(seeds: &[u64]) -> String {
    match seeds {
        [] => "none".to_owned(),
        [first, .., last]
            if seeds
                .windows(2)
                .all(|pair| pair[0].checked_add(1) == Some(pair[1])) =>
        {
            format!("{first} to {last}")
        }
        seeds => seeds
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// What an arm's points are made of: `lr (5) × momentum (2, if optimizer is sgd) − 3 excluded`.
fn shape(arm: &ArmGrid) -> String {
    let axes = &arm.arm().axes;
    let grid = |grid: &Subgrid| {
        let factor = |dimension: &Dimension| {
            let names: Vec<&str> = dimension
                .axes
                .iter()
                .map(|axis| axes[*axis].name.as_str())
                .collect();
            let when = if dimension.when.is_empty() {
                String::new()
            } else {
                format!(", if {}", dimension.when)
            };
            format!("{} ({}{when})", names.join("+"), dimension.settings.len())
        };
        let varies =
            |dimension: &&Dimension| dimension.settings.len() > 1 || !dimension.when.is_empty();
        let factors: Vec<String> = grid.dimensions.iter().filter(varies).map(factor).collect();
        let mut out = if factors.is_empty() {
            "one point".to_owned()
        } else {
            factors.join(" × ")
        };
        for (count, what) in [
            (grid.excluded, "excluded"),
            (grid.repeated, "of an earlier grid"),
        ] {
            if count > 0 {
                out.push_str(&format!(
                    " − {} {what}",
                    thousands(u64::try_from(count).unwrap_or(u64::MAX))
                ));
            }
        }
        out
    };
    arm.grids().map(grid).collect::<Vec<_>>().join(" + ")
}

/// Every trial that is left, one a line: id, arm, seed, configuration.
fn list(
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
    json: bool,
    printer: &Printer,
) -> Result<Outcome, CliError> {
    let evaluation = evaluate(spec, grid, rows)?;
    let print = |text: &str| {
        if json {
            printer.data(text)
        } else {
            printer.text(text)
        }
    };
    let mut out = String::new();
    for trial in all_trials(spec, grid, &evaluation.selected()) {
        let row = rows.get(&trial.id);
        if row.is_some_and(|row| matches!(row.state, TrialState::Done | TrialState::Failed))
            || evaluation.is_pruned(&trial, row)
        {
            continue;
        }
        let arm = &grid[trial.arm];
        if json {
            out.push_str(&planned::line(grid, &trial)?);
        } else {
            out.push_str(&format!(
                "{}\t{}\t{}\t{}\n",
                trial.id,
                trial.phase.name(),
                arm.arm().name,
                arm.config(trial.index).canonical()
            ));
        }
        if out.len() > 1 << 16 {
            print(&std::mem::take(&mut out))?;
        }
    }
    if !out.is_empty() {
        print(&out)?;
    }
    let selected = evaluation.selected().len();
    if selected < grid.arms().len() && !spec.seeds.final_.is_empty() {
        let finals = count(
            ((grid.arms().len() - selected) * spec.seeds.final_.len()) as u64,
            "final trial",
        );
        printer.say(&format!(
            "and {finals} of the arms' best points, which the tuning trials will tell"
        ));
    }
    Ok(Outcome::Done)
}

/// What the sweep file, and what is trained, change of what the ledger has: what `run` will ask
/// about.
fn changes(subject: Subject<'_>, text: &str, ledger: &Reader) -> Result<Vec<String>, CliError> {
    let mut lines = spec_changes(subject.spec, text, ledger)?;
    if let Some(retrained) = ledger.retrained(|key| take_fingerprint(subject, key))? {
        let of = count(retrained.trials, "finished trial");
        lines.extend(
            retrained
                .difference
                .lines()
                .map(|line| format!("{line} (since {of}{RAN}")),
        );
    }
    Ok(lines)
}

/// How a line ends that names a change of what is trained.
const RAN: &str = " ran)";

/// What the sweep file changes of the one that the ledger has.
fn spec_changes(spec: &Spec, text: &str, ledger: &Reader) -> Result<Vec<String>, CliError> {
    let known = ledger.spec_text()?;
    if known == text {
        return Ok(Vec::new());
    }
    // One that cannot be read any more is the business of `run`.
    let Ok(old) = crate::spec::read_named(&known, "spec.yaml", Some(&spec.name)) else {
        return Ok(Vec::new());
    };
    let changes = SpecChanges::between(&old, spec);
    Ok(if changes.is_cosmetic() {
        Vec::new()
    } else {
        changes.lines()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_only_where_each_follows_the_one_before() {
        const MOST: u64 = u64::MAX;
        let lists: [(&[u64], &str); 9] = [
            (&[], "none"),
            (&[7], "7"),
            (&[0, 1, 2], "0 to 2"),
            (&[5, 3], "5 3"),
            (&[2, 1, 0], "2 1 0"),
            (&[0, 5, 2], "0 5 2"),
            (&[1, 0, 3], "1 0 3"),
            (&[MOST, 0], "18446744073709551615 0"),
            (
                &[MOST - 1, MOST],
                "18446744073709551614 to 18446744073709551615",
            ),
        ];
        for (seeds, expected) in lists {
            assert_eq!(seed_list(seeds), expected);
        }
    }
}
