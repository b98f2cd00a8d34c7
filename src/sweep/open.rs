//! A run directory that is open for reading: the sweep in its ledger, its grid, and its trials by
//! id. Every command that reads a sweep begins here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::environment;
use super::error::SweepError;
use super::file::{self, SweepFile};
use crate::aggregate::{Evaluation, evaluate};
use crate::grid::{Grid, TrialId};
use crate::ledger::{Lock, Reader, TrialRow, TrialState};
use crate::report::write::Source;
use crate::spec::{Config, Spec};

/// Maximum number of candidates that are listed for an ambiguous trial id.
const MAX_CANDIDATES: usize = 8;

/// A run directory, open for reading.
#[derive(Debug)]
pub struct OpenSweep {
    /// The run directory.
    pub dir: PathBuf,
    /// Its ledger.
    pub ledger: Reader,
    /// The text of the sweep file in force.
    pub text: String,
    /// What it says.
    pub spec: Spec,
    /// Its points.
    pub grid: Grid,
}

impl OpenSweep {
    /// Opens a run directory.
    ///
    /// # Errors
    /// `SweepError::Ledger` if there is no ledger or it cannot be read, `SweepError::Spec` if this
    /// version of the program does not accept the sweep file in it.
    pub fn open(dir: &Path) -> Result<Self, SweepError> {
        Self::of(Reader::open(dir)?, dir)
    }

    /// Opens a run directory as it is at this moment: what is recorded later is not seen.
    ///
    /// # Errors
    /// As `open`.
    pub fn frozen(dir: &Path) -> Result<Self, SweepError> {
        let ledger = Reader::open(dir)?;
        ledger.freeze()?;
        Self::of(ledger, dir)
    }

    fn of(ledger: Reader, dir: &Path) -> Result<Self, SweepError> {
        let SweepFile { text, spec } = file::from_ledger(&ledger, dir)?;
        let grid = Grid::new(&spec);
        Ok(Self {
            dir: dir.to_owned(),
            ledger,
            text,
            spec,
            grid,
        })
    }

    /// Returns the trials that the ledger knows, by id.
    ///
    /// # Errors
    /// SQLite's.
    pub fn trials(&self) -> Result<HashMap<TrialId, TrialRow>, SweepError> {
        let rows = self.ledger.trials()?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// As `trials`; where no coordinator runs, a trial that was running waits.
    ///
    /// # Errors
    /// SQLite's.
    pub fn settled_trials(&self) -> Result<HashMap<TrialId, TrialRow>, SweepError> {
        let mut rows = self.trials()?;
        if Lock::holder(&self.dir).is_none() {
            for row in rows.values_mut() {
                if row.state == TrialState::Running {
                    row.state = TrialState::Waiting;
                }
            }
        }
        Ok(rows)
    }

    /// Returns means, deviations and the selected points of these trials.
    ///
    /// # Errors
    /// `SweepError::Stats`, if Polars reports an error.
    pub fn evaluate(&self, rows: &HashMap<TrialId, TrialRow>) -> Result<Evaluation, SweepError> {
        Ok(evaluate(&self.spec, &self.grid, rows)?)
    }

    /// Returns the folder that the sweep was started from.
    ///
    /// # Errors
    /// As `folder_of`.
    pub fn folder(&self) -> Result<PathBuf, SweepError> {
        environment::folder_of(&self.ledger, &self.spec)
    }

    /// Returns what a report is made of. Freeze the ledger before, if the sweep may be running.
    pub fn source(&self) -> Source<'_> {
        Source {
            dir: &self.dir,
            ledger: &self.ledger,
            text: &self.text,
            spec: &self.spec,
            grid: &self.grid,
        }
    }

    /// Finds the trial whose id is, or begins with, what was typed: `k7m2p9x4qa-3`, `k7m2-3` or
    /// `k7m2`.
    ///
    /// # Errors
    /// `SweepError::Refused` if there is none, or more than one.
    pub fn find_trial(
        &self,
        typed: &str,
        rows: &HashMap<TrialId, TrialRow>,
    ) -> Result<FoundTrial, SweepError> {
        let mut found = self.candidates(typed, rows);
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(SweepError::Refused(format!(
                "the sweep has no trial {typed:?}; `pentagrid trials DIR` lists them"
            ))),
            count => {
                let listed: Vec<String> = found
                    .iter()
                    .take(MAX_CANDIDATES)
                    .map(|found| format!("  {} ({})", found.id, self.spec.arms[found.arm].label))
                    .collect();
                let more = match count.saturating_sub(MAX_CANDIDATES) {
                    0 => String::new(),
                    more => format!("\n  and {more} more"),
                };
                Err(SweepError::Refused(format!(
                    "{typed:?} is not enough to tell {count} trials apart:\n{}{more}",
                    listed.join("\n")
                )))
            }
        }
    }

    /// The planned and the recorded trials whose ids begin with what was typed.
    fn candidates(&self, typed: &str, rows: &HashMap<TrialId, TrialRow>) -> Vec<FoundTrial> {
        let (prefix, typed_seed) = match typed.split_once('-') {
            Some((prefix, seed)) => (prefix, Some(seed)),
            None => (typed, None),
        };
        let seeds = &self.spec.seeds;
        let mut found: Vec<FoundTrial> = Vec::new();
        for (arm, points) in self.grid.arms().iter().enumerate() {
            for point in points.points() {
                if !point.id.to_string().starts_with(prefix) {
                    continue;
                }
                for &seed in seeds.tune.iter().chain(&seeds.final_) {
                    let id = TrialId {
                        point: point.id,
                        seed,
                    };
                    let is_planned = seeds.tune.contains(&seed) || rows.contains_key(&id);
                    let fits = typed_seed.is_none_or(|typed| seed.to_string() == typed);
                    if is_planned && fits && found.iter().all(|other| other.id != id) {
                        found.push(FoundTrial {
                            id,
                            arm,
                            config: point.config.clone(),
                        });
                    }
                }
            }
        }
        found
    }
}

/// A trial that was found by its id.
#[derive(Clone, Debug)]
pub struct FoundTrial {
    /// Its id.
    pub id: TrialId,
    /// Number of its arm.
    pub arm: usize,
    /// Its configuration.
    pub config: Config,
}
