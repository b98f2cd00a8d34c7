//! Runs trials: `session` keeps what trials of one process share, `trial` is the training loop,
//! `prefix` the common beginning of Hybrid trials, `evaluate` measures.

mod evaluate;
mod prefix;
mod session;
mod trial;

#[cfg(test)]
pub(crate) use evaluate::evaluate;
pub(crate) use evaluate::{EVALUATION_BATCH, Score};
pub(crate) use session::{Session, Sharing};
#[cfg(test)]
pub(crate) use trial::step;
pub(crate) use trial::{Row, Trial};
