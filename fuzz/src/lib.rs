//! The modules of pentagrid that read what may come from anywhere, compiled without Polars and
//! libtorch: for the fuzz targets only.
#![allow(dead_code, missing_docs, unused_imports)]

#[path = "../../src/files.rs"]
pub mod files;
#[path = "../../src/grid/mod.rs"]
pub mod grid;
#[path = "../../src/ledger/mod.rs"]
pub mod ledger;
#[path = "../../src/plan/mod.rs"]
pub mod plan;
#[path = "../../src/printable.rs"]
pub mod printable;
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;
#[path = "../../src/spec/mod.rs"]
pub mod spec;
