//! Lists and mappings of the file that are one value of a hyper-parameter.

use std::collections::BTreeMap;

use super::scalar::{self, Refusal};
use super::tree::{Kind, Node};
use pentagrid_protocol::ParamValue;

/// Maximum number of parts of a value, since it is printed, stored and sent for every trial.
const MAX_PARTS: usize = 256;

/// Returns the value of a node.
pub(super) fn value(node: &Node) -> Result<ParamValue, Refusal> {
    if node.size > MAX_PARTS {
        return Err(Refusal {
            message: format!(
                "a value may have {MAX_PARTS} parts; this one has {}",
                node.size
            ),
            label: "too large",
            help: Some("put large values in a file and name the file".to_owned()),
        });
    }

    match &node.kind {
        Kind::Scalar(scalar) => match scalar::value(scalar, None)? {
            ParamValue::Text(text) if text.contains("${") => scalar::refuse_macro(&text),
            value => Ok(value),
        },
        Kind::List(items) => {
            let items: Result<Vec<ParamValue>, Refusal> = items.iter().map(value).collect();
            Ok(ParamValue::List(items?))
        }
        Kind::Map(entries) => {
            let mut map = BTreeMap::new();
            for entry in entries.iter() {
                map.insert(entry.key.to_string(), value(&entry.value)?);
            }
            Ok(ParamValue::Map(map))
        }
    }
}
