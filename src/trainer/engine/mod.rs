//! Runs trials: `session` keeps what trials of one process share, `trial` is the training loop, `evaluate` measures.

mod evaluate;
mod session;
mod trial;

pub use session::Session;
