//! A region of one grid as seen on the dimensions of another, whose zips may differ: how points
//! that stand in both are found without laying out either. Used within an arm to count a point
//! once, and between arms by the grid.

use std::collections::HashSet;

use super::region::{Dimension, Region, Side};

/// Axes that vary together, and the values that they take.
type Group = (Vec<usize>, HashSet<Vec<usize>>);

/// The points of a region that are combinations of the other dimensions' settings, too: disjoint
/// regions on these. `translate` says which axis and value of the other grid an axis and value of
/// the region's are. None: more than `most` regions would be needed.
pub fn project(
    region: &Region,
    from: &[Dimension],
    to: &[Dimension],
    translate: impl Fn(usize, usize) -> Option<(usize, usize)>,
    most: usize,
) -> Option<Vec<Region>> {
    let (mut whole, mut split): (Vec<Group>, Vec<Group>) = (Vec::new(), Vec::new());
    for (dimension, side) in from.iter().zip(&region.sides) {
        let Side::Settings(settings) = side else {
            continue;
        };
        let mut axes = Vec::new();
        let mut tuples = HashSet::new();
        for setting in settings.iter() {
            let values = dimension
                .axes
                .iter()
                .zip(&dimension.settings[*setting as usize]);
            // A value that the other grid's parameter does not take: no point in common here.
            let Some(there) = values
                .map(|(axis, value)| translate(*axis, *value))
                .collect::<Option<Vec<_>>>()
            else {
                continue;
            };
            axes = there.iter().map(|(axis, _)| *axis).collect();
            tuples.insert(there.into_iter().map(|(_, value)| value).collect());
        }
        if tuples.is_empty() {
            return Some(Vec::new());
        }
        let together = axes.len() == 1
            || to
                .iter()
                .any(|other| axes.iter().all(|axis| other.axes.contains(axis)));
        if together {
            whole.push((axes, tuples))
        } else {
            split.push((axes, tuples))
        }
    }
    // A zip whose members are not together in the other grid: one region for each of its settings.
    let mut cases: Vec<Vec<Group>> = vec![whole];
    for (axes, tuples) in split {
        if cases.len().saturating_mul(tuples.len()) > most {
            return None;
        }
        let mut sorted: Vec<Vec<usize>> = tuples.into_iter().collect();
        sorted.sort();
        let fixed = |(axis, value): (&usize, &usize)| (vec![*axis], HashSet::from([vec![*value]]));
        let with = |case: &[Group], tuple: &[usize]| -> Vec<Group> {
            case.iter()
                .cloned()
                .chain(axes.iter().zip(tuple).map(fixed))
                .collect()
        };
        cases = cases
            .iter()
            .flat_map(|case| sorted.iter().map(|tuple| with(case, tuple)))
            .collect();
    }
    Some(
        cases
            .iter()
            .filter_map(|groups| sides(groups, to))
            .collect(),
    )
}

/// The settings of each dimension that agree with all groups; None if there is a dimension without
/// any, or parameters that exist on one side only.
fn sides(groups: &[Group], to: &[Dimension]) -> Option<Region> {
    let mut met = 0;
    let mut sides = Vec::with_capacity(to.len());
    for dimension in to {
        let own: Vec<(Vec<usize>, &HashSet<Vec<usize>>)> = groups
            .iter()
            .filter_map(|(axes, tuples)| {
                let place = |axis| dimension.axes.iter().position(|other| other == axis);
                Some((
                    axes.iter().map(place).collect::<Option<Vec<usize>>>()?,
                    tuples,
                ))
            })
            .collect();
        let covered: usize = own.iter().map(|(places, _)| places.len()).sum();
        met += covered;
        if covered == 0 {
            sides.push(Side::Absent);
            continue;
        }
        let agrees = |setting: &Vec<usize>| {
            own.iter().all(|(places, tuples)| {
                tuples.contains(
                    &places
                        .iter()
                        .map(|place| setting[*place])
                        .collect::<Vec<_>>(),
                )
            })
        };
        let settings: Vec<u32> = (0_u32..)
            .zip(&dimension.settings)
            .filter(|(_, s)| agrees(s))
            .map(|(n, _)| n)
            .collect();
        if covered < dimension.axes.len() || settings.is_empty() {
            return None;
        }
        sides.push(Side::Settings(settings.into()));
    }
    let all: usize = groups.iter().map(|(axes, _)| axes.len()).sum();
    (met == all).then_some(Region { sides })
}
