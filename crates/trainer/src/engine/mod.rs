//! Runs trials: `session` keeps what trials of one process share, `trial` is the training loop,
//! `prefix` what Hybrid trials of a group have in common, `evaluate` measures.

mod evaluate;
mod prefix;
mod session;
mod trial;

#[cfg(test)]
pub use evaluate::evaluate;
pub use session::{Session, Sharing};
#[cfg(test)]
pub use trial::step;
pub use trial::{Row, Trial};
