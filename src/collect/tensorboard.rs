//! TensorBoard's event files: the framing of TFRecord, and the scalars in its events. Values of one
//! step that follow each other are one row.

use serde_json::{Map, Value};

use super::damage::{Damage, Flaw, WireError};
use super::log::Entry;
use super::wire::{Field, Message, Wire};
use crate::protocol::{EPOCH_KEY, STEP_KEYS, Unit};

/// Maximum length of a record, in bytes. Longer ones hold images and the like, and are skipped.
const MAX_RECORD: u64 = 4 << 20;
/// Length of what stands before a record: its length, and the checksum of that.
const RECORD_HEADER: usize = 12;
/// Length of the checksum behind a record.
const RECORD_FOOTER: usize = 4;
/// The plugin of scalars. Values of other plugins are no metrics, although they may be numbers.
const SCALARS: &str = "scalars";

/// Numbers of the fields of TensorBoard's messages.
mod field {
    pub(super) const EVENT_STEP: u64 = 2;
    pub(super) const EVENT_SUMMARY: u64 = 5;
    pub(super) const SUMMARY_VALUE: u64 = 1;
    pub(super) const VALUE_TAG: u64 = 1;
    pub(super) const VALUE_SIMPLE: u64 = 2;
    pub(super) const VALUE_TENSOR: u64 = 8;
    pub(super) const VALUE_METADATA: u64 = 9;
    pub(super) const METADATA_PLUGIN: u64 = 1;
    pub(super) const PLUGIN_NAME: u64 = 1;
    pub(super) const TENSOR_TYPE: u64 = 1;
    pub(super) const TENSOR_CONTENT: u64 = 4;
    pub(super) const TENSOR_FLOAT: u64 = 5;
    pub(super) const TENSOR_DOUBLE: u64 = 6;
    pub(super) const TENSOR_INT: u64 = 7;
    pub(super) const TENSOR_INT64: u64 = 10;
}

/// Types of the elements of a tensor.
mod tensor_type {
    pub(super) const FLOAT: u64 = 1;
    pub(super) const DOUBLE: u64 = 2;
    pub(super) const INT32: u64 = 3;
    pub(super) const INT64: u64 = 9;
}

/// Reads an event file as it grows.
#[derive(Debug, Default)]
pub(super) struct EventFile {
    buffer: Vec<u8>,
    /// The byte of the file that `buffer` begins with.
    offset: u64,
    /// How much of a record that is too long is still to be skipped, in bytes.
    skipped: u64,
    /// The row of the step that the last event was of.
    row: Option<(i64, Map<String, Value>)>,
}

impl EventFile {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        let mut result = Ok(());
        while result.is_ok() {
            let skipped = self.skipped.min((buffer.len() - at) as u64);
            self.skipped -= skipped;
            at += skipped as usize;
            if self.skipped > 0 {
                break;
            }
            let place = self.offset + at as u64;
            match self.record(&buffer[at..], place, take) {
                Ok(0) => break,
                Ok(length) => at += length,
                Err(damage) => result = Err(damage),
            }
        }

        self.buffer = buffer;
        self.buffer.drain(..at);
        self.offset += at as u64;
        result
    }

    pub(super) fn finish(
        &mut self,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.end_row(take).map_err(|flaw| flaw.at(self.offset))?;
        if self.buffer.is_empty() && self.skipped == 0 {
            return Ok(());
        }
        Err(Flaw::CutOff.at(self.offset))
    }

    /// Reads the record at the beginning of `bytes`. Returns how many bytes were taken; 0 if it has
    /// not come whole.
    fn record(
        &mut self,
        bytes: &[u8],
        place: u64,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<usize, Damage> {
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
            return Ok(0);
        };
        let Some((checksum, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(0);
        };
        if masked_checksum(length) != u32::from_le_bytes(*checksum) {
            let flaw = if place == 0 {
                Flaw::Foreign("a file of TensorBoard events")
            } else {
                Flaw::Checksum
            };
            return Err(flaw.at(place));
        }

        let length = u64::from_le_bytes(*length);
        if length > MAX_RECORD {
            self.skipped = length.saturating_add(RECORD_FOOTER as u64);
            return Ok(RECORD_HEADER);
        }
        let Some((data, rest)) = rest.split_at_checked(length as usize) else {
            return Ok(0);
        };
        let Some((checksum, _)) = rest.split_first_chunk::<4>() else {
            return Ok(0);
        };
        if masked_checksum(data) != u32::from_le_bytes(*checksum) {
            return Err(Flaw::Checksum.at(place));
        }

        let event = Event::read(data).map_err(|error| Flaw::Record(error).at(place))?;
        self.take_event(event, take)
            .map_err(|flaw| flaw.at(place))?;
        Ok(RECORD_HEADER + length as usize + RECORD_FOOTER)
    }

    fn take_event(
        &mut self,
        event: Event,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        if event.scalars.is_empty() {
            return Ok(());
        }
        if self.row.as_ref().is_some_and(|(step, row)| {
            *step != event.step || event.scalars.iter().any(|(tag, _)| row.contains_key(tag))
        }) {
            self.end_row(take)?;
        }

        let (_, row) = self.row.get_or_insert_with(|| {
            let mut row = Map::new();
            row.insert(Unit::Step.name().to_owned(), Value::from(event.step));
            (event.step, row)
        });
        for (tag, value) in event.scalars {
            // The step of the event is the one that counts.
            if tag == EPOCH_KEY || !STEP_KEYS.contains(&tag.as_str()) {
                row.insert(tag, number(value));
            }
        }
        Ok(())
    }

    fn end_row(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), Flaw>) -> Result<(), Flaw> {
        match self.row.take() {
            Some((_, row)) => take(Entry::Row(row)),
            None => Ok(()),
        }
    }
}

/// The checksum of TFRecord: one of Castagnoli, rotated and moved by a constant.
fn masked_checksum(bytes: &[u8]) -> u32 {
    const MASK: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

/// A number as a report has it.
fn number(value: f64) -> Value {
    if value.is_finite() {
        Value::from(value)
    } else {
        Value::from(value.to_string())
    }
}

/// The scalars of an event.
#[derive(Debug, Default)]
struct Event {
    step: i64,
    scalars: Vec<(String, f64)>,
}

impl Event {
    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut event = Self::default();
        let mut message = Message::new(bytes);
        while let Some(Field { number, value }) = message.next()? {
            match (number, value) {
                (field::EVENT_STEP, Wire::Varint(step)) => event.step = step as i64,
                (field::EVENT_SUMMARY, Wire::Bytes(bytes)) => event.read_summary(bytes)?,
                _ => {}
            }
        }
        Ok(event)
    }

    fn read_summary(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut message = Message::new(bytes);
        while let Some(Field { number, value }) = message.next()? {
            if let (field::SUMMARY_VALUE, Wire::Bytes(bytes)) = (number, value) {
                self.scalars.extend(scalar(bytes)?);
            }
        }
        Ok(())
    }
}

/// Reads a value of a summary: its tag and its number, if it is a scalar.
fn scalar(bytes: &[u8]) -> Result<Option<(String, f64)>, WireError> {
    let mut tag = "";
    let mut found = None;
    let mut is_other = false;
    let mut message = Message::new(bytes);
    while let Some(Field { number, value }) = message.next()? {
        match (number, value) {
            (field::VALUE_TAG, _) => tag = value.text()?.unwrap_or_default(),
            (field::VALUE_SIMPLE, Wire::Fixed32(bytes)) => found = Some(of_float(bytes)),
            (field::VALUE_TENSOR, Wire::Bytes(bytes)) => found = tensor(bytes)?,
            (field::VALUE_METADATA, Wire::Bytes(bytes)) => {
                is_other = plugin(bytes)?.is_some_and(|name| name != SCALARS);
            }
            _ => {}
        }
    }
    let found = found.filter(|_| !is_other && !tag.is_empty());
    Ok(found.map(|value| (tag.to_owned(), value)))
}

/// The number that a float was written as, with as many digits as a float has.
fn of_float(bytes: [u8; 4]) -> f64 {
    let float = f32::from_le_bytes(bytes);
    float.to_string().parse().unwrap_or(f64::from(float))
}

/// The name of the plugin that a value is for.
fn plugin(bytes: &[u8]) -> Result<Option<&str>, WireError> {
    let mut message = Message::new(bytes);
    while let Some(Field { number, value }) = message.next()? {
        if let (field::METADATA_PLUGIN, Wire::Bytes(bytes)) = (number, value) {
            let mut message = Message::new(bytes);
            while let Some(Field { number, value }) = message.next()? {
                if number == field::PLUGIN_NAME {
                    return value.text();
                }
            }
        }
    }
    Ok(None)
}

/// The number in a tensor of one element.
fn tensor(bytes: &[u8]) -> Result<Option<f64>, WireError> {
    let mut kind = 0;
    let mut content: &[u8] = &[];
    let mut numbers = Vec::new();
    let mut message = Message::new(bytes);
    while let Some(Field { number, value }) = message.next()? {
        match (number, value) {
            (field::TENSOR_TYPE, Wire::Varint(found)) => kind = found,
            (field::TENSOR_CONTENT, Wire::Bytes(bytes)) => content = bytes,
            (field::TENSOR_FLOAT | field::TENSOR_DOUBLE, Wire::Bytes(bytes)) => content = bytes,
            (field::TENSOR_FLOAT, Wire::Fixed32(bytes)) => numbers.push(of_float(bytes)),
            (field::TENSOR_DOUBLE, Wire::Fixed64(bytes)) => numbers.push(f64::from_le_bytes(bytes)),
            (field::TENSOR_INT | field::TENSOR_INT64, Wire::Varint(number)) => {
                numbers.push(number as i64 as f64);
            }
            (field::TENSOR_INT | field::TENSOR_INT64, Wire::Bytes(bytes)) => {
                let mut packed = Message::new(bytes);
                while let Some(number) = packed.next_varint()? {
                    numbers.push(number as i64 as f64);
                }
            }
            _ => {}
        }
    }

    // Packed floats look like the content of a tensor of floats.
    let of_content = match (kind, content) {
        (tensor_type::FLOAT, &[a, b, c, d]) => Some(of_float([a, b, c, d])),
        (tensor_type::INT32, &[a, b, c, d]) => Some(f64::from(i32::from_le_bytes([a, b, c, d]))),
        (tensor_type::DOUBLE, content) => content.try_into().ok().map(f64::from_le_bytes),
        (tensor_type::INT64, content) => {
            let bytes = content.try_into().ok();
            bytes.map(|bytes| i64::from_le_bytes(bytes) as f64)
        }
        _ => None,
    };
    Ok(match (of_content, numbers.as_slice()) {
        (Some(number), []) => Some(number),
        (None, [number]) if content.is_empty() => Some(*number),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
