//! An axis that has found its place: where a value stands in the picture, and which ticks there is
//! room for.

use super::canvas::{Align, Canvas};
use super::model::{Axis, Mark, Scale};
use super::style::{GRID, INK};
use super::text::{fit, width};
use super::ticks::{Ticks, range, ticks, widen};

/// Size of the names of ticks.
pub(super) const TICK: u32 = 19;
/// Size of labels and titles.
pub(super) const LABEL: u32 = 21;
/// The longest name that a tick may have.
const WIDEST: f64 = 210.0;
const TURN: f64 = -35.0;

/// An axis with range and ticks.
#[derive(Debug)]
pub(super) struct Placed {
    scale: Scale,
    low: f64,
    high: f64,
    /// Where it begins and ends in the picture.
    pub from: f64,
    pub to: f64,
    ticks: Ticks,
    /// Names of ticks lie aslant, since they would not fit side by side.
    aslant: bool,
}

/// The values of marks along one direction, with the ends of their spreads.
pub(super) fn extent(marks: &[Mark], vertical: bool, scale: Scale) -> Vec<f64> {
    let mut out = Vec::new();
    for mark in marks {
        match mark {
            Mark::Curve { points, .. } | Mark::Bars { points, .. } if vertical => {
                for point in points.iter().filter(|point| point.mean.is_finite()) {
                    out.extend([point.mean, point.high]);
                    // On a log axis a band that reaches down to nothing must not stretch it without
                    // end.
                    out.push(if scale == Scale::Log {
                        point.low.max(point.mean / 4.0)
                    } else {
                        point.low
                    });
                }
            }
            Mark::Curve { points, .. } | Mark::Bars { points, .. } => {
                out.extend(points.iter().map(|point| point.x))
            }
            Mark::Cloud { values, .. } if vertical => out.extend(values),
            Mark::Star { y, .. } if vertical => out.push(*y),
            Mark::Cells { rows, .. } if vertical => {
                out.extend([0.0, rows.len().saturating_sub(1) as f64])
            }
            Mark::Cells { rows, .. } => out.extend([
                0.0,
                rows.first().map_or(1, Vec::len).saturating_sub(1) as f64,
            ]),
            Mark::Cloud { x, .. } | Mark::Star { x, .. } => out.push(*x),
        }
    }
    out
}

impl Placed {
    /// Range and ticks of an axis of that length.
    pub fn new(axis: &Axis, marks: &[Mark], vertical: bool, length: f64) -> Self {
        let given = axis
            .ticks
            .iter()
            .flatten()
            .map(|(place, _)| *place)
            .chain(axis.reach.iter().copied());
        let (mut low, mut high) = range(
            axis.scale,
            extent(marks, vertical, axis.scale).into_iter().chain(given),
        );
        if !vertical && axis.ticks.is_some() && axis.scale != Scale::Slots {
            // Bars are moved sideways, and must not touch the frame.
            (low, high) = widen(axis.scale, low, high, 0.03);
        }
        let mut placed = Self {
            scale: axis.scale,
            low,
            high,
            from: 0.0,
            to: length,
            ticks: Ticks::default(),
            aslant: false,
        };
        placed.ticks = match &axis.ticks {
            Some(named) => {
                let named = named
                    .iter()
                    .map(|(place, name)| (*place, fit(name, f64::from(TICK), WIDEST)))
                    .collect();
                Ticks {
                    named,
                    minor: Vec::new(),
                }
            }
            None => ticks(
                axis.scale,
                low,
                high,
                (length / if vertical { 52.0 } else { 62.0 }) as usize,
            ),
        };
        if vertical {
            placed.thin_out(|_| f64::from(TICK));
        } else if axis.ticks.is_some() && placed.crowded() {
            placed.aslant = true;
            placed.thin_out(|_| f64::from(TICK) / TURN.to_radians().sin().abs());
        } else {
            placed.thin_out(|name| width(name, f64::from(TICK)) + 10.0);
        }
        placed
    }

    /// A vertical axis of exactly that range, for a colour bar.
    pub fn exact(axis: &Axis, (low, high): (f64, f64), length: f64) -> Self {
        let ticks = ticks(axis.scale, low, high, (length / 46.0) as usize);
        Self {
            scale: axis.scale,
            low,
            high,
            from: 0.0,
            to: length,
            ticks,
            aslant: false,
        }
    }

    /// Whether names of ticks would touch each other.
    fn crowded(&self) -> bool {
        let size = f64::from(TICK);
        self.ticks.named.windows(2).any(|pair| {
            let room = (self.place(pair[1].0) - self.place(pair[0].0)).abs();
            (width(&pair[0].1, size) + width(&pair[1].1, size)) / 2.0 + 10.0 > room
        })
    }

    /// Takes names from ticks that would stand in another's.
    fn thin_out(&mut self, room: impl Fn(&str) -> f64) {
        let mut kept: Vec<(f64, String)> = Vec::new();
        for (place, name) in std::mem::take(&mut self.ticks.named) {
            let touches = kept.last().is_some_and(|(other, before)| {
                (self.place(place) - self.place(*other)).abs() < (room(&name) + room(before)) / 2.0
            });
            if touches {
                self.ticks.minor.push(place);
            } else {
                kept.push((place, name));
            }
        }
        self.ticks.named = kept;
    }

    /// Where a value stands; not finite where it has no place on the axis.
    pub fn place(&self, value: f64) -> f64 {
        let slack = 1e-9 * (self.high - self.low);
        if value >= self.low - slack && value <= self.high + slack {
            self.beyond(value)
        } else {
            f64::NAN
        }
    }

    /// Where a value would stand, if the axis went on.
    pub fn beyond(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            _ => (value - self.low) / (self.high - self.low),
        };
        self.from + part * (self.to - self.from)
    }

    /// The same, within the axis: for ends of bands and bars that go beyond it.
    pub fn place_within(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log && value <= 0.0 {
            self.low
        } else {
            value
        };
        self.beyond(value)
            .clamp(self.from.min(self.to), self.from.max(self.to))
    }

    /// How much room the names of ticks take: to the left of a vertical axis, or below a horizontal
    /// one.
    pub fn depth(&self, vertical: bool) -> f64 {
        let widest = self
            .ticks
            .named
            .iter()
            .map(|(_, name)| width(name, f64::from(TICK)))
            .fold(0.0, f64::max);
        match (vertical, self.aslant) {
            (true, _) => widest,
            (false, false) => f64::from(TICK),
            (false, true) => widest * TURN.to_radians().sin().abs() + f64::from(TICK),
        }
    }

    /// How far names of ticks aslant reach to the left of the axis.
    pub fn overhang(&self) -> f64 {
        let reach = |(place, name): &(f64, String)| {
            let width = width(name, f64::from(TICK));
            let left = if self.aslant {
                width * TURN.to_radians().cos()
            } else {
                width / 2.0
            };
            left - (self.place(*place) - self.from)
        };
        self.ticks.named.iter().map(reach).fold(0.0, f64::max)
    }

    /// How far the names of ticks reach to the right of the axis.
    pub fn overhang_right(&self) -> f64 {
        let half = |name: &str| {
            if self.aslant {
                8.0
            } else {
                width(name, f64::from(TICK)) / 2.0
            }
        };
        self.ticks
            .named
            .iter()
            .map(|(place, name)| half(name) - (self.to - self.place(*place)))
            .fold(0.0, f64::max)
    }

    /// Draws it along the bottom, from `from` to `to` at the height `at`; grid lines go up to
    /// `top`.
    pub fn draw_horizontal(&self, canvas: &mut Canvas, at: f64, top: f64, label: &str) {
        for place in self.ticks.minor.iter().map(|value| self.place(*value)) {
            canvas.line((place, at), (place, at + 4.0), INK, 1.2);
        }
        for (value, name) in &self.ticks.named {
            let place = self.place(*value);
            if self.scale != Scale::Slots {
                canvas.line((place, top), (place, at), GRID, 1.0);
            }
            canvas.line((place, at), (place, at + 7.0), INK, 1.5);
            match self.aslant {
                true => canvas.text(
                    (place + 6.0, at + 23.0),
                    name,
                    TICK,
                    Align::End,
                    Some(TURN),
                    INK,
                ),
                false => canvas.text(
                    (place, at + 9.0 + f64::from(TICK)),
                    name,
                    TICK,
                    Align::Middle,
                    None,
                    INK,
                ),
            }
        }
        if label.is_empty() {
            return;
        }
        let label = fit(label, f64::from(LABEL), self.to - self.from + 100.0);
        let below = at + 9.0 + self.depth(false) + 7.0 + f64::from(LABEL);
        canvas.text(
            ((self.from + self.to) / 2.0, below),
            &label,
            LABEL,
            Align::Middle,
            None,
            INK,
        );
    }

    /// Draws it along the left, from `from` (below) to `to` at the place `at`; grid lines go as far
    /// as `right`.
    pub fn draw_vertical(&self, canvas: &mut Canvas, at: f64, right: f64, label: &str, depth: f64) {
        for place in self.ticks.minor.iter().map(|value| self.place(*value)) {
            canvas.line((at - 4.0, place), (at, place), INK, 1.2);
        }
        for (value, name) in &self.ticks.named {
            let place = self.place(*value);
            if self.scale != Scale::Slots {
                canvas.line((at, place), (right, place), GRID, 1.0);
            }
            canvas.line((at - 7.0, place), (at, place), INK, 1.5);
            canvas.text(
                (at - 11.0, place + 0.36 * f64::from(TICK)),
                name,
                TICK,
                Align::End,
                None,
                INK,
            );
        }
        let label = fit(label, f64::from(LABEL), self.from - self.to + 40.0);
        let left = at - 11.0 - depth - 12.0;
        canvas.text(
            (left, (self.from + self.to) / 2.0),
            &label,
            LABEL,
            Align::Middle,
            Some(-90.0),
            INK,
        );
    }
    /// The value that stands at a part of the way along it.
    pub fn value(&self, part: f64) -> f64 {
        self.low + part * (self.high - self.low)
    }

    /// Draws its ticks along the right, for a colour bar.
    pub fn draw_names(&self, canvas: &mut Canvas, at: f64, size: u32) {
        for (value, name) in &self.ticks.named {
            let place = self.place(*value);
            canvas.line((at, place), (at + 5.0, place), INK, 1.2);
            canvas.text(
                (at + 9.0, place + 0.36 * f64::from(size)),
                name,
                size,
                Align::Start,
                None,
                INK,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Spread;
    use super::super::style::Style;
    use super::*;

    fn placed(scale: Scale, points: &[(f64, f64)]) -> Placed {
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
        Placed::new(
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
    fn a_band_on_a_log_axis_stands_by_its_logarithm() {
        let axis = placed(Scale::Log, &[(1.0, 0.0), (10.0, 5.0), (1000.0, 0.0)]);
        let [one, ten, hundred] = [1.0, 10.0, 100.0].map(|value| axis.place_within(value));
        assert!(
            (ten - one - (hundred - ten)).abs() < 1e-9,
            "a factor of ten is everywhere as long"
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
    fn a_band_that_reaches_below_nothing_ends_where_the_log_axis_does() {
        for std in [2.0, 3.0, 1e6] {
            let axis = placed(Scale::Log, &[(2.0, std), (2000.0, 0.0)]);
            assert!(
                axis.low > 2.0 / 16.0 && axis.low <= 2.0 / 4.0,
                "it is not stretched for the band's sake: {}",
                axis.low
            );
            let below = axis.place_within(2.0 - std);
            assert_eq!(below, axis.from);
            assert!(axis.place(2.0).is_finite() && axis.place(2.0) > below);
            assert!(axis.place_within(2.0 + std).is_finite());
        }
        // What is not positive has no place of its own there; on an even axis it has, and so has
        // the whole band.
        assert!(
            placed(Scale::Log, &[(2.0, 0.0), (2000.0, 0.0)])
                .place(-1.0)
                .is_nan()
        );
        let even = placed(Scale::Linear, &[(2.0, 3.0), (4.0, 0.0)]);
        assert!(even.place(-1.0) >= even.from && even.place(-1.0) < even.place(2.0));
    }
}
