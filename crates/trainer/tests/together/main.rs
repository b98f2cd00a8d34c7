//! Tests of the trainer and the coordinator together, as users run them. The coordinator's own
//! tests are in `tests/integration`. These tests need libtorch, and the program `pentagrid` beside
//! the trainer.

mod builtin; // the built-in task: bit-identical results, real MNIST, verify
#[path = "../../../../tests/integration/support.rs"]
#[expect(dead_code, reason = "the coordinator's tests use more of it")]
mod support; // the `Test` builder
mod worker_check; // the trainer as a worker like any other

/// The path of the coordinator. It belongs to another package, so cargo does not tell it.
fn pentagrid() -> std::path::PathBuf {
    let path =
        std::path::Path::new(env!("CARGO_BIN_EXE_pentagrid-trainer")).with_file_name("pentagrid");
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build -p pentagrid`, or `cargo test --workspace`",
        path.display()
    );
    path
}
