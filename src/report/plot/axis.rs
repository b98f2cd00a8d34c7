//! An axis that has a place in the picture: where a value is, and which ticks there is room for.

use super::canvas::{Align, Canvas, Font, line, xy};
use super::model::{Axis, Mark, Scale, Spread};
use super::style::{GRID, INK};
use super::text::{fit, width};
use super::ticks::{Ticks, range, ticks, widen};

/// Font size of the names of ticks.
pub(super) const TICK_SIZE: u32 = 19;
/// Font size of labels and titles.
pub(super) const LABEL_SIZE: u32 = 21;
/// Maximum width of the name of a tick.
const MAX_NAME_WIDTH: f64 = 210.0;
/// Minimum distance between the names of neighbouring ticks.
const NAME_GAP: f64 = 10.0;
/// Turn of slanted names, in degrees.
const SLANT: f64 = -35.0;
/// Part by which an axis is widened for bars, which are shifted sideways and must not touch the
/// frame.
const ROOM_FOR_BARS: f64 = 0.03;
/// Length of an axis for each tick that it should have.
const TICK_DISTANCE: f64 = 62.0;
const VERTICAL_TICK_DISTANCE: f64 = 52.0;
const BAR_TICK_DISTANCE: f64 = 46.0;

/// An axis with its range, place and ticks.
#[derive(Debug)]
pub(super) struct PlacedAxis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Where it begins in the picture.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    ticks: Ticks,
    /// Whether the names of ticks are slanted, because they do not fit side by side.
    slanted: bool,
}

/// The values of marks along one direction, with the ends of their spreads.
pub(super) fn extent(marks: &[Mark], vertical: bool, scale: Scale) -> Vec<f64> {
    let mut out = Vec::new();
    for mark in marks {
        match mark {
            Mark::Curve { points, .. } | Mark::Bars { points, .. } if vertical => {
                out.extend(points.iter().flat_map(|point| ends(point, scale)));
            }
            Mark::Curve { points, .. } | Mark::Bars { points, .. } => {
                out.extend(points.iter().map(|point| point.x));
            }
            Mark::Cloud { values, .. } if vertical => out.extend(values),
            Mark::Star { y, .. } if vertical => out.push(*y),
            Mark::Cells { rows, .. } => {
                let slots = if vertical {
                    rows.len()
                } else {
                    rows.first().map_or(1, Vec::len)
                };
                out.extend([0.0, slots.saturating_sub(1) as f64]);
            }
            Mark::Cloud { x, .. } | Mark::Star { x, .. } => out.push(*x),
        }
    }
    out
}

/// The mean and the ends of a spread; nothing if the mean is not finite.
fn ends(point: &Spread, scale: Scale) -> Vec<f64> {
    if !point.mean.is_finite() {
        return Vec::new();
    }
    let low = match scale {
        // A band that reaches down to zero must not stretch a log axis endlessly.
        Scale::Log => point.low.max(point.mean / 4.0),
        _ => point.low,
    };
    vec![point.mean, point.high, low]
}

impl PlacedAxis {
    /// Finds range and ticks of an axis of that length.
    pub(crate) fn new(axis: &Axis, marks: &[Mark], vertical: bool, length: f64) -> Self {
        let mut values = extent(marks, vertical, axis.scale);
        values.extend(axis.ticks.iter().flatten().map(|(value, _)| *value));
        values.extend(&axis.reach);
        let (mut low, mut high) = range(axis.scale, values.into_iter());
        if !vertical && axis.ticks.is_some() && axis.scale != Scale::Slots {
            (low, high) = widen(axis.scale, low, high, ROOM_FOR_BARS);
        }

        let distance = if vertical {
            VERTICAL_TICK_DISTANCE
        } else {
            TICK_DISTANCE
        };
        let ticks = match &axis.ticks {
            Some(named) => named_ticks(named),
            None => ticks(axis.scale, low, high, (length / distance) as usize),
        };

        let mut placed = Self {
            scale: axis.scale,
            low,
            high,
            from: 0.0,
            to: length,
            ticks,
            slanted: false,
        };

        // Slanted names need room only for their height.
        let size = f64::from(TICK_SIZE);
        if vertical {
            placed.thin_out(|_| size);
        } else if axis.ticks.is_some() && placed.is_crowded() {
            placed.slanted = true;
            placed.thin_out(|_| size / SLANT.to_radians().sin().abs());
        } else {
            placed.thin_out(|name| width(name, size) + NAME_GAP);
        }
        placed
    }

    /// A vertical axis of exactly that range, for a colour bar.
    pub(crate) fn exact(axis: &Axis, low: f64, high: f64, length: f64) -> Self {
        Self {
            scale: axis.scale,
            low,
            high,
            from: 0.0,
            to: length,
            ticks: ticks(axis.scale, low, high, (length / BAR_TICK_DISTANCE) as usize),
            slanted: false,
        }
    }

    /// Moves the axis to another place in the picture.
    pub(crate) fn move_to(&mut self, from: f64, to: f64) {
        self.from = from;
        self.to = to;
    }

    /// Whether names of ticks would touch each other.
    fn is_crowded(&self) -> bool {
        let size = f64::from(TICK_SIZE);
        self.ticks.named.windows(2).any(|pair| {
            let distance = (self.place(pair[1].0) - self.place(pair[0].0)).abs();
            (width(&pair[0].1, size) + width(&pair[1].1, size)) / 2.0 + NAME_GAP > distance
        })
    }

    /// Removes the names of ticks that would overlap the name before them. `room` is the room that
    /// a name needs along the axis.
    fn thin_out(&mut self, room: impl Fn(&str) -> f64) {
        let mut kept: Vec<(f64, String)> = Vec::new();
        for (value, name) in std::mem::take(&mut self.ticks.named) {
            let overlaps = kept.last().is_some_and(|(other, before)| {
                let distance = (self.place(value) - self.place(*other)).abs();
                distance < (room(&name) + room(before)) / 2.0
            });
            if overlaps {
                self.ticks.minor.push(value);
            } else {
                kept.push((value, name));
            }
        }
        self.ticks.named = kept;
    }

    /// Where a value is; NaN if it is outside the range.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let slack = 1e-9 * (self.high - self.low);
        if value >= self.low - slack && value <= self.high + slack {
            self.beyond(value)
        } else {
            f64::NAN
        }
    }

    /// Where a value would be on an axis without ends.
    pub(crate) fn beyond(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            _ => (value - self.low) / (self.high - self.low),
        };
        self.from + part * (self.to - self.from)
    }

    /// Where a value is, moved to the end of the axis if it is outside the range: for ends of bands
    /// and bars.
    pub(crate) fn place_within(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log && value <= 0.0 {
            self.low
        } else {
            value
        };
        self.beyond(value)
            .clamp(self.from.min(self.to), self.from.max(self.to))
    }

    /// The value at a part of the way along the axis.
    pub(crate) fn value(&self, part: f64) -> f64 {
        self.low + part * (self.high - self.low)
    }

    /// The room that the names of ticks need: to the left of a vertical axis, or below a horizontal
    /// one.
    pub(crate) fn depth(&self, vertical: bool) -> f64 {
        let size = f64::from(TICK_SIZE);
        let widest = self
            .ticks
            .named
            .iter()
            .map(|(_, name)| width(name, size))
            .fold(0.0, f64::max);
        if vertical {
            widest
        } else if self.slanted {
            widest * SLANT.to_radians().sin().abs() + size
        } else {
            size
        }
    }

    /// How far the names of ticks reach beyond the left end of the axis.
    pub(crate) fn overhang(&self) -> f64 {
        self.ticks
            .named
            .iter()
            .map(|(value, name)| {
                let width = width(name, f64::from(TICK_SIZE));
                let left = if self.slanted {
                    width * SLANT.to_radians().cos()
                } else {
                    width / 2.0
                };
                left - (self.place(*value) - self.from)
            })
            .fold(0.0, f64::max)
    }

    /// How far the names of ticks reach beyond the right end of the axis.
    pub(crate) fn overhang_right(&self) -> f64 {
        self.ticks
            .named
            .iter()
            .map(|(value, name)| {
                let right = if self.slanted {
                    8.0
                } else {
                    width(name, f64::from(TICK_SIZE)) / 2.0
                };
                right - (self.to - self.place(*value))
            })
            .fold(0.0, f64::max)
    }

    /// Draws the axis along the bottom, at the height `at`; grid lines go up to `top`.
    pub(crate) fn draw_horizontal(&self, canvas: &mut Canvas, at: f64, top: f64, label: &str) {
        for value in &self.ticks.minor {
            let x = self.place(*value);
            canvas.line(xy(x, at), xy(x, at + 4.0), line(INK, 1.2));
        }
        for (value, name) in &self.ticks.named {
            let x = self.place(*value);
            if self.scale != Scale::Slots {
                canvas.line(xy(x, top), xy(x, at), line(GRID, 1.0));
            }
            canvas.line(xy(x, at), xy(x, at + 7.0), line(INK, 1.5));

            if self.slanted {
                let font = Font::new(TICK_SIZE, Align::End).turned(SLANT);
                canvas.text(xy(x + 6.0, at + 23.0), name, font);
            } else {
                let place = xy(x, at + 9.0 + f64::from(TICK_SIZE));
                canvas.text(place, name, Font::new(TICK_SIZE, Align::Middle));
            }
        }

        if label.is_empty() {
            return;
        }
        let size = f64::from(LABEL_SIZE);
        let label = fit(label, size, self.to - self.from + 100.0);
        let below = at + 9.0 + self.depth(false) + 7.0 + size;
        let middle = (self.from + self.to) / 2.0;
        let font = Font::new(LABEL_SIZE, Align::Middle);
        canvas.text(xy(middle, below), &label, font);
    }

    /// Draws the axis along the left, at the place `at`; grid lines go as far as `right`, and the
    /// label is to the left of names that need the room `depth`.
    pub(crate) fn draw_vertical(
        &self,
        canvas: &mut Canvas,
        at: f64,
        right: f64,
        label: &str,
        depth: f64,
    ) {
        for value in &self.ticks.minor {
            let y = self.place(*value);
            canvas.line(xy(at - 4.0, y), xy(at, y), line(INK, 1.2));
        }
        for (value, name) in &self.ticks.named {
            let y = self.place(*value);
            if self.scale != Scale::Slots {
                canvas.line(xy(at, y), xy(right, y), line(GRID, 1.0));
            }
            canvas.line(xy(at - 7.0, y), xy(at, y), line(INK, 1.5));
            let place = xy(at - 11.0, y + 0.36 * f64::from(TICK_SIZE));
            canvas.text(place, name, Font::new(TICK_SIZE, Align::End));
        }

        // From right to left: tick, names of ticks, label.
        let label = fit(label, f64::from(LABEL_SIZE), self.from - self.to + 40.0);
        let left = at - 11.0 - depth - 12.0;
        let middle = (self.from + self.to) / 2.0;
        let font = Font::new(LABEL_SIZE, Align::Middle).turned(-90.0);
        canvas.text(xy(left, middle), &label, font);
    }

    /// Draws the ticks along the right, for a colour bar.
    pub(crate) fn draw_names(&self, canvas: &mut Canvas, at: f64, size: u32) {
        for (value, name) in &self.ticks.named {
            let y = self.place(*value);
            canvas.line(xy(at, y), xy(at + 5.0, y), line(INK, 1.2));
            let place = xy(at + 9.0, y + 0.36 * f64::from(size));
            canvas.text(place, name, Font::new(size, Align::Start));
        }
    }
}

fn named_ticks(named: &[(f64, String)]) -> Ticks {
    Ticks {
        named: named
            .iter()
            .map(|(value, name)| (*value, fit(name, f64::from(TICK_SIZE), MAX_NAME_WIDTH)))
            .collect(),
        minor: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::Style;
    use super::*;

    fn placed(scale: Scale, points: &[(f64, f64)]) -> PlacedAxis {
        let points = points
            .iter()
            .zip(1..)
            .map(|((mean, std), x)| Spread::new(f64::from(x), *mean, Some(*std)))
            .collect();
        let axis = Axis {
            label: String::new(),
            scale,
            ticks: None,
            reach: Vec::new(),
        };
        PlacedAxis::new(
            &axis,
            &[Mark::Curve {
                points,
                style: Style::of_arm(0),
            }],
            true,
            300.0,
        )
    }

    #[test]
    fn a_band_on_a_log_axis_is_placed_by_its_logarithm() {
        let axis = placed(Scale::Log, &[(1.0, 0.0), (10.0, 5.0), (1000.0, 0.0)]);
        let [one, ten, hundred] = [1.0, 10.0, 100.0].map(|value| axis.place_within(value));
        assert!(
            (ten - one - (hundred - ten)).abs() < 1e-9,
            "a factor of ten has the same length everywhere"
        );
        let (low, mean, high) = (
            axis.place_within(5.0),
            axis.place_within(10.0),
            axis.place_within(15.0),
        );
        assert!(
            mean - low > high - mean,
            "a deviation reaches further down than up"
        );
    }

    #[test]
    fn a_band_that_reaches_below_zero_ends_at_the_end_of_the_log_axis() {
        for std in [2.0, 3.0, 1e6] {
            let axis = placed(Scale::Log, &[(2.0, std), (2000.0, 0.0)]);
            assert!(
                axis.low > 2.0 / 16.0 && axis.low <= 2.0 / 4.0,
                "the band must not stretch it: {}",
                axis.low
            );
            let below = axis.place_within(2.0 - std);
            assert_eq!(below, axis.from);
            assert!(axis.place(2.0).is_finite() && axis.place(2.0) > below);
            assert!(axis.place_within(2.0 + std).is_finite());
        }
        // Values that are not positive have no place on a log axis; on a linear one they have, and
        // so has the whole band.
        assert!(
            placed(Scale::Log, &[(2.0, 0.0), (2000.0, 0.0)])
                .place(-1.0)
                .is_nan()
        );
        let even = placed(Scale::Linear, &[(2.0, 3.0), (4.0, 0.0)]);
        assert!(even.place(-1.0) >= even.from && even.place(-1.0) < even.place(2.0));
    }
}
