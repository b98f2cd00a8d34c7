//! Values that are described, not listed: `linspace`, `logspace`, `range`, and W&B's `min` and `max`
//! of a grid.

use super::param::Param;
use super::reader::Reader;
use crate::spec::problem::{Finding, quoted};
use crate::spec::task::ParamType;
use crate::spec::tree::{Entry, Fields, Kind, Scalar, fields};
use crate::spec::{foreign, keys, scalar};
use pentagrid_protocol::ParamValue;

/// Maximum number of values that a description may stand for.
const MAX_VALUES: usize = 10_000;

/// Significant digits of a computed value, so that 1e-4 is 1e-4. A float has 15 to 17.
const DIGITS: usize = 12;

/// How far the end of a range may be missed, in steps, to count as reached: 0.3 is three steps of
/// 0.1, though not in floats.
const REACHED: f64 = 1e-9;

/// A number as written: whole or not.
#[derive(Clone, Copy)]
struct Number {
    value: f64,
    whole: Option<i64>,
}

/// Values that are computed, and whether they are whole numbers as far as the file says so.
struct Values {
    numbers: Vec<f64>,
    may_be_whole: bool,
}

impl Reader<'_, '_> {
    /// Reads `linspace`, `logspace` or `range`, and adds its values to the parameter.
    pub(super) fn described(&mut self, entry: &Entry, param: &mut Param) {
        let values = match &*entry.key {
            "range" => self.range(entry),
            _ => self.space(entry),
        };
        self.computed(entry, values, param);
    }

    /// Reads W&B's `min` and `max`, with `distribution` and `q`.
    pub(super) fn bounds(&mut self, fields: &Fields<'_>, param: &mut Param) {
        let distribution = fields.get("distribution").map(text);
        let entries = [fields.get("min"), fields.get("max")];
        let [Some(min), Some(max)] = entries else {
            param.broken = true;
            if let Some(only) = entries.into_iter().flatten().next() {
                let message = format!("`{}` without its other end", only.key);
                let help = "write `min: 1` and `max: 4`, or `values: [1, 2, 3, 4]`";
                self.problems.report(only.key_span, message, "alone", help);
            }
            return;
        };
        let (Some(low), Some(high)) = (self.number(min), self.number(max)) else {
            param.broken = true;
            return;
        };

        let values = match (distribution, low.whole, high.whole) {
            (None | Some("int_uniform"), Some(_), Some(_)) if fields.get("q").is_none() => {
                self.stepped(min, low, high, 1.0, true)
            }
            // As NumPy's `arange`, which W&B uses: without the end.
            (Some("q_uniform"), ..) => {
                let step = match fields.get("q") {
                    Some(entry) => self.number(entry).map(|number| number.value),
                    None => Some(1.0),
                };
                let step_is_whole = step.is_some_and(|step| step.fract() == 0.0);
                let may_be_whole = low.whole.is_some() && high.whole.is_some() && step_is_whole;
                step.and_then(|step| self.stepped(min, low, high, step, false))
                    .map(|values| Values {
                        may_be_whole,
                        ..values
                    })
            }
            _ => {
                let refused = fields.get("distribution").unwrap_or(min);
                self.report_random(refused);
                None
            }
        };
        self.computed(min, values, param);
    }

    /// Reports a key of a distribution that is no grid.
    pub(super) fn report_random(&mut self, entry: &Entry) {
        let foreign = foreign::random(&entry.key);
        self.problems
            .report(entry.key_span, foreign.message, foreign.label, foreign.help);
    }

    fn computed(&mut self, entry: &Entry, values: Option<Values>, param: &mut Param) {
        let Some(values) = values else {
            param.broken = true;
            return;
        };

        let are_whole = values.numbers.iter().all(|number| number.fract() == 0.0);
        let as_whole = match param.ty {
            Some(ParamType::Float) => false,
            Some(ParamType::Int) => are_whole,
            _ => are_whole && values.may_be_whole,
        };
        for number in values.numbers {
            if self.problems.is_full() {
                param.broken = true;
                return;
            }

            let value = if as_whole {
                ParamValue::Int(number as i64)
            } else {
                ParamValue::float(number)
            };
            let written = Scalar {
                text: value.to_string().into(),
                plain: true,
            };
            self.scalar(entry, &written, entry.at(), param);
        }
        param.find_repeats();
    }

    /// Reads `linspace` or `logspace`.
    fn space(&mut self, entry: &Entry) -> Option<Values> {
        let key = &entry.key;
        let example = format!("{key}: {{from: 1e-4, to: 1e-1, points: 4}}");
        let parts = fields(
            entry,
            &format!("`{key}`"),
            keys::SPACE,
            &example,
            self.problems,
        )?;
        let from = self.part(entry, &parts, "from", &example);
        let to = self.part(entry, &parts, "to", &example);
        let points = self.part(entry, &parts, "points", &example);
        let (from, to, points) = (from?, to?, points?);

        let Some(points) = points.whole.and_then(|points| usize::try_from(points).ok()) else {
            return self.refuse(entry, "`points` must be a whole number", &example);
        };
        if !(2..=MAX_VALUES).contains(&points) {
            let message = format!("`points` must be from 2 to {MAX_VALUES}, not {points}");
            return self.refuse(entry, &message, &example);
        }
        let is_logarithmic = &**key == "logspace";
        if is_logarithmic && (from.value <= 0.0 || to.value <= 0.0) {
            return self.refuse(entry, "`logspace` needs ends greater than 0", &example);
        }

        let last = (points - 1) as f64;
        let numbers = (0..points).map(|index| {
            let share = index as f64 / last;
            match index {
                0 => from.value,
                _ if index == points - 1 => to.value,
                _ if is_logarithmic => {
                    let low = from.value.log10();
                    rounded(10f64.powf(low + share * (to.value.log10() - low)))
                }
                _ => rounded(from.value + share * (to.value - from.value)),
            }
        });
        Some(Values {
            numbers: numbers.collect(),
            may_be_whole: from.whole.is_some() && to.whole.is_some(),
        })
    }

    /// Reads `range`.
    fn range(&mut self, entry: &Entry) -> Option<Values> {
        const EXAMPLE: &str = "range: {from: 16, to: 64, step: 16}";
        let parts = fields(entry, "`range`", keys::RANGE, EXAMPLE, self.problems)?;
        let from = self.part(entry, &parts, "from", EXAMPLE);
        let to = self.part(entry, &parts, "to", EXAMPLE);
        let step = match parts.get("step") {
            Some(step) => self.number(step),
            None => Some(Number {
                value: 1.0,
                whole: Some(1),
            }),
        };
        let (from, to, step) = (from?, to?, step?);

        let values = self.stepped(entry, from, to, step.value, true)?;
        Some(Values {
            may_be_whole: values.may_be_whole && step.whole.is_some(),
            ..values
        })
    }

    /// The values from one end in steps; `closed`: with the other end, if the steps reach it.
    fn stepped(
        &mut self,
        entry: &Entry,
        from: Number,
        to: Number,
        step: f64,
        closed: bool,
    ) -> Option<Values> {
        let steps = (to.value - from.value) / step;
        // A step of 0 gives infinity or NaN.
        if !steps.is_finite() || steps < 0.0 {
            let message = format!(
                "no value from {} leads to {} in steps of {step}",
                from.value, to.value
            );
            return self.refuse(entry, &message, "");
        }
        let count = if closed {
            (steps + REACHED).floor() + 1.0
        } else {
            (steps - REACHED).ceil()
        };
        if count > MAX_VALUES as f64 {
            let message = format!("{count} values; at most {MAX_VALUES} can be described");
            return self.refuse(entry, &message, "");
        }

        let numbers = (0..count as u32).map(|index| rounded(from.value + f64::from(index) * step));
        Some(Values {
            numbers: numbers.collect(),
            may_be_whole: from.whole.is_some() && to.whole.is_some(),
        })
    }

    fn part(
        &mut self,
        entry: &Entry,
        parts: &Fields<'_>,
        key: &str,
        example: &str,
    ) -> Option<Number> {
        if let Some(part) = parts.get(key) {
            return self.number(part);
        }
        if parts.lacks(key) && parts.clean {
            self.refuse::<()>(entry, &format!("`{}` lacks `{key}`", entry.key), example);
        }
        None
    }

    fn number(&mut self, entry: &Entry) -> Option<Number> {
        let value = match &entry.value.kind {
            Kind::Scalar(written) => scalar::value(written, None),
            _ => Err(scalar::not_a_number(entry.value.describe())),
        };
        match value {
            Ok(ParamValue::Int(whole)) => Some(Number {
                value: whole as f64,
                whole: Some(whole),
            }),
            Ok(ParamValue::Float(value)) => Some(Number { value, whole: None }),
            Ok(other) => {
                let message = format!("`{}` must be a number, not {}", entry.key, other.kind());
                self.refuse(entry, &message, "")
            }
            Err(refusal) => {
                let message = format!("{}: {}", quoted(&entry.key), refusal.message);
                self.problems
                    .add(Finding::new(entry.at(), message, refusal.label).help_opt(refusal.help));
                None
            }
        }
    }

    fn refuse<T>(&mut self, entry: &Entry, message: &str, example: &str) -> Option<T> {
        let help = if example.is_empty() {
            "list the values under `values` if they are others".to_owned()
        } else {
            format!("write for example `{example}`")
        };
        self.problems
            .report(entry.at(), message, "not possible", help);
        None
    }
}

fn text(entry: &Entry) -> &str {
    match &entry.value.kind {
        Kind::Scalar(scalar) => &scalar.text,
        _ => "",
    }
}

/// A number with as many digits as people write.
fn rounded(number: f64) -> f64 {
    format!("{number:.*e}", DIGITS - 1)
        .parse()
        .unwrap_or(number)
}
