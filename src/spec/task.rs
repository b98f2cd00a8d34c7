//! The task of a sweep: what trains its trials. What the built-in task accepts and reports is
//! defined in the protocol's crate, which its program uses, too.

use super::command::Program;
use super::goal::Goal;
use crate::tasks::BuiltIn;

pub use pentagrid_protocol::task::{
    AS_RUN_METRICS, BUILTIN, CHECKPOINT_EPOCH, GRAD_NORM_CONV1, GRAD_NORM_FC, HELDOUT_ACCURACY,
    HELDOUT_LOSS, HISTORY, METRICS, OptimizerKind, PARAMS, PROTOCOL_AS_RUN, PROTOCOL_PAPER,
    ParamDefault, ParamType, Range, STEP_SECONDS, SWITCH_METRIC, TaskParam, bounds_of,
};

/// What trains the trials of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A built-in task.
    BuiltIn(&'static BuiltIn),
    /// The user's program that speaks the worker protocol: its command line, without a shell.
    Worker(Vec<String>),
    /// The user's program that trains one trial and exits.
    Program(Program),
}

impl Task {
    /// Returns the built-in task; None for a program of the user's.
    pub fn built_in(&self) -> Option<&'static BuiltIn> {
        match self {
            Self::BuiltIn(task) => Some(task),
            Self::Worker(_) | Self::Program(_) => None,
        }
    }
}

/// The built-in task's name, or the worker's command line.
impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(task) => f.write_str(task.name),
            Self::Worker(command) => write!(f, "worker `{}`", command.join(" ")),
            Self::Program(program) => write!(f, "program `{program}`"),
        }
    }
}

/// The direction in which a metric of the built-in task gets better, final or of the history.
pub fn goal_of(metric: &str) -> Goal {
    if metric.ends_with("_accuracy") {
        Goal::Maximize
    } else {
        Goal::Minimize
    }
}
