//! Follows the files that a program writes its metrics to, beside its own metrics file. What is
//! wrong with a file is reported only after the program has ended: until then it may be half
//! written.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::collect_error::{CollectError, MAX_FILES};
use super::names::Naming;
use super::source::{Stamp, TrialSource};
use crate::collect::{Damage, Flaw, Format, LogFile, Rows};
use crate::files;
use crate::protocol::{FromWorker, Position, Reported};

/// How much of a file is read at once, in bytes.
pub(super) const CHUNK: u64 = 256 << 10;
/// How much of the beginning of a table shows whether it was rewritten, in bytes.
const MAX_HEAD: usize = 4096;

/// What one pass has read.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub rows: Vec<Rows>,
    /// Whether there is more to read at once.
    pub has_more: bool,
}

/// Follows all sources of a trial.
#[derive(Debug)]
pub(super) struct Collector {
    trial: String,
    metric: String,
    sources: Vec<FollowedSource>,
    /// The program's output, and where it begins in it.
    output: Arc<File>,
    begin: u64,
}

#[derive(Debug)]
struct FollowedSource {
    source: TrialSource,
    /// The files that were there before the program was started, as they were.
    before: HashMap<PathBuf, Stamp>,
    files: BTreeMap<PathBuf, FollowedFile>,
}

#[derive(Debug)]
struct FollowedFile {
    log: LogFile,
    /// How much has been read, in bytes.
    read: u64,
    /// The file as it was when it was last read.
    stamp: Option<Stamp>,
    /// Whether it was found to be damaged, and is not read until the program has ended.
    is_damaged: bool,
    /// Of a file that is rewritten with every change: what was passed on of each row.
    passed: BTreeMap<Position, blake3::Hash>,
    /// Of a table: the beginning of what was read, and the hash of all of it.
    head: Vec<u8>,
    hash: Option<Box<blake3::Hasher>>,
}

impl FollowedFile {
    fn new(format: &Format, metric: &str) -> Self {
        Self {
            log: LogFile::new(format, metric),
            read: 0,
            stamp: None,
            is_damaged: false,
            passed: BTreeMap::new(),
            head: Vec::new(),
            hash: matches!(format, Format::Csv).then(Box::default),
        }
    }

    /// Begins again with the first byte.
    fn restart(&mut self, format: &Format, metric: &str) {
        let passed = std::mem::take(&mut self.passed);
        *self = Self {
            passed,
            stamp: self.stamp,
            ..Self::new(format, metric)
        };
    }

    /// Keeps what shows whether a table is rewritten.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
            let missing = MAX_HEAD.saturating_sub(self.head.len());
            self.head.extend(bytes.iter().take(missing));
        }
    }

    /// Whether a table still begins as it did: a logger that gets a new column rewrites it.
    fn has_same_head(&self, file: &File) -> io::Result<bool> {
        let mut head = vec![0; self.head.len()];
        match file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            result => result.map(|()| head == self.head),
        }
    }

    /// Whether a table still begins with all that was read of it.
    fn is_unchanged(&self, path: &Path) -> io::Result<bool> {
        let Some(hash) = &self.hash else {
            return Ok(true);
        };
        let mut now = blake3::Hasher::new();
        let mut file = files::open(path)?.take(self.read);
        io::copy(&mut file, &mut now)?;
        Ok(now.finalize() == hash.finalize())
    }

    /// Leaves out the rows that were passed on as they are.
    fn only_new(&mut self, rows: Rows) -> Rows {
        rows.into_iter()
            .filter(|(position, values)| {
                let text = serde_json::to_string(values).unwrap_or_default();
                let hash = blake3::hash(text.as_bytes());
                self.passed.insert(*position, hash) != Some(hash)
            })
            .collect()
    }
}

impl Collector {
    /// Follows the sources of a trial whose program has not been started. `output` gets what it
    /// prints, from `begin` on.
    pub(super) fn new(
        trial: &str,
        metric: &str,
        sources: Vec<TrialSource>,
        output: Arc<File>,
        begin: u64,
    ) -> Self {
        let sources = sources
            .into_iter()
            .map(|source| {
                // What cannot be read now is reported when it is read.
                let before = source.files().unwrap_or_default();
                FollowedSource {
                    before: before.into_iter().collect(),
                    source,
                    files: BTreeMap::new(),
                }
            })
            .collect();
        Self {
            trial: trial.to_owned(),
            metric: metric.to_owned(),
            sources,
            output,
            begin,
        }
    }

    /// Whether there is anything to follow.
    pub(super) fn is_idle(&self) -> bool {
        self.sources.is_empty()
    }

    /// Reads what was added to the files, at most a chunk of each.
    ///
    /// # Errors
    /// If a folder cannot be read, or has too many files.
    pub(super) fn follow(&mut self) -> Result<Pass, CollectError> {
        let mut pass = Pass::default();
        for source in &mut self.sources {
            source.find(&self.metric)?;
            if source.source.folder.is_none() {
                source.follow_output(&self.output, self.begin, &self.metric, &mut pass);
            } else {
                source.follow_files(&self.metric, &mut pass);
            }
        }
        Ok(pass)
    }

    /// Takes the ends of the files, after the program has ended and all was read.
    ///
    /// # Errors
    /// If a file is damaged or cannot be read.
    pub(super) fn finish(&mut self) -> Result<Pass, CollectError> {
        let mut pass = Pass::default();
        for source in &mut self.sources {
            source.finish(&self.metric, &mut pass)?;
        }
        Ok(pass)
    }

    /// The last value of each name, over all sources in their order; None if nothing was found.
    pub(super) fn last(&self) -> Option<Reported> {
        let mut found: Option<Reported> = None;
        for source in &self.sources {
            for (path, file) in &source.files {
                if let Some(last) = file.log.last() {
                    let values = source.naming(path).values(last.clone());
                    found.get_or_insert_default().extend(&values);
                }
            }
        }
        if let Some(found) = &mut found {
            for source in &self.sources {
                source.note_other_runs(&self.metric, found);
            }
        }
        found
    }

    /// Says for each source which files it has found.
    pub(super) fn describe(&self) -> Vec<String> {
        self.sources
            .iter()
            .map(|source| {
                let key = &source.source.key;
                let Some(folder) = &source.source.folder else {
                    let has_matched = source.files.values().any(|file| file.log.last().is_some());
                    let lines = if has_matched {
                        "read the output"
                    } else {
                        "found no line that matches"
                    };
                    return format!("`metrics: {key}` {lines}");
                };
                match source.files.keys().next() {
                    None => format!("`metrics: {key}` found no file in {}", folder.display()),
                    Some(path) => {
                        let more = match source.files.len() {
                            1 => String::new(),
                            count => format!(" and {} more", count - 1),
                        };
                        format!("`metrics: {key}` read {}{more}", source.source.shown(path))
                    }
                }
            })
            .collect()
    }

    /// The messages about rows.
    pub(super) fn messages(&self, rows: Vec<Rows>) -> Vec<FromWorker> {
        rows.into_iter()
            .flatten()
            .map(|(position, values)| FromWorker::Epoch {
                trial: self.trial.clone(),
                position,
                values,
            })
            .collect()
    }
}

impl FollowedSource {
    /// Adds the files that have appeared, or that the program has changed.
    fn find(&mut self, metric: &str) -> Result<(), CollectError> {
        let folder = self.source.folder.clone().unwrap_or_default();
        let found = self
            .source
            .files()
            .map_err(|error| self.unreadable(&folder, error))?;
        for (path, stamp) in found {
            // A file of an earlier attempt that this one leaves as it is is not this one's.
            if self.files.contains_key(&path) || self.before.get(&path) == Some(&stamp) {
                continue;
            }
            if self.files.len() >= MAX_FILES {
                return Err(CollectError::TooManyFiles {
                    key: self.source.key.clone(),
                });
            }
            let file = FollowedFile::new(&self.source.format, metric);
            self.files.insert(path, file);
        }
        Ok(())
    }

    fn follow_files(&mut self, metric: &str, pass: &mut Pass) {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        for path in paths {
            // A file that cannot be read now may be readable later, or is reported at the end.
            let Ok(Some(rows)) = self.read(&path, metric, pass) else {
                continue;
            };
            if !rows.is_empty() {
                pass.rows.push(self.naming(&path).rows(rows));
            }
        }
    }

    /// Reads what was added to a file; None if it was left as it is.
    fn read(&mut self, path: &Path, metric: &str, pass: &mut Pass) -> io::Result<Option<Rows>> {
        let format = &self.source.format;
        let Some(state) = self.files.get_mut(path) else {
            return Ok(None);
        };
        let mut file = files::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let is_same = state.stamp == Some(stamp);
        let is_other = state
            .stamp
            .is_some_and(|before| !before.is_of_same_file(stamp));
        let is_complete = state.read >= stamp.length();
        if is_same && (is_complete || state.is_damaged) {
            return Ok(None);
        }

        // A table that was rewritten is read from its beginning.
        let is_shorter = stamp.length() < state.read;
        let is_new = is_other || is_shorter || !state.has_same_head(&file)?;
        if is_new || (format.is_whole() && !is_same) {
            state.restart(format, metric);
        }
        state.stamp = Some(stamp);
        if state.is_damaged {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(state.read))?;
        let mut bytes = Vec::new();
        file.take((stamp.length() - state.read).min(CHUNK))
            .read_to_end(&mut bytes)?;
        state.read += bytes.len() as u64;
        state.keep(&bytes);
        let is_complete = state.read >= stamp.length();
        pass.has_more |= !is_complete;

        let fed = state.log.feed(&bytes);
        let rows = match fed {
            Ok(_) if format.is_whole() && is_complete => state.log.finish(),
            fed => fed,
        };
        let Ok(rows) = rows else {
            state.is_damaged = true;
            return Ok(None);
        };
        Ok(Some(if format.is_whole() {
            state.only_new(rows)
        } else {
            rows
        }))
    }

    fn follow_output(&mut self, output: &File, begin: u64, metric: &str, pass: &mut Pass) {
        let format = &self.source.format;
        let state = self
            .files
            .entry(PathBuf::new())
            .or_insert_with(|| FollowedFile::new(format, metric));
        let Ok(length) = output.metadata().map(|metadata| metadata.len()) else {
            return;
        };
        let length = length.saturating_sub(begin);
        let mut bytes = vec![0; (length.saturating_sub(state.read)).min(CHUNK) as usize];
        let Ok(count) = output.read_at(&mut bytes, begin + state.read) else {
            return;
        };
        bytes.truncate(count);
        state.read += count as u64;
        pass.has_more |= count > 0 && state.read < length;
        match state.log.feed(&bytes) {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => pass.rows.push(rows),
            Err(_) => state.is_damaged = true,
        }
    }

    fn finish(&mut self, metric: &str, pass: &mut Pass) -> Result<(), CollectError> {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        for path in paths {
            let Some(state) = self.files.get(&path) else {
                continue;
            };
            let is_unchanged = state
                .is_unchanged(&path)
                .map_err(|error| self.unreadable(&path, error))?;
            if state.is_damaged || !is_unchanged {
                self.read_again(&path, metric, pass)?;
            }
            let Some(state) = self.files.get_mut(&path) else {
                continue;
            };
            // Files that are read as a whole have been finished.
            if self.source.format.is_whole() {
                continue;
            }
            let finished = state.log.finish();
            let rows = finished.map_err(|damage| self.damaged(&path, damage))?;
            if !rows.is_empty() {
                pass.rows.push(self.naming(&path).rows(rows));
            }
        }
        Ok(())
    }

    /// Reads a file from its beginning that was damaged while the program ran.
    fn read_again(
        &mut self,
        path: &Path,
        metric: &str,
        pass: &mut Pass,
    ) -> Result<(), CollectError> {
        let mut state = FollowedFile::new(&self.source.format, metric);
        let mut file = files::open(path).map_err(|error| self.unreadable(path, error))?;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = Read::by_ref(&mut file).take(CHUNK).read_to_end(&mut bytes);
            read.map_err(|error| self.unreadable(path, error))?;
            if bytes.is_empty() {
                break;
            }
            let fed = state.log.feed(&bytes);
            let rows = fed.map_err(|damage| self.damaged(path, damage))?;
            pass.rows.push(self.naming(path).rows(rows));
        }
        if self.source.format.is_whole() {
            let finished = state.log.finish();
            let rows = finished.map_err(|damage| self.damaged(path, damage))?;
            pass.rows.push(rows);
        }
        self.files.insert(path.to_owned(), state);
        Ok(())
    }

    /// Notes that several runs of W&B have the metric.
    fn note_other_runs(&self, metric: &str, found: &mut Reported) {
        if !matches!(self.source.format, Format::Wandb) {
            return;
        }
        let with_metric: Vec<&PathBuf> = self
            .files
            .iter()
            .filter(|(_, file)| {
                file.log
                    .last()
                    .is_some_and(|last| last.get(metric).is_some())
            })
            .map(|(path, _)| path)
            .collect();
        if let [first, _, ..] = with_metric[..] {
            let text = format!(
                "{} runs report {metric:?}: the first counts, {}",
                with_metric.len(),
                self.source.shown(first)
            );
            found.notes.insert("wandb", Value::String(text));
        }
    }

    fn naming(&self, path: &Path) -> Naming {
        let files = self
            .files
            .iter()
            .map(|(path, file)| (path, file.log.last()));
        let folder = self.source.folder.as_deref().unwrap_or(Path::new(""));
        Naming::of(&self.source.format, folder, path, files)
    }

    fn damaged(&self, path: &Path, damage: Damage) -> CollectError {
        let hint = match (&damage.what, &self.source.format) {
            (Flaw::CutOff, Format::Wandb) => {
                " (the program ended before W&B had written everything: end it with `wandb.finish()`)"
            }
            (Flaw::CutOff, Format::TensorBoard) => {
                " (the program ended before everything was written: close the writer)"
            }
            _ => "",
        };
        CollectError::Damaged {
            key: self.source.key.clone(),
            file: self.shown(path),
            damage,
            hint,
        }
    }

    fn unreadable(&self, path: &Path, error: io::Error) -> CollectError {
        CollectError::Unreadable {
            key: self.source.key.clone(),
            file: self.shown(path),
            error,
        }
    }

    fn shown(&self, path: &Path) -> String {
        if self.source.folder.is_none() {
            return "the output".to_owned();
        }
        self.source.shown(path)
    }
}
