//! A file of metrics of any format, as it grows: bytes in, rows out.

use serde_json::{Map, Value};

use super::csv_table::CsvTable;
use super::damage::{Damage, Flaw};
use super::json_table::{JsonFile, TrainerState};
use super::output::{Output, Pattern};
use super::table::{Line, MAX_NAMES, Rows, Table};
use super::tensorboard::EventFile;
use super::wandb::WandbFile;
use crate::protocol::Reported;

/// What a file says at a time.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// A row of history, if it has an epoch or a step.
    Row(Map<String, Value>),
    /// Final values.
    Finals(Map<String, Value>),
}

/// How a file of metrics is read.
#[derive(Clone, Debug)]
pub enum Format {
    /// A file of W&B.
    Wandb,
    /// A file of TensorBoard events.
    TensorBoard,
    /// A table with a header.
    Csv,
    /// An object of final values, a list of rows, or JSON lines.
    Json,
    /// The state of Hugging Face's `Trainer`, or the results that it saves.
    TrainerState,
    /// What a program prints.
    Output(Pattern),
}

impl Format {
    /// Whether the file is rewritten with every change, and so is read as a whole.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Json | Self::TrainerState)
    }
}

/// Reads a file of metrics as it grows.
#[derive(Debug)]
pub struct LogFile {
    parser: Parser,
    records: Records,
}

#[derive(Debug)]
enum Parser {
    Wandb(WandbFile),
    TensorBoard(EventFile),
    Csv(CsvTable),
    Json(JsonFile),
    TrainerState(TrainerState),
    Output(Output),
}

/// What the records of a file have said so far.
#[derive(Debug)]
struct Records {
    metric: String,
    table: Table,
    has_any: bool,
}

impl Records {
    fn take(&mut self, entry: Entry, rows: &mut Rows) -> Result<(), Flaw> {
        let line = match entry {
            Entry::Row(values) => Line::of(values, &self.metric),
            Entry::Finals(values) => Line::of_finals(values, &self.metric),
        };
        self.has_any = true;
        self.table.take(line, rows);
        if self.table.has_too_many_names() {
            return Err(Flaw::TooManyNames(MAX_NAMES));
        }
        Ok(())
    }
}

impl LogFile {
    /// A file of which nothing has been read. `metric` is the one that the sweep selects by.
    pub fn new(format: &Format, metric: &str) -> Self {
        let parser = match format {
            Format::Wandb => Parser::Wandb(WandbFile::default()),
            Format::TensorBoard => Parser::TensorBoard(EventFile::default()),
            Format::Csv => Parser::Csv(CsvTable::default()),
            Format::Json => Parser::Json(JsonFile::default()),
            Format::TrainerState => Parser::TrainerState(TrainerState::default()),
            Format::Output(pattern) => Parser::Output(Output::new(pattern.clone())),
        };
        let records = Records {
            metric: metric.to_owned(),
            table: Table::default(),
            has_any: false,
        };
        Self { parser, records }
    }

    /// Takes what was added to the file, and returns the rows that it adds to the history. A row
    /// that was returned before has only its new values.
    ///
    /// # Errors
    /// If the file is damaged. Nothing more can be read of it then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Rows, Damage> {
        let mut rows = Rows::new();
        let records = &mut self.records;
        let mut take = |entry| records.take(entry, &mut rows);
        match &mut self.parser {
            Parser::Wandb(file) => file.feed(bytes, &mut take)?,
            Parser::TensorBoard(file) => file.feed(bytes, &mut take)?,
            Parser::Csv(file) => file.feed(bytes, &mut take)?,
            Parser::Json(file) => file.feed(bytes)?,
            Parser::TrainerState(file) => file.feed(bytes)?,
            Parser::Output(file) => file.feed(bytes, &mut take)?,
        }
        Ok(rows)
    }

    /// Takes the end of the file, after the program has ended.
    ///
    /// # Errors
    /// If the file is damaged, or ends within a record.
    pub fn finish(&mut self) -> Result<Rows, Damage> {
        let mut rows = Rows::new();
        let records = &mut self.records;
        let mut take = |entry| records.take(entry, &mut rows);
        match &mut self.parser {
            Parser::Wandb(file) => file.finish()?,
            Parser::TensorBoard(file) => file.finish(&mut take)?,
            Parser::Csv(file) => file.finish(&mut take)?,
            Parser::Json(file) => file.finish(&mut take)?,
            Parser::TrainerState(file) => file.finish(&mut take)?,
            Parser::Output(file) => file.finish(&mut take)?,
        }
        Ok(rows)
    }

    /// The last value of each name; None if the file has said nothing.
    pub fn last(&self) -> Option<&Reported> {
        self.records.has_any.then_some(self.records.table.last())
    }
}
