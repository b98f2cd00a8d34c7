//! Metrics of a trial or of an epoch: named numbers that survive a round trip through JSON. Numbers
//! that are not finite are spelled out, never lost as null.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A number as the protocol and the ledger write it: a JSON number, or `"NaN"`, `"Infinity"`,
/// `"-Infinity"`.
#[derive(Clone, Copy, Debug)]
pub struct Real(pub f64);

/// Equal if the bits are equal, or both are NaN: NaN equals itself, and `0.0` differs from `-0.0`.
impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            x => serializer.serialize_f64(x),
        }
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RealVisitor;
        impl Visitor<'_> for RealVisitor {
            type Value = Real;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Real, E> {
                Ok(Real(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Real, E> {
                Ok(Real(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Real, E> {
                Ok(Real(value as f64))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Real, E> {
                match value {
                    "NaN" => Ok(Real(f64::NAN)),
                    "Infinity" => Ok(Real(f64::INFINITY)),
                    "-Infinity" => Ok(Real(f64::NEG_INFINITY)),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(RealVisitor)
    }
}

/// Named numbers, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(pub BTreeMap<String, Real>);

impl Metrics {
    /// The number of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|real| real.0)
    }

    /// Adds or replaces a number.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), Real(value));
    }

    /// Whether a trial with these metrics counts as diverged: the metric that selects, or a loss,
    /// is not finite. Any other metric may be undefined (a score without a value, a `null`) without
    /// the training having diverged.
    pub fn diverged(&self, selecting: &str) -> bool {
        self.0
            .iter()
            .any(|(name, value)| !value.0.is_finite() && (name == selecting || is_loss(name)))
    }

    /// The metrics without wall-clock times: those that must be identical when a trial is run
    /// again.
    pub fn without_wall_clock(&self) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(name, _)| !is_wall_clock(name))
                .map(|(name, value)| (name.clone(), *value))
                .collect(),
        )
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), Real(value)))
                .collect(),
        )
    }
}

/// Whether a metric is a loss, by its name: `loss`, `val_loss`, `train/loss`, `lossD`.
pub fn is_loss(name: &str) -> bool {
    name.to_ascii_lowercase().contains("loss")
}

/// Whether a metric measures wall-clock time, by its name: `seconds` or `..._seconds`, and the
/// names of other loggers (`_runtime` and `_timestamp` of W&B, `train_runtime` and
/// `eval_samples_per_second` of Hugging Face). Such metrics differ from run to run and are left out
/// where runs are compared bit for bit.
pub fn is_wall_clock(name: &str) -> bool {
    name.ends_with("_per_second")
        || ["seconds", "runtime", "timestamp"]
            .iter()
            .any(|word| ends_with_word(name, word))
}

/// Whether a name is a word, or ends with it after an underscore.
fn ends_with_word(name: &str, word: &str) -> bool {
    name.strip_suffix(word)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn non_finite_numbers_are_spelled_out() {
        let metrics: Metrics = [
            ("a", f64::NAN),
            ("b", f64::INFINITY),
            ("c", f64::NEG_INFINITY),
            ("d", 0.1),
        ]
        .into_iter()
        .collect();
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(
            text,
            r#"{"a":"NaN","b":"Infinity","c":"-Infinity","d":0.1}"#
        );
        assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
    }

    #[test]
    fn a_trial_diverges_by_its_losses_and_by_what_selects() {
        let diverged = |name: &str, value: f64| {
            Metrics::from_iter([("acc", 0.5), (name, value)]).diverged("acc")
        };
        assert!(
            diverged("acc", f64::INFINITY)
                && diverged("val_loss", f64::NAN)
                && diverged("train/Loss", f64::NEG_INFINITY)
        );
        assert!(!diverged("auc", f64::NAN) && !diverged("loss", 1.0));
    }

    #[test]
    fn null_is_not_a_number() {
        let error = serde_json::from_str::<Metrics>(r#"{"a":null}"#).unwrap_err();
        assert!(error.to_string().contains("expected a number"), "{error}");
    }

    #[test]
    fn wall_clock_metrics_are_known_by_name() {
        assert!(is_wall_clock("seconds") && is_wall_clock("training_seconds"));
        assert!(
            [
                "_runtime",
                "_timestamp",
                "train_runtime",
                "eval_samples_per_second"
            ]
            .into_iter()
            .all(is_wall_clock)
        );
        assert!(
            !["val_loss", "milliseconds", "runtime_error", "per_second"]
                .into_iter()
                .any(is_wall_clock)
        );
    }

    proptest! {
        #[test]
        fn every_float_survives_the_round_trip_bit_for_bit(bits: u64) {
            let value = Real(f64::from_bits(bits));
            let back: Real = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
            prop_assert_eq!(value, back);
        }
    }
}
