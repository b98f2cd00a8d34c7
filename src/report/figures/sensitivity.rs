//! Sensitivity: the selection metric against each searched hyper-parameter of an arm, over the rest
//! of the grid and along the line through the selected point.

use super::data::{FigureData, Sketch, csv_text};
use super::names::{FileNames, arm_label, metric_label};
use super::scales::{median, scale_of};
use super::value_axis::ValueAxis;
use crate::aggregate::{Sensitivity, Stat, sensitivity};
use crate::grid::{ArmGrid, PointIndex};
use crate::report::csv_files::stat_cells;
use crate::report::plot::{Axis, Chart, LegendEntry, Mark, Panel, Scale, Spread, Style};
use crate::text::count;

/// How far the averages are shifted to the left of the slices, in widths of a marker.
const MARGINAL_SHIFT: f64 = -0.9;

/// The sensitivity of one arm, and how it is drawn.
struct ArmSensitivity<'a> {
    data: &'a FigureData<'a>,
    arm: usize,
    grid: &'a ArmGrid,
    parameters: Vec<Sensitivity>,
    /// The selected point.
    best: Option<u64>,
    label: String,
    metric_label: String,
    scale: Scale,
    /// The ends of everything that is drawn, so that the panels share one range.
    reach: Vec<f64>,
}

/// Makes the figure of an arm; None if nothing was searched, or if there are no results.
pub(super) fn sketch(data: &FigureData<'_>, arm: usize, names: &mut FileNames) -> Option<Sketch> {
    let figure = ArmSensitivity::new(data, arm)?;
    let panels = figure.panels();

    Some(Sketch {
        name: names.make(&["sensitivity", &figure.grid.arm().name]),
        title: format!("Sensitivity of {}", figure.label),
        caption: figure.caption() + &data.note_on_seeds(arm),
        csv: figure.csv(),
        chart: Chart {
            title: figure.label.clone(),
            columns: panels.len().min(2),
            panels,
            wide: false,
            legend: figure.legend(),
        },
    })
}

impl<'a> ArmSensitivity<'a> {
    fn new(data: &'a FigureData<'a>, arm: usize) -> Option<Self> {
        let grid = &data.grid.arms()[arm];
        let metric = &data.spec.metric.name;
        let best = data
            .evaluation
            .arms
            .get(arm)
            .and_then(|arm| arm.selection.best);
        let parameters = sensitivity(grid, &data.points_of(arm), metric, best);

        let mut averages = parameters.iter().flat_map(|one| &one.marginal);
        if !averages.any(|average| average.stat.is_some()) {
            return None;
        }

        // All panels have the same scale.
        let means: Vec<f64> = parameters
            .iter()
            .flat_map(|one| marginal_stats(one).chain(slice_stats(one)))
            .map(|stat| stat.mean)
            .collect();
        let typical = median(means.iter().copied());
        let scale = scale_of(metric, typical, means.iter().copied());

        let mut figure = Self {
            data,
            arm,
            grid,
            parameters,
            best,
            label: arm_label(grid.arm()),
            metric_label: metric_label(&data.spec.task, metric),
            scale,
            reach: Vec::new(),
        };
        figure.reach = figure.reach();
        Some(figure)
    }

    /// Whether there is a rest of the grid to average over. With one parameter there is none: both
    /// series would be the same points.
    fn has_rest(&self) -> bool {
        self.parameters.len() > 1
    }

    fn shows_averages(&self) -> bool {
        self.has_rest() || self.best.is_none()
    }

    fn style(&self) -> Style {
        Style::of_arm(self.arm).with_line_of(0)
    }

    fn reach(&self) -> Vec<f64> {
        let mut low = f64::INFINITY;
        let mut high = f64::NEG_INFINITY;
        for one in &self.parameters {
            let marginals = marginal_stats(one).filter(|_| self.has_rest());
            for stat in marginals.chain(slice_stats(one)) {
                if !stat.mean.is_finite() {
                    continue;
                }

                // As on the axis: a log axis does not follow a band down to zero.
                let spread = Spread::new(0.0, stat.mean, stat.std);
                let lower_end = match self.scale {
                    Scale::Log => spread.low.max(stat.mean / 4.0),
                    _ => spread.low,
                };
                low = low.min(lower_end).min(spread.high);
                high = high.max(lower_end).max(spread.high);
            }
        }

        if low <= high {
            vec![low, high]
        } else {
            Vec::new()
        }
    }

    fn panels(&self) -> Vec<Panel> {
        let selected = self.best.map(|index| self.grid.places(PointIndex(index)));
        self.parameters
            .iter()
            .map(|one| {
                let place = selected.as_ref().and_then(|places| places[one.axis]);
                self.panel(one, place)
            })
            .collect()
    }

    /// The panel of a parameter, of which the selected point has the value at `selected`.
    fn panel(&self, one: &Sensitivity, selected: Option<usize>) -> Panel {
        let ValueAxis { axis, places } = ValueAxis::new(&self.grid.arm().axes[one.axis]);
        let mut marks = Vec::new();
        if self.shows_averages() {
            let averages = one.marginal.iter().map(|average| average.stat);
            marks.push(Mark::Bars {
                points: spreads(&places, averages),
                style: Style::neutral(),
                shift: if self.best.is_some() {
                    MARGINAL_SHIFT
                } else {
                    0.0
                },
            });
        }
        if self.best.is_some() {
            marks.push(Mark::Bars {
                points: spreads(&places, one.slice.iter().copied()),
                style: self.style(),
                shift: 0.0,
            });
        }

        if let Some((place, stat)) = selected.and_then(|at| Some((places[at], one.slice[at]?))) {
            marks.push(Mark::Star {
                x: place,
                y: stat.mean,
            });
        }

        Panel {
            title: String::new(),
            x: axis,
            y: Axis {
                label: self.metric_label.clone(),
                scale: self.scale,
                ticks: None,
                reach: self.reach.clone(),
            },
            marks,
        }
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let mut legend = Vec::new();
        if self.shows_averages() {
            legend.push(LegendEntry {
                label: "averaged over the other hyper-parameters".to_owned(),
                style: Style::neutral(),
                band: false,
            });
        }

        if self.has_rest() && self.best.is_some() {
            legend.push(LegendEntry {
                label: "other hyper-parameters at the selected values".to_owned(),
                style: self.style(),
                band: false,
            });
        }
        legend
    }

    fn caption(&self) -> String {
        let seeds = count(self.data.spec.seeds.tune.len(), "tuning seed");
        let mut out = format!(
            "{} against each searched hyper-parameter of {}, from {seeds}.",
            self.metric_label, self.label
        );

        if self.shows_averages() {
            out.push_str(
                " Squares: mean over all points with that value, ± std over these points' means.",
            );
        }

        if self.best.is_some() {
            out.push_str(
                " Disks: the points that differ from the selected one in this hyper-parameter \
                 only, mean ± std over seeds. Diamond: the selected point.",
            );
            if !self.grid.is_product() {
                out.push_str(
                    " The grid does not hold every combination, so some values have no such point.",
                );
            }
        }
        if self
            .parameters
            .iter()
            .any(|one| self.grid.is_lacking(one.axis))
        {
            out.push_str(" Points without a hyper-parameter are not in its panel.");
        }

        let not_finite = self
            .parameters
            .iter()
            .map(|one| one.marginal.iter().map(|average| average.not_finite).sum())
            .max()
            .unwrap_or(0_u32);
        if not_finite > 0 {
            let points = count(not_finite, "point");
            out.push_str(&format!(" Left out: {points} whose mean is not finite."));
        }
        out
    }

    fn csv(&self) -> String {
        let mut rows = Vec::new();
        for one in &self.parameters {
            let parameter = &self.grid.arm().axes[one.axis];
            for (number, value) in parameter.values.iter().enumerate() {
                let marginal = one.marginal[number];
                let mut row = vec![parameter.name.clone(), value.to_string()];
                row.extend(stat_cells(marginal.stat.as_ref()));
                row.push(marginal.not_finite.to_string());
                row.extend(stat_cells(one.slice[number].as_ref()));
                rows.push(row);
            }
        }

        let headings = [
            "parameter",
            "value",
            "grid_mean",
            "grid_std",
            "grid_points",
            "grid_not_finite",
            "slice_mean",
            "slice_std",
            "slice_n",
        ];
        csv_text(&headings, rows)
    }
}

fn marginal_stats(one: &Sensitivity) -> impl Iterator<Item = Stat> {
    one.marginal.iter().filter_map(|average| average.stat)
}

fn slice_stats(one: &Sensitivity) -> impl Iterator<Item = Stat> {
    one.slice.iter().filter_map(|stat| *stat)
}

/// Statistics by value as spreads from left to right; values without statistics become gaps.
fn spreads(places: &[f64], stats: impl Iterator<Item = Option<Stat>>) -> Vec<Spread> {
    let mut points: Vec<Spread> = places
        .iter()
        .zip(stats)
        .map(|(place, stat)| match stat {
            Some(stat) => Spread::new(*place, stat.mean, stat.std),
            None => Spread::new(*place, f64::NAN, None),
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}
