//! TensorBoard's event files: records of protocol buffers, each with its length and checksums
//! (tensorflow/core/lib/io/record_writer.cc, tensorboard/compat/proto/{event,summary}.proto,
//! plugins/hparams/plugin_data.proto). A trial is a run: its history as scalars, and its
//! hyper-parameters for the HParams tab. `scripts/check-export.sh` reads them back with TensorBoard
//! itself.

use std::io::{self, Write};

use super::Exported;
use super::steps::WholeSteps;
use crate::ledger::{EpochRow, TrialState};
use crate::protocol::Metrics;
use crate::spec::{ColumnNames, Config, ParamValue};

/// Writes the beginning of a file.
///
/// # Errors
/// `io::Error`, if writing fails.
pub fn write_version(to: &mut impl Write, wall_time: f64) -> io::Result<()> {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.bytes(3, b"brain.Event:2");
    write_record(to, &event.0)
}

/// When a run began and ended, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct RunTimes {
    /// When it began.
    pub began: f64,
    /// When it ended.
    pub ended: f64,
}

/// Writes the hyper-parameters of a run, when it began and how it ended.
///
/// # Errors
/// `io::Error`, if writing fails.
pub fn hyper_parameters(
    to: &mut impl Write,
    names: &ColumnNames,
    trial: &Exported<'_>,
    arm: &str,
    times: RunTimes,
) -> io::Result<()> {
    let RunTimes { began, ended } = times;
    let mut start = Message::default();
    for (name, value) in hparams(names, &trial.config, arm, trial.id.seed) {
        let mut entry = Message::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, &value);
        start.message(1, &entry);
    }

    // The seeds of a point are a group, of which the tab shows the mean.
    start.bytes(4, format!("{arm}/{}", trial.id.point).as_bytes());
    start.double(5, began);
    let mut data = Message::default();
    data.message(3, &start);
    write_plugin_data(to, "_hparams_/session_start_info", &data, began)?;

    // States are numbers of the protocol's enum `Status`.
    let status = match trial.row.state {
        TrialState::Done => 1,
        TrialState::Failed => 2,
        TrialState::Running => 3,
        TrialState::Waiting => 0,
    };
    let mut end = Message::default();
    end.varint(1, status);
    end.double(2, ended);
    let mut data = Message::default();
    data.message(4, &end);
    write_plugin_data(to, "_hparams_/session_end_info", &data, ended)
}

/// Writes the scalars of a run: the rows of its history one by one, and its final metrics (as
/// `final/NAME`, at the last epoch). A row's time is the begin of the run plus the `seconds` of the
/// history so far, if it has them.
pub struct Scalars<'a, W> {
    to: &'a mut W,
    names: &'a ColumnNames,
    now: f64,
    steps: WholeSteps,
    step: i64,
}

impl<'a, W: Write> Scalars<'a, W> {
    /// The scalars of a run that began this many seconds after 1970. `steps` must have seen its
    /// whole history.
    pub fn new(to: &'a mut W, names: &'a ColumnNames, began: f64, steps: WholeSteps) -> Self {
        Self {
            to,
            names,
            now: began,
            steps,
            step: 0,
        }
    }

    /// Writes a row of the history.
    ///
    /// # Errors
    /// `io::Error`, if writing fails.
    pub fn row(&mut self, row: &EpochRow) -> io::Result<()> {
        self.now += row
            .metrics
            .get("seconds")
            .filter(|seconds| seconds.is_finite())
            .unwrap_or(0.0);
        self.step = self.steps.step(row);

        // Loggers that count in steps report the epoch as a metric.
        let mut metrics = row.metrics.clone();
        if let Some(epoch) = row.epoch().filter(|epoch| epoch.whole() != Some(self.step)) {
            metrics.set("epoch", epoch.get());
        }
        let names = self.names;
        let tag = |name: &str| history_tag(names, name);
        write_values(self.to, &metrics, tag, self.step, self.now)
    }

    /// Writes the final metrics, if the run has finished with a result.
    ///
    /// # Errors
    /// `io::Error`, if writing fails.
    pub fn finish(self, finals: Option<&Metrics>) -> io::Result<()> {
        let Some(finals) = finals else { return Ok(()) };
        let names = self.names;
        let tag = |name: &str| format!("{FINAL}{}", names.metric(name));
        write_values(self.to, finals, tag, self.step, self.now)
    }
}

/// The prefix of the tags of final metrics.
const FINAL: &str = "final/";
/// The prefix of the tags of the HParams plugin.
const HPARAMS: &str = "_hparams_/";

/// The tag of a metric of the history, which must not look like a final metric or like data of the
/// HParams tab.
fn history_tag(names: &ColumnNames, name: &str) -> String {
    if name.starts_with(FINAL) || name.starts_with(HPARAMS) {
        format!("metric_{name}")
    } else {
        names.metric(name).to_owned()
    }
}

fn write_values(
    to: &mut impl Write,
    metrics: &Metrics,
    tag: impl Fn(&str) -> String,
    step: i64,
    now: f64,
) -> io::Result<()> {
    let mut summary = Message::default();
    for (name, value) in &metrics.0 {
        let mut scalar = Message::default();
        scalar.bytes(1, tag(name).as_bytes());
        scalar.float(2, value.0 as f32);
        summary.message(1, &scalar);
    }

    let mut event = Message::default();
    event.double(1, now);
    // Negative numbers are encoded as two's complement.
    event.varint(2, step as u64);
    event.message(5, &summary);
    write_record(to, &event.0)
}

fn hparams(names: &ColumnNames, config: &Config, arm: &str, seed: u64) -> Vec<(String, Message)> {
    let mut all: Vec<(String, Message)> = config
        .0
        .iter()
        .map(|(name, value)| (names.parameter(name).to_owned(), parameter_message(value)))
        .collect();
    all.push(("arm".to_owned(), text_message(arm)));
    all.push(("seed".to_owned(), number_message(seed as f64)));
    all
}

fn parameter_message(value: &ParamValue) -> Message {
    match value {
        ParamValue::Bool(on) => {
            let mut message = Message::default();
            message.varint(4, u64::from(*on));
            message
        }
        ParamValue::Int(value) => number_message(*value as f64),
        ParamValue::Float(value) => number_message(*value),
        ParamValue::Text(value) => text_message(value),
        ParamValue::Null | ParamValue::List(_) | ParamValue::Map(_) => {
            text_message(&value.to_string())
        }
    }
}

fn text_message(text: &str) -> Message {
    let mut message = Message::default();
    message.bytes(3, text.as_bytes());
    message
}

fn number_message(number: f64) -> Message {
    let mut message = Message::default();
    message.double(2, number);
    message
}

/// Writes an event with data of the HParams plugin.
fn write_plugin_data(to: &mut impl Write, tag: &str, data: &Message, now: f64) -> io::Result<()> {
    let mut plugin = Message::default();
    plugin.bytes(1, b"hparams");
    plugin.message(2, data);
    let mut metadata = Message::default();
    metadata.message(1, &plugin);

    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    value.message(9, &metadata);
    let mut summary = Message::default();
    summary.message(1, &value);
    let mut event = Message::default();
    event.double(1, now);
    event.message(5, &summary);
    write_record(to, &event.0)
}

/// Writes a record: length, its checksum, the data, their checksum.
fn write_record(to: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    to.write_all(&length)?;
    to.write_all(&masked_crc32c(&length).to_le_bytes())?;
    to.write_all(data)?;
    to.write_all(&masked_crc32c(data).to_le_bytes())
}

/// CRC-32C (Castagnoli), masked as in tensorflow/core/lib/hash/crc32c.h.
fn masked_crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let feedback = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc = (crc >> 1) ^ feedback;
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// An encoder of a protocol buffers message (protobuf.dev/programming-guides/encoding).
#[derive(Clone, Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.raw_varint(field << 3 | kind);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_crc32c() {
        // RFC 3720, B.4: of 32 zeros, and of 32 bytes of ones.
        let unmask = |masked: u32| masked.wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmask(masked_crc32c(&[0; 32])), 0x8a91_36aa);
        assert_eq!(unmask(masked_crc32c(&[0xff; 32])), 0x62a8_ab43);
    }

    /// The bytes of a scalar's event, as TensorBoard 2.21 wrote them for the same content.
    #[test]
    fn an_event_is_encoded_as_tensorboard_does() {
        let mut to = Vec::new();
        write_values(
            &mut to,
            &[("loss", 0.5)].into_iter().collect(),
            str::to_owned,
            300,
            1.0,
        )
        .unwrap();
        let event = &to[12..to.len() - 4];
        let hex: String = event.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "09000000000000f03f10ac022a0d0a0b0a046c6f7373150000003f"
        );
        assert_eq!(to[..8], (event.len() as u64).to_le_bytes());
    }
}
