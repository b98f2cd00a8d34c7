//! Ids of points and trials: short, typed by hand, and a function of the configuration and the seed
//! alone.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::spec::Config;

/// Digits of a point's id: Crockford's base 32 without the letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Length of a point's id in digits of five bits each.
const DIGITS: u32 = 10;

/// The value of each byte as a digit.
const DIGIT_OF: [Option<u8>; 256] = {
    let mut digits = [None; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = Some(digit as u8);
        digit += 1;
    }
    digits
};

/// A point's id: the first 50 bits of the BLAKE3 hash of its canonical configuration.
///
/// The probability that two of the paper's 15,905 points share an id is one in nine million; the
/// ledger would refuse the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(u64);

/// A trial's id: its point and its seed, written `k7m2p9x4qa-3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrialId {
    /// The point.
    pub point: PointId,
    /// The seed.
    pub seed: u64,
}

/// Hashes one word instead of two, which makes a table of 100,000 trials faster: a point's 50 bits
/// leave room for the seeds in use.
impl std::hash::Hash for TrialId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.point.0 ^ self.seed.rotate_right(14));
    }
}

/// The error for text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a trial id such as k7m2p9x4qa-3")]
pub struct IdError(String);

impl PointId {
    /// Computes the id of a configuration.
    pub fn of(config: &Config) -> Self {
        Self::of_canonical(&config.canonical())
    }

    /// Computes the id of a configuration that is already in canonical form.
    pub fn of_canonical(canonical: &str) -> Self {
        let hash = blake3::hash(canonical.as_bytes());
        let mut first = [0_u8; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(first) >> (64 - 5 * DIGITS))
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; DIGITS as usize];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            *digit = ALPHABET[(self.0 >> (5 * place)) as usize & 31];
        }
        f.pad(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PointId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_point(text).ok_or_else(|| IdError(text.to_owned()))
    }
}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.width().or(f.precision()) {
            None => write!(f, "{}-{}", self.point, self.seed),
            Some(_) => f.pad(&format!("{}-{}", self.point, self.seed)),
        }
    }
}

impl fmt::Debug for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TrialId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_trial(text).ok_or_else(|| IdError(text.to_owned()))
    }
}

fn parse_point(text: &str) -> Option<PointId> {
    if text.len() != DIGITS as usize {
        return None;
    }

    let mut bits = 0_u64;
    for byte in text.bytes() {
        let digit = DIGIT_OF[usize::from(byte)]?;
        bits = bits << 5 | u64::from(digit);
    }
    Some(PointId(bits))
}

fn parse_trial(text: &str) -> Option<TrialId> {
    let (point, seed) = text.split_once('-')?;

    // `u64::from_str` accepts a leading plus and leading zeros, but an id has only one spelling.
    let is_canonical = seed == "0" || seed.starts_with(|first: char| matches!(first, '1'..='9'));
    if !is_canonical {
        return None;
    }

    Some(TrialId {
        point: parse_point(point)?,
        seed: seed.parse().ok()?,
    })
}

/// As text, as in the worker protocol and in JSON.
impl Serialize for TrialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TrialId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ParamValue;
    use proptest::prelude::*;

    fn config(pairs: &[(&str, ParamValue)]) -> Config {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn a_trial_id_is_text_in_json() {
        let id: TrialId = "k7m2p9x4qa-3".parse().unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""k7m2p9x4qa-3""#);
        assert_eq!(serde_json::from_str::<TrialId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<TrialId>(r#""k7m2p9x4qa-03""#).is_err());
    }

    #[test]
    fn an_id_never_changes() {
        // Ledgers in the field hold these ids: this test may only change with a new ledger version.
        let point = PointId::of(&config(&[
            ("optimizer", ParamValue::Text("sgd".into())),
            ("lr", ParamValue::Float(1e-4)),
            ("epochs", ParamValue::Int(15)),
        ]));
        insta::assert_snapshot!(TrialId { point, seed: 1003 }, @"wdbpe1t97w-1003");
    }

    #[test]
    fn integers_and_floats_are_different_points() {
        assert_ne!(
            PointId::of(&config(&[("x", ParamValue::Int(3))])),
            PointId::of(&config(&[("x", ParamValue::Float(3.0))]))
        );
        assert_eq!(
            PointId::of(&config(&[("x", ParamValue::float(-0.0))])),
            PointId::of(&config(&[("x", ParamValue::Float(0.0))]))
        );
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "k7m2p9x4qa",
            "k7m2p9x4qa-",
            "k7m2p9x4qa-+3",
            "k7m2p9x4qa-03",
            "k7m2p9x4q-3",
            "K7M2P9X4QA-3",
            "k7m2p9x4ql-3",
        ] {
            assert_eq!(
                text.parse::<TrialId>(),
                Err(IdError(text.to_owned())),
                "{text}"
            );
        }
    }

    fn any_value() -> impl Strategy<Value = ParamValue> {
        prop_oneof![
            any::<bool>().prop_map(ParamValue::Bool),
            any::<i64>().prop_map(ParamValue::Int),
            any::<f64>()
                .prop_filter("finite", |x| x.is_finite())
                .prop_map(ParamValue::float),
            ".*".prop_map(ParamValue::Text),
        ]
    }

    proptest! {
        #[test]
        fn ids_survive_being_written_and_read(bits in 0_u64..1 << 50, seed: u64) {
            let id = TrialId { point: PointId(bits), seed };
            prop_assert_eq!(id.to_string().parse::<TrialId>().unwrap(), id);
        }

        #[test]
        fn the_order_of_parameters_does_not_matter(pairs in prop::collection::vec(("[a-z]{1,6}", any_value()), 0..6)) {
            let forward: Config = pairs.iter().cloned().collect();
            let names: std::collections::BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
            prop_assume!(names.len() == pairs.len());
            let backward: Config = pairs.iter().rev().cloned().collect();
            prop_assert_eq!(PointId::of(&forward), PointId::of(&backward));
        }

        #[test]
        fn the_canonical_form_is_json_that_means_the_same(pairs in prop::collection::btree_map("[a-z.]{1,6}", any_value(), 0..6)) {
            let config = Config(pairs);
            let back: Config = serde_json::from_str(&config.canonical()).unwrap();
            prop_assert_eq!(back.canonical(), config.canonical());
            prop_assert_eq!(back, config);
        }
    }
}
