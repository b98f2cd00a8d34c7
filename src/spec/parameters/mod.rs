//! The `parameters` blocks, flattened: nested names joined by dots, each parameter with its values
//! and their places. Rules of a single parameter are checked here (`names`: its name, `values`:
//! type and range), rules between parameters in `validate`.

mod names;
mod param;
mod reader;
mod values;

pub(super) use names::optimizer_list;
pub(super) use param::Param;
pub(super) use reader::Reader;
