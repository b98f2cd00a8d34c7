//! Who hears of a sweep while it is opened and run: the terminal, or a program that embeds it.

use crate::grid::Grid;
use crate::schedule::{self, Notice};
use crate::secrets::Secrets;
use crate::spec::Spec;

/// Hears of a sweep while it is opened and run. Every text is one message for a person.
pub trait Observer {
    /// These values must not be shown anywhere. Called before anything else.
    fn hide(&self, secrets: &Secrets) {
        let _ = secrets;
    }

    /// Something worth knowing.
    fn say(&self, line: &str) {
        let _ = line;
    }

    /// Something that the user should not miss.
    fn warn(&self, line: &str) {
        let _ = line;
    }

    /// Returns what hears of each trial.
    fn progress(&self, spec: &Spec, grid: &Grid) -> Box<dyn schedule::Observer> {
        let _ = (spec, grid);
        Box::new(Unobserved)
    }
}

/// Hears of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

impl schedule::Observer for Unobserved {
    fn notice(&mut self, _: &Notice) {}
}
