//! The `parameters` blocks, flattened: nested names joined by dots, each parameter with its values
//! and their places. Rules of a single parameter are checked here (`names`: its name, `values`:
//! type and range, `ranges`: described values), rules between parameters in `validate`.

mod listing;
mod names;
mod param;
mod ranges;
mod reader;
mod values;

pub(super) use listing::names;
pub(super) use names::optimizer_list;
pub(super) use param::Param;
pub(super) use reader::Reader;
