//! The map of the crate.
pub mod protocol;
pub mod spec;
