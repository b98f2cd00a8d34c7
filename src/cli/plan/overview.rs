//! The table of a plan: arms, points, seeds and trials.

use crate::grid::{ArmGrid, Grid};
use crate::report::lay_out;
use crate::spec::{At, Axis, Dimension, Goal, Prune, Spec, Subgrid};
use crate::text::{count, thousands};

/// Arms, points, seeds and trials as a table, with what is selected and how.
pub(super) fn overview(spec: &Spec, grid: &Grid) -> String {
    let tune = spec.seeds.tune.len() as u64;
    let finals = grid.arms().len() as u64 * spec.seeds.final_.len() as u64;

    let mut out = format!("{}: {}\n", spec.name, spec.task);
    if let Some(description) = &spec.description {
        out.push_str(&format!("{}\n", description.trim()));
    }
    out.push_str(&format!("{}\n", table(spec, grid)));

    out.push_str(&format!(
        "{}, {} and {}\n",
        count(grid.len(), "point"),
        count(grid.len() * tune, "tuning trial"),
        count(finals, "final one")
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
        selecting_value(spec)
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

/// The goal, and which value of its history is a trial's.
fn selecting_value(spec: &Spec) -> String {
    let goal = spec.metric.goal.name();
    match spec.metric.at {
        At::Last => goal.to_owned(),
        At::Best => format!("{goal}; the best value of each trial's history"),
        At::MeanLast(count) => {
            format!("{goal}; the mean of the last {count} of each trial's history")
        }
    }
}

/// The arms, and their sum in the last row.
fn table(spec: &Spec, grid: &Grid) -> String {
    let tune = spec.seeds.tune.len() as u64;
    let finals = spec.seeds.final_.len() as u64;
    let headings = ["Arm", "Points", "Tuning trials", "Final trials", "Grid"]
        .map(str::to_owned)
        .into();

    let mut rows = Vec::new();
    for arm in grid.arms() {
        rows.push(vec![
            arm.arm().label.clone(),
            thousands(arm.len()),
            thousands(arm.len() * tune),
            thousands(finals),
            shape(arm),
        ]);
    }
    rows.push(vec![
        "all".to_owned(),
        thousands(grid.len()),
        thousands(grid.len() * tune),
        thousands(grid.arms().len() as u64 * finals),
        String::new(),
    ]);
    lay_out(headings, rows, 1..4)
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
    let grids: Vec<String> = arm
        .grids()
        .map(|grid| grid_shape(grid, &arm.arm().axes))
        .collect();
    grids.join(" + ")
}

/// The dimensions of one grid that vary, and how many points it lacks.
fn grid_shape(grid: &Subgrid, axes: &[Axis]) -> String {
    let factors: Vec<String> = grid
        .dimensions
        .iter()
        .filter(|dimension| dimension.settings.len() > 1 || !dimension.when.is_empty())
        .map(|dimension| factor(dimension, axes))
        .collect();
    let mut out = if factors.is_empty() {
        "one point".to_owned()
    } else {
        factors.join(" × ")
    };

    for (points, reason) in [
        (grid.excluded, "excluded"),
        (grid.repeated, "of an earlier grid"),
    ] {
        if points > 0 {
            let points = u64::try_from(points).unwrap_or(u64::MAX);
            out.push_str(&format!(" − {} {reason}", thousands(points)));
        }
    }
    out
}

/// One dimension of a grid: `momentum (2, if optimizer is sgd)`.
fn factor(dimension: &Dimension, axes: &[Axis]) -> String {
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
