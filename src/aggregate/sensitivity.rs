//! How much each searched hyper-parameter of an arm matters: the metric by the parameter's values,
//! averaged over the rest of the grid (marginal) and along the line through the selected point
//! (slice), and by pairs of parameters.

use super::stats::{PointStats, Stat};
use crate::grid::{ArmGrid, PointIndex};

/// One searched parameter of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// Number of the parameter among the arm's axes.
    pub axis: usize,
    /// By value: the average of the points' means over the rest of the grid. Points that lack the
    /// parameter are left out.
    pub marginal: Vec<Average>,
    /// By value: the statistics of the point that differs from the selected point in this parameter
    /// only. None if the grid has no such point, it has no result, or no point is selected.
    pub slice: Vec<Option<Stat>>,
}

/// Two searched parameters of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Numbers of the parameters among the arm's axes.
    pub axes: [usize; 2],
    /// The averages of the points' means over the rest of the grid: one row for each value of the
    /// second parameter, with one cell for each value of the first. None if no point of the grid
    /// has both values.
    pub cells: Vec<Vec<Option<Average>>>,
}

/// An average over points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    /// Mean of the points' means, their deviation and their number; None if there are no points.
    pub stat: Option<Stat>,
    /// Number of points left out because their mean is not finite.
    pub not_finite: u32,
}

/// Means of points that are to be averaged.
#[derive(Clone, Default)]
struct Means {
    finite: Vec<f64>,
    not_finite: u32,
}

impl Means {
    fn add(&mut self, mean: f64) {
        if mean.is_finite() {
            self.finite.push(mean);
        } else {
            self.not_finite += 1;
        }
    }

    fn average(&self) -> Average {
        Average {
            stat: (!self.finite.is_empty()).then(|| Stat::of(&self.finite)),
            not_finite: self.not_finite,
        }
    }
}

fn sizes(grid: &ArmGrid) -> Vec<usize> {
    grid.arm()
        .axes
        .iter()
        .map(|axis| axis.values.len())
        .collect()
}

/// The axes with more than one value.
fn searched_axes(sizes: &[usize]) -> Vec<usize> {
    (0..sizes.len()).filter(|axis| sizes[*axis] > 1).collect()
}

/// Computes the sensitivity to each searched parameter of an arm. `points` are the arm's points
/// with a result, and `best` is the selected one.
pub fn sensitivity(
    grid: &ArmGrid,
    points: &[&PointStats],
    metric: &str,
    best: Option<u64>,
) -> Vec<Sensitivity> {
    let sizes = sizes(grid);
    let searched = searched_axes(&sizes);
    let mut means: Vec<Vec<Means>> = searched
        .iter()
        .map(|axis| vec![Means::default(); sizes[*axis]])
        .collect();
    let mut slices: Vec<Vec<Option<Stat>>> = searched
        .iter()
        .map(|axis| vec![None; sizes[*axis]])
        .collect();

    let best = best.map(|index| grid.places(PointIndex(index)));
    for point in points {
        let Some(stat) = point.stats.get(metric) else {
            continue;
        };
        let places = grid.places(PointIndex(point.index));

        // A point is on a line through the selected point if it differs in at most that axis.
        let differing: Option<Vec<usize>> = best.as_ref().map(|best| {
            (0..places.len())
                .filter(|axis| places[*axis] != best[*axis])
                .collect()
        });
        for (number, axis) in searched.iter().enumerate() {
            let Some(place) = places[*axis] else { continue };
            means[number][place].add(stat.mean);
            let is_on_line = differing
                .as_ref()
                .is_some_and(|differing| differing.iter().all(|other| other == axis));
            if is_on_line {
                slices[number][place] = Some(*stat);
            }
        }
    }

    searched
        .into_iter()
        .zip(means)
        .zip(slices)
        .map(|((axis, means), slice)| Sensitivity {
            axis,
            marginal: means.iter().map(Means::average).collect(),
            slice,
        })
        .collect()
}

/// Computes the averages by each pair of searched parameters of an arm, the earlier parameter
/// first.
pub fn pairs(grid: &ArmGrid, points: &[&PointStats], metric: &str) -> Vec<Pair> {
    let sizes = sizes(grid);
    let searched = searched_axes(&sizes);
    let mut tables: Vec<([usize; 2], Vec<Vec<Means>>)> = Vec::new();
    for (number, &first) in searched.iter().enumerate() {
        for &second in &searched[number + 1..] {
            let rows = vec![vec![Means::default(); sizes[first]]; sizes[second]];
            tables.push(([first, second], rows));
        }
    }

    // Each point adds its mean to one cell of each table.
    for point in points {
        let Some(stat) = point.stats.get(metric) else {
            continue;
        };
        let places = grid.places(PointIndex(point.index));
        for ([first, second], rows) in &mut tables {
            if let (Some(column), Some(row)) = (places[*first], places[*second]) {
                rows[row][column].add(stat.mean);
            }
        }
    }

    tables
        .into_iter()
        .map(|(axes, rows)| Pair {
            axes,
            cells: rows
                .iter()
                .zip(grid.pairs(axes[0], axes[1]))
                .map(|(row, exist)| averages(row, &exist))
                .collect(),
        })
        .collect()
}

/// A row's averages, where the grid has points at all.
fn averages(row: &[Means], exist: &[bool]) -> Vec<Option<Average>> {
    row.iter()
        .zip(exist)
        .map(|(means, exists)| exists.then(|| means.average()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::spec::{Arm, At, Axis, Goal, Metric, ParamValue, Seeds, Shape, Spec, Task};
    use crate::tasks::MNIST_RESNET18;
    use proptest::prelude::*;

    fn grid(sizes: &[usize]) -> Grid {
        let axes = sizes.iter().enumerate().map(|(number, size)| Axis {
            name: format!("p{number}"),
            values: (0..*size as i64).map(ParamValue::Int).collect(),
        });
        Grid::new(&Spec {
            name: "s".into(),
            description: None,
            task: Task::BuiltIn(&MNIST_RESNET18),
            metric: Metric {
                name: "m".into(),
                goal: Goal::Maximize,
                at: At::Last,
            },
            seeds: Seeds {
                tune: vec![0],
                final_: vec![],
            },
            arms: vec![Arm {
                name: "a".into(),
                label: "A".into(),
                axes: axes.collect(),
                shape: Shape::default(),
            }],
            claims: Vec::new(),
            timed: None,
            remarks: Vec::new(),
            prune: Default::default(),
            sources: Vec::new(),
            resources: Default::default(),
            arm_resources: Vec::new(),
            env: Vec::new(),
            workdir: None,
            launcher: Default::default(),
            limits: crate::spec::Limits::default(),
            affinity: Vec::new(),
            published: Default::default(),
        })
    }

    fn point(index: u64, mean: f64) -> PointStats {
        let stats = [(
            "m".to_owned(),
            Stat {
                mean,
                std: Some(1.0),
                n: 2,
            },
        )]
        .into_iter()
        .collect();
        PointStats {
            arm: 0,
            index,
            n: 2,
            diverged: 0,
            stats,
        }
    }

    #[test]
    fn slices_contain_the_selected_point() {
        // p0 in 0..2, p1 has one value, p2 in 0..3; numbers count p2 fastest.
        let grid = grid(&[2, 1, 3]);
        let points: Vec<PointStats> = [0.0, 1.0, 2.0, 3.0, f64::NAN]
            .into_iter()
            .enumerate()
            .map(|(i, m)| point(i as u64, m))
            .collect();
        let points: Vec<&PointStats> = points.iter().collect();
        let found = sensitivity(&grid.arms()[0], &points, "m", Some(3));
        assert_eq!(found.iter().map(|one| one.axis).collect::<Vec<_>>(), [0, 2]);
        let means = |slice: &[Option<Stat>]| {
            slice
                .iter()
                .map(|stat| stat.map(|stat| stat.mean))
                .collect::<Vec<_>>()
        };
        assert_eq!(means(&found[0].slice), [Some(0.0), Some(3.0)]);
        assert_eq!(means(&found[1].slice)[0], Some(3.0));
        assert!(means(&found[1].slice)[1].is_some_and(f64::is_nan));
        assert_eq!(found[1].slice[2], None);
        assert_eq!(
            found[0].marginal[0],
            Average {
                stat: Some(Stat {
                    mean: 1.0,
                    std: Some(1.0),
                    n: 3
                }),
                not_finite: 0
            }
        );
        assert_eq!(
            found[0].marginal[1],
            Average {
                stat: Some(Stat {
                    mean: 3.0,
                    std: None,
                    n: 1
                }),
                not_finite: 1
            }
        );
        let pairs = pairs(&grid.arms()[0], &points, "m");
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            (pairs[0].axes, pairs[0].cells.len(), pairs[0].cells[0].len()),
            ([0, 2], 3, 2)
        );
        assert_eq!(
            pairs[0].cells[1][1],
            Some(Average {
                stat: None,
                not_finite: 1
            })
        );
        assert!(
            sensitivity(&grid.arms()[0], &points, "m", None)
                .iter()
                .all(|one| one.slice.iter().all(Option::is_none))
        );
    }

    proptest! {
        #[test]
        fn marginals_agree_with_explicit_sums(
            sizes in prop::collection::vec(1_usize..4, 1..5),
            means in prop::collection::vec(-1e3_f64..1e3, 81),
        ) {
            let grid = grid(&sizes);
            let arm = &grid.arms()[0];
            let points: Vec<PointStats> = (0..arm.len()).map(|index| point(index, means[index as usize])).collect();
            let points: Vec<&PointStats> = points.iter().collect();
            for one in sensitivity(arm, &points, "m", Some(0)) {
                let axis = &arm.arm().axes[one.axis];
                for (value, average) in axis.values.iter().zip(&one.marginal) {
                    let has = |point: &&&PointStats| arm.config(PointIndex(point.index)).get(&axis.name) == Some(value);
                    let own: Vec<f64> = points.iter().filter(has).map(|point| point.stats["m"].mean).collect();
                    let mean = own.iter().sum::<f64>() / own.len() as f64;
                    let stat = average.stat.unwrap();
                    prop_assert_eq!(stat.n as usize, own.len());
                    prop_assert!((stat.mean - mean).abs() < 1e-6);
                    if own.len() > 1 {
                        let var = own.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (own.len() - 1) as f64;
                        prop_assert!((stat.std.unwrap() - var.sqrt()).abs() < 1e-6);
                    }
                }
            }
            for pair in pairs(arm, &points, "m") {
                let [a, b] = pair.axes.map(|axis| &arm.arm().axes[axis]);
                for (row, y) in pair.cells.iter().zip(&b.values) {
                    for (cell, x) in row.iter().zip(&a.values) {
                        let has = |point: &&&PointStats| {
                            let config = arm.config(PointIndex(point.index));
                            config.get(&a.name) == Some(x) && config.get(&b.name) == Some(y)
                        };
                        let own: Vec<f64> = points.iter().filter(has).map(|point| point.stats["m"].mean).collect();
                        let stat = cell.unwrap().stat.unwrap();
                        prop_assert_eq!(stat.n as usize, own.len());
                        prop_assert!((stat.mean - own.iter().sum::<f64>() / own.len() as f64).abs() < 1e-6);
                    }
                }
            }
        }
    }
}
