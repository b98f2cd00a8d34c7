//! The states of `trials --state`: those of the ledger, and `pruned`.

use std::str::FromStr;

use crate::ledger::TrialState;

/// The state of a planned trial, as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedState {
    /// As the ledger says.
    In(TrialState),
    /// It will not run: its point is out of the race (`prune: safe`).
    Pruned,
}

/// A name that is no state.
#[derive(Debug, thiserror::Error)]
#[error("expected one of {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownState;

impl ListedState {
    /// The name in `--state` and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::In(state) => state.name(),
            Self::Pruned => "pruned",
        }
    }

    /// Returns every state.
    fn all() -> impl Iterator<Item = Self> {
        TrialState::ALL
            .into_iter()
            .map(Self::In)
            .chain([Self::Pruned])
    }
}

impl FromStr for ListedState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::all()
            .find(|state| state.name() == text)
            .ok_or(UnknownState)
    }
}

/// Returns the names of all states.
fn names() -> impl Iterator<Item = &'static str> {
    ListedState::all().map(ListedState::name)
}
