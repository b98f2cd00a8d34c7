#!/usr/bin/env bash
# Sets up and passes all tests. Needs Rust, a C++ compiler and Python 3 with pip; no network beyond the package
# registries, no GPU. Slurm and sshd are installed for their tests where that may be done. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
eval "$(scripts/slurm/install.sh)"
# Without --all-targets: with it cargo builds examples/fake_worker.rs as a test, and not as the program that the tests of
# faults start.
cargo test --locked --workspace "$@"
# The page in a browser, where there is one; with arguments only what they name is wanted.
[ $# -gt 0 ] || scripts/test-page.sh
