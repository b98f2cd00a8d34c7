//! The file that W&B writes for a run, `run-<id>.wandb`: `framing` takes its records out, and the
//! rows and the summary in them are read here. `config` is the other direction: the file that fills
//! `wandb.config`.

mod config;
mod framing;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::damage::{Damage, WireError};
use super::literal;
use super::log::Entry;
use super::wire::{Field, Message};
use crate::collect::damage::Flaw;
pub use config::wandb_config;
use framing::{LogReader, Record};

/// Numbers of the fields of W&B's messages.
mod field {
    pub(super) const HISTORY: u64 = 2;
    pub(super) const SUMMARY: u64 = 3;
    pub(super) const ITEM: u64 = 1;
    pub(super) const KEY: u64 = 1;
    pub(super) const NESTED_KEY: u64 = 2;
    pub(super) const VALUE_JSON: u64 = 16;
}

/// W&B's own names that say where a row stands.
const STEP: &str = "_step";
/// Marks the values that stand for media, tables and histograms.
const MEDIA_TYPE: &str = "_type";

/// Reads a file of W&B as it grows.
#[derive(Debug, Default)]
pub(super) struct WandbFile {
    log: LogReader,
}

impl WandbFile {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.log.feed(bytes, |Record { bytes, offset }| {
            let entry = entry(bytes).map_err(|error| Flaw::Record(error).at(offset))?;
            match entry {
                Some(entry) => take(entry).map_err(|flaw| flaw.at(offset)),
                None => Ok(()),
            }
        })
    }

    pub(super) fn finish(&self) -> Result<(), Damage> {
        self.log.finish()
    }
}

/// Reads a record; None if it is neither a row nor a part of the summary.
fn entry(record: &[u8]) -> Result<Option<Entry>, WireError> {
    let mut message = Message::new(record);
    let mut found = None;
    while let Some(Field { number, value }) = message.next()? {
        let Some(bytes) = value.bytes() else { continue };
        match number {
            field::HISTORY => found = Some(Entry::Row(items(bytes)?)),
            field::SUMMARY => found = Some(Entry::Finals(items(bytes)?)),
            _ => {}
        }
    }
    Ok(found)
}

/// Reads the items of a row or of the summary: names, nested ones joined by dots, and values.
fn items(bytes: &[u8]) -> Result<Map<String, Value>, WireError> {
    let mut values = Map::new();
    let mut media = BTreeSet::new();
    let mut message = Message::new(bytes);
    while let Some(Field { number, value }) = message.next()? {
        if number == field::ITEM
            && let Some(bytes) = value.bytes()
        {
            let item = item(bytes)?;
            if let Some((group, MEDIA_TYPE)) = item.name.rsplit_once('.') {
                media.insert(format!("{group}."));
            }
            insert(&mut values, item.name, item.value, &mut media);
        }
    }
    values.retain(|name, _| is_of_the_script(name) && !is_in(&media, name));
    Ok(values)
}

/// A name and its value.
struct Item {
    name: String,
    value: Value,
}

fn item(bytes: &[u8]) -> Result<Item, WireError> {
    let mut key = "";
    let mut nested: Vec<&str> = Vec::new();
    let mut json = "";
    let mut message = Message::new(bytes);
    while let Some(Field { number, value }) = message.next()? {
        let Some(text) = value.text()? else { continue };
        match number {
            field::KEY => key = text,
            field::NESTED_KEY => nested.push(text),
            field::VALUE_JSON => json = text,
            _ => {}
        }
    }
    let name = if nested.is_empty() {
        key.to_owned()
    } else {
        nested.join(".")
    };
    // What is not JSON is kept as the text that it is.
    let value = literal::value(json).unwrap_or_else(|| Value::String(json.to_owned()));
    Ok(Item { name, value })
}

/// Inserts a value; those of a mapping under names of their own.
fn insert(
    values: &mut Map<String, Value>,
    name: String,
    value: Value,
    media: &mut BTreeSet<String>,
) {
    let Value::Object(map) = value else {
        values.insert(name, value);
        return;
    };
    if map.contains_key(MEDIA_TYPE) {
        media.insert(format!("{name}."));
        return;
    }
    // JSON is read to a depth of at most 128.
    for (part, value) in map {
        insert(values, format!("{name}.{part}"), value, media);
    }
}

/// Whether a name is not one of W&B's own, which begin with an underscore.
fn is_of_the_script(name: &str) -> bool {
    !name.starts_with('_') || name == STEP
}

/// Whether a name is in one of the groups.
fn is_in(groups: &BTreeSet<String>, name: &str) -> bool {
    groups.iter().any(|group| name.starts_with(group.as_str()))
}

#[cfg(test)]
mod tests;
