//! The value of a hyper-parameter, and configurations made of such values. The coordinator's grid
//! hashes configurations, its ledger stores them, and messages carry them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A hyper-parameter's value. Integers and floats are different values: `3` and `3.0` name
/// different points, unless the parameter's type says float (then both are read as `3.0`).
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite floating-point number; never `-0.0`, which is read as `0.0`.
    Float(f64),
    /// Text.
    Text(String),
    /// No value: `null` in YAML and JSON, `None` in Python.
    Null,
    /// A list that is one value, such as the widths of layers.
    List(Vec<ParamValue>),
    /// A mapping that is one value.
    Map(BTreeMap<String, ParamValue>),
}

impl ParamValue {
    /// A float, with `-0.0` folded into `0.0` so that equal values have equal identities.
    pub fn float(value: f64) -> Self {
        Self::Float(if value == 0.0 { 0.0 } else { value })
    }

    /// The value as a number, where it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) | Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What kind of value it is, in the words that error messages use.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// Appends the canonical form: JSON with sorted keys, floats by shortest round trip and always
    /// with a point or an exponent.
    fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Text(text) => push_json_text(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    push_comma(out, index);
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Self::Map(entries) => write_object(entries, out),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Null => {
                out.push_str(&self.to_string());
            }
        }
    }
}

fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn push_json_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn write_object(entries: &BTreeMap<String, ParamValue>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in entries.iter().enumerate() {
        push_comma(out, index);
        push_json_text(out, name);
        out.push(':');
        value.write_canonical(out);
    }
    out.push('}');
}

/// As a person writes it: floats by shortest round trip (`0.0001`, `1.0`, `1e-7`), text bare,
/// `[64, 64]`, `{lr: 0.1, name: sgd}`.
impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::Null => f.write_str("null"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for ParamValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Null => serializer.serialize_unit(),
            Self::List(items) => items.serialize(serializer),
            Self::Map(entries) => entries.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ParamValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean, a number, text, null, a list or a mapping")
            }
            fn visit_bool<E>(self, value: bool) -> Result<ParamValue, E> {
                Ok(ParamValue::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<ParamValue, E> {
                Ok(ParamValue::Int(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ParamValue, E> {
                i64::try_from(value)
                    .map(ParamValue::Int)
                    .map_err(|_| E::custom("an integer beyond 64 bits"))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<ParamValue, E> {
                if value.is_finite() {
                    Ok(ParamValue::float(value))
                } else {
                    Err(E::custom("a number that is not finite"))
                }
            }
            fn visit_str<E>(self, value: &str) -> Result<ParamValue, E> {
                Ok(ParamValue::Text(value.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<ParamValue, E> {
                Ok(ParamValue::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ParamValue, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(ParamValue::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ParamValue, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((name, value)) = entries.next_entry()? {
                    map.insert(name, value);
                }
                Ok(ParamValue::Map(map))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// One configuration: parameter name to value, sorted by name. A nested parameter's name is its
/// path joined by dots (`optimizer.lr`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, ParamValue>);

impl Config {
    /// The canonical text, whose hash is a point's id: a JSON object with sorted keys, floats by
    /// shortest round trip, integers different from floats.
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(24 * self.0.len());
        write_object(&self.0, &mut out);
        out
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.0.get(name)
    }
}

impl FromIterator<(String, ParamValue)> for Config {
    fn from_iter<I: IntoIterator<Item = (String, ParamValue)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
