//! The `claims` block: sentences of a publication, each with its meaning under the key of its kind.
//! Reads them into `Claim`s; `aggregate::claims` judges them.

mod block;
mod kinds;
mod list;
mod meaning;
mod scope;

#[cfg(test)]
pub(super) use kinds::kind_example;
pub(super) use kinds::kind_keys;
pub(super) use list::{MAX_SENTENCE, read};
pub(super) use scope::Scope;
