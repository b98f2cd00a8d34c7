//! The position of a row of history in a training: after an epoch, whole or fractional, or after a
//! step.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reported::Reading;

/// Keys for the step of a row: our own, Hugging Face's and Lightning's, W&B's. The first one that a
/// row has counts.
pub const STEP_KEYS: [&str; 3] = ["step", "global_step", "_step"];

/// The key for the epoch of a row.
pub const EPOCH_KEY: &str = "epoch";

/// What a position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Passes over the training data.
    Epoch,
    /// Optimizer steps, or any other count that the program keeps.
    Step,
}

impl Unit {
    /// The name in messages, in the ledger and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoch => EPOCH_KEY,
            Self::Step => STEP_KEYS[0],
        }
    }

    /// The unit of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Epoch, Self::Step]
            .into_iter()
            .find(|unit| unit.name() == name)
    }

    /// The name as the label of an axis.
    pub fn title(self) -> &'static str {
        match self {
            Self::Epoch => "Epoch",
            Self::Step => "Step",
        }
    }
}

/// A finite number that is written as an integer where it is whole.
#[derive(Clone, Copy, Debug)]
pub struct Place(f64);

impl Place {
    /// 2^53: from here on floats cannot represent every whole number, and are written as floats.
    const WHOLE: f64 = 9_007_199_254_740_992.0;

    /// The number, if it is finite.
    pub fn new(number: f64) -> Option<Self> {
        // Adding zero makes 0.0 of -0.0: the two are one place.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number, if it is whole and not too large to be exact.
    pub fn whole(self) -> Option<i64> {
        (self.0.fract() == 0.0 && self.0.abs() < Self::WHOLE).then_some(self.0 as i64)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => fmt::Display::fmt(&whole, f),
            // Shortest round trip, with an exponent where that is shorter.
            None => f.pad(&format!("{:?}", self.0)),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_i64(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}

/// The position of a row of history. Epochs are ordered before steps, and each by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// What is counted.
    pub unit: Unit,
    /// The count.
    pub place: Place,
}

impl Position {
    /// The position of that number; `None` if the number is not finite.
    pub fn new(unit: Unit, number: f64) -> Option<Self> {
        Some(Self {
            unit,
            place: Place::new(number)?,
        })
    }

    /// The end of that epoch.
    pub fn epoch(number: u32) -> Self {
        Self {
            unit: Unit::Epoch,
            place: Place(f64::from(number)),
        }
    }

    /// The end of that step.
    pub fn step(number: u32) -> Self {
        Self {
            unit: Unit::Step,
            place: Place(f64::from(number)),
        }
    }

    /// The number, for arithmetic.
    pub fn number(self) -> f64 {
        self.place.get()
    }

    /// The count, if it is one of that unit.
    pub fn of(self, unit: Unit) -> Option<Place> {
        (self.unit == unit).then_some(self.place)
    }
}

/// `epoch 3`, `epoch 0.33`, `step 1200`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit.name(), self.place)
    }
}

/// A map of one entry, `"epoch": 3` or `"step": 1200`, to be flattened into a message.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.unit.name(), &self.place)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PositionVisitor;
        impl<'de> Visitor<'de> for PositionVisitor {
            type Value = Position;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an `epoch` or a `step`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Position, A::Error> {
                // All fields are read before one is chosen: their order does not matter.
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    fields.push((key, map.next_value::<Value>()?));
                }
                from_fields(&fields).ok_or_else(|| {
                    de::Error::custom("no `epoch` and no `step` that is a finite number")
                })
            }
        }
        deserializer.deserialize_map(PositionVisitor)
    }
}

/// The position in a message's fields: the epoch, if it is a finite number, else the first step
/// that is one.
fn from_fields(fields: &[(String, Value)]) -> Option<Position> {
    if let Some(epoch) = number(fields, EPOCH_KEY)
        && let Some(position) = Position::new(Unit::Epoch, epoch)
    {
        return Some(position);
    }
    STEP_KEYS
        .iter()
        .find_map(|key| Position::new(Unit::Step, number(fields, key)?))
}

/// The number in a field. If the field came more than once, the last one counts.
fn number(fields: &[(String, Value)], key: &str) -> Option<f64> {
    let (_, value) = fields.iter().rev().find(|(name, _)| name == key)?;
    Reading::of(value.clone()).number()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        serde_json::from_str::<Position>(text)
            .map(|position| position.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_epoch_may_be_written_in_every_way_that_loggers_do() {
        for (text, said) in [
            (r#"{"epoch": 1}"#, "epoch 1"),
            (r#"{"epoch": 1.0}"#, "epoch 1"),
            (r#"{"epoch": "3"}"#, "epoch 3"),
            (r#"{"epoch": 0.33, "step": 7}"#, "epoch 0.33"),
            (r#"{"epoch": -0.0}"#, "epoch 0"),
            (r#"{"epoch": -1}"#, "epoch -1"),
            (r#"{"epoch": 1e300}"#, "epoch 1e300"),
            (r#"{"epoch": null, "_step": 12}"#, "step 12"),
            (r#"{"global_step": 5000000000}"#, "step 5000000000"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(said), "{text}");
        }
        for text in [
            "{}",
            r#"{"epoch": "last"}"#,
            r#"{"epoch": "NaN"}"#,
            r#"{"epoch": [1]}"#,
        ] {
            assert!(
                read(text)
                    .unwrap_err()
                    .starts_with("no `epoch` and no `step`"),
                "{text}"
            );
        }
    }

    #[test]
    fn positions_are_in_order() {
        let of = |number| Position::new(Unit::Epoch, number).unwrap();
        let mut sorted = [
            Position::step(0),
            of(10.0),
            of(0.5),
            of(-1.0),
            of(2.0),
            Position::step(3),
        ];
        sorted.sort();
        let said: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "epoch -1",
                "epoch 0.5",
                "epoch 2",
                "epoch 10",
                "step 0",
                "step 3"
            ]
        );
        assert_eq!(
            serde_json::to_string(&(of(3.0).place, of(0.33).place, of(1e20).place)).unwrap(),
            "[3,0.33,1e+20]"
        );
    }
}
