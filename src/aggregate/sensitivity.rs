//! How much each searched hyper-parameter of an arm matters: the metric by the parameter's values,
//! averaged over the rest of the grid (marginal) and along the line through the selected point
//! (slice), and by pairs of parameters.

use super::moments::moments;
use super::stats::{PointStats, Stat};
use crate::grid::{ArmGrid, PointIndex};

/// One searched parameter of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// Number of the parameter among the arm's axes.
    pub axis: usize,
    /// By value: the points' means over the rest of the grid. Points that lack the parameter are
    /// left out.
    pub marginal: Vec<Average>,
    /// By value: the point that differs from the selected point in this parameter only. None: there
    /// is none in the grid, it has no result, or no point is selected.
    pub slice: Vec<Option<Stat>>,
}

/// Two searched parameters of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Numbers of the parameters among the arm's axes.
    pub axes: [usize; 2],
    /// The points' means over the rest of the grid: one row for each value of the second parameter,
    /// one cell in it for each of the first. None: no point of the grid has both values.
    pub cells: Vec<Vec<Option<Average>>>,
}

/// An average over points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    /// Mean of the points' means, their deviation and their number; None if there is none.
    pub stat: Option<Stat>,
    /// Points left out of it, because their mean is not finite.
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
        let stat = (!self.finite.is_empty()).then(|| {
            let (mean, std) = moments(&self.finite);
            Stat {
                mean,
                std,
                n: self.finite.len() as u32,
            }
        });
        Average {
            stat,
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

/// Each searched parameter of an arm. `points` are the arm's points with a result, and `best` is
/// the selected one.
pub fn sensitivity(
    grid: &ArmGrid,
    points: &[&PointStats],
    metric: &str,
    best: Option<u64>,
) -> Vec<Sensitivity> {
    let sizes = sizes(grid);
    let searched: Vec<usize> = (0..sizes.len()).filter(|axis| sizes[*axis] > 1).collect();
    let mut sums: Vec<Vec<Means>> = searched
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
        let at = grid.places(PointIndex(point.index));
        // On a line through the selected point lies what differs from it in one place at most.
        let apart = best.as_ref().map(|best| {
            (0..at.len())
                .filter(|axis| at[*axis] != best[*axis])
                .collect::<Vec<_>>()
        });
        for (number, axis) in searched.iter().enumerate() {
            let Some(place) = at[*axis] else { continue };
            sums[number][place].add(stat.mean);
            if apart
                .as_ref()
                .is_some_and(|apart| apart.iter().all(|other| other == axis))
            {
                slices[number][place] = Some(*stat);
            }
        }
    }
    let each = searched.iter().zip(sums).zip(slices);
    each.map(|((axis, sums), slice)| Sensitivity {
        axis: *axis,
        marginal: sums.iter().map(Means::average).collect(),
        slice,
    })
    .collect()
}

/// Each pair of searched parameters of an arm, the earlier one first.
pub fn pairs(grid: &ArmGrid, points: &[&PointStats], metric: &str) -> Vec<Pair> {
    let sizes = sizes(grid);
    let searched: Vec<usize> = (0..sizes.len()).filter(|axis| sizes[*axis] > 1).collect();
    let two = searched
        .iter()
        .enumerate()
        .flat_map(|(number, a)| searched[number + 1..].iter().map(|b| [*a, *b]));
    let mut found: Vec<([usize; 2], Vec<Vec<Means>>)> = two
        .map(|axes| {
            (
                axes,
                vec![vec![Means::default(); sizes[axes[0]]]; sizes[axes[1]]],
            )
        })
        .collect();
    for point in points {
        let Some(stat) = point.stats.get(metric) else {
            continue;
        };
        let at = grid.places(PointIndex(point.index));
        for ([a, b], cells) in &mut found {
            if let (Some(a), Some(b)) = (at[*a], at[*b]) {
                cells[b][a].add(stat.mean);
            }
        }
    }
    let pair = |(axes, sums): ([usize; 2], Vec<Vec<Means>>)| {
        let row = |(sums, exist): (&Vec<Means>, Vec<bool>)| {
            sums.iter()
                .zip(exist)
                .map(|(sum, exists)| exists.then(|| sum.average()))
                .collect()
        };
        Pair {
            axes,
            cells: sums
                .iter()
                .zip(grid.pairs(axes[0], axes[1]))
                .map(row)
                .collect(),
        }
    };
    found.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::spec::{Arm, Axis, Goal, Metric, ParamValue, Seeds, Shape, Spec, Task};
    use proptest::prelude::*;

    fn grid(sizes: &[usize]) -> Grid {
        let axes = sizes.iter().enumerate().map(|(number, size)| Axis {
            name: format!("p{number}"),
            values: (0..*size as i64).map(ParamValue::Int).collect(),
        });
        Grid::new(&Spec {
            name: "s".into(),
            description: None,
            task: Task::MnistResnet18,
            metric: Metric {
                name: "m".into(),
                goal: Goal::Maximize,
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
            prune: Default::default(),
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
    fn slices_go_through_the_selected_point() {
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
        fn marginals_agree_with_sums_written_out(
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
