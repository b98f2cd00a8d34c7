//! Sees a region of one grid on the dimensions of another, whose zips may differ. This finds the
//! points that stand in both without laying out either. Used within an arm to count a point once,
//! and by `grid` between arms.

use std::collections::HashSet;

use super::region::{Dimension, Region, Side};

/// Axes that vary together, and the combinations of values that they take.
#[derive(Clone)]
struct Group {
    axes: Vec<usize>,
    tuples: HashSet<Vec<usize>>,
}

/// Returns the points of a region that are combinations of the other grid's settings as well, as
/// disjoint regions on the other grid's dimensions.
///
/// `translate` maps an axis and value of the region's grid to those of the other grid. Returns None
/// if more than `max_regions` regions would be needed.
pub fn project(
    region: &Region,
    from: &[Dimension],
    to: &[Dimension],
    translate: impl Fn(usize, usize) -> Option<(usize, usize)>,
    max_regions: usize,
) -> Option<Vec<Region>> {
    let mut whole: Vec<Group> = Vec::new();
    let mut split: Vec<Group> = Vec::new();
    for (dimension, side) in from.iter().zip(&region.sides) {
        let Side::Settings(settings) = side else {
            continue;
        };
        let group = translated_group(dimension, settings, &translate);
        if group.tuples.is_empty() {
            return Some(Vec::new());
        }

        let is_together = group.axes.len() == 1
            || to
                .iter()
                .any(|other| group.axes.iter().all(|axis| other.axes.contains(axis)));
        if is_together {
            whole.push(group);
        } else {
            split.push(group);
        }
    }

    // A zip whose members are not together in the other grid needs a region for each setting.
    let mut cases: Vec<Vec<Group>> = vec![whole];
    for group in split {
        if cases.len().saturating_mul(group.tuples.len()) > max_regions {
            return None;
        }
        let mut tuples: Vec<Vec<usize>> = group.tuples.into_iter().collect();
        tuples.sort();
        cases = cases
            .iter()
            .flat_map(|case| {
                tuples
                    .iter()
                    .map(|tuple| with_fixed(case, &group.axes, tuple))
            })
            .collect();
    }

    Some(
        cases
            .iter()
            .filter_map(|groups| agreeing_region(groups, to))
            .collect(),
    )
}

/// The settings of a dimension in terms of the other grid.
fn translated_group(
    dimension: &Dimension,
    settings: &[u32],
    translate: impl Fn(usize, usize) -> Option<(usize, usize)>,
) -> Group {
    let mut axes = Vec::new();
    let mut tuples = HashSet::new();
    for setting in settings {
        let translated: Option<Vec<(usize, usize)>> = dimension
            .axes
            .iter()
            .zip(&dimension.settings[*setting as usize])
            .map(|(axis, value)| translate(*axis, *value))
            .collect();

        // The other grid's parameter does not take the value: no common point here.
        let Some(translated) = translated else {
            continue;
        };
        axes = translated.iter().map(|(axis, _)| *axis).collect();
        tuples.insert(translated.into_iter().map(|(_, value)| value).collect());
    }
    Group { axes, tuples }
}

/// The groups of a case, and one group for each axis that has a single value in it.
fn with_fixed(case: &[Group], axes: &[usize], tuple: &[usize]) -> Vec<Group> {
    let fixed = axes.iter().zip(tuple).map(|(axis, value)| Group {
        axes: vec![*axis],
        tuples: HashSet::from([vec![*value]]),
    });
    case.iter().cloned().chain(fixed).collect()
}

/// The settings of each dimension that agree with all groups; None if a dimension has none, or if
/// parameters exist on one side only.
fn agreeing_region(groups: &[Group], to: &[Dimension]) -> Option<Region> {
    let mut axes_found = 0;
    let mut sides = Vec::with_capacity(to.len());
    for dimension in to {
        let own: Vec<PlacedGroup<'_>> = groups
            .iter()
            .filter_map(|group| PlacedGroup::find(group, dimension))
            .collect();
        let covered: usize = own.iter().map(|group| group.places.len()).sum();
        axes_found += covered;
        if covered == 0 {
            sides.push(Side::Absent);
            continue;
        }

        let settings: Vec<u32> = (0_u32..)
            .zip(&dimension.settings)
            .filter(|(_, setting)| own.iter().all(|group| group.holds(setting)))
            .map(|(number, _)| number)
            .collect();
        if covered < dimension.axes.len() || settings.is_empty() {
            return None;
        }
        sides.push(Side::Settings(settings.into()));
    }

    let axes: usize = groups.iter().map(|group| group.axes.len()).sum();
    (axes_found == axes).then_some(Region { sides })
}

/// A group whose axes all belong to one dimension.
struct PlacedGroup<'g> {
    /// The places of the group's axes in the dimension.
    places: Vec<usize>,
    tuples: &'g HashSet<Vec<usize>>,
}

impl<'g> PlacedGroup<'g> {
    fn find(group: &'g Group, dimension: &Dimension) -> Option<Self> {
        let places: Option<Vec<usize>> = group
            .axes
            .iter()
            .map(|axis| dimension.axes.iter().position(|other| other == axis))
            .collect();
        Some(Self {
            places: places?,
            tuples: &group.tuples,
        })
    }

    fn holds(&self, setting: &[usize]) -> bool {
        let values: Vec<usize> = self.places.iter().map(|place| setting[*place]).collect();
        self.tuples.contains(&values)
    }
}
