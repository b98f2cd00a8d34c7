//! Runs trials: `session` keeps what trials of one process share, `trial` is the training loop, `evaluate` measures.

mod evaluate;
mod session;
mod trial;

#[cfg(test)]
pub use evaluate::evaluate;
pub use session::Session;
#[cfg(test)]
pub use trial::step;
