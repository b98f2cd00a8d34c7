//! Reads the whole sweep file. `sweep` walks it, `state` is the file while it is read, `head` reads
//! the keys that name the sweep, its task and its metric, `arms` reads the arms and their grids,
//! `programs` ties a command line
//! to the parameters, `check` checks the rules between the parts.

mod arms;
mod check;
mod head;
mod programs;
mod state;
mod sweep;

pub use sweep::{read, read_named};
