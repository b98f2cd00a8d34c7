//! Gives the binaries the run path of libtorch, so that `pentagrid-trainer` finds it without
//! LD_LIBRARY_PATH. `torch-sys` emits the link flags themselves, but a dependency's flags for the
//! run path do not reach our binaries.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(root) = std::env::var_os("LIBTORCH") {
        let lib = std::path::Path::new(&root).join("lib");
        // Resolved, so that a link to a virtual environment keeps working when the link is
        // replaced.
        let lib = lib.canonicalize().unwrap_or(lib);
        // scripts/setup.sh may put another libtorch in the same place.
        println!(
            "cargo:rerun-if-changed={}",
            std::path::Path::new(&root).join("build-version").display()
        );
        println!(
            "cargo:rustc-link-arg-bin=pentagrid-trainer=-Wl,-rpath,{}",
            lib.display()
        );
        // With CUDA, libtorch registers its kernels in static initialisers: the linker must keep it
        // although no symbol of it is named. The slim libtorch has no libtorch_cuda.so, which
        // libtorch.so asks for: there, libtorch_cpu is all.
        if lib.join("libtorch_cuda.so").exists() {
            println!("cargo:rustc-link-arg-bin=pentagrid-trainer=-Wl,--no-as-needed");
            println!("cargo:rustc-link-arg-bin=pentagrid-trainer=-ltorch");
        }
    }
}
