#!/usr/bin/env bash
# Sets up and passes all tests. Needs Rust, a C++ compiler and Python 3 with pip; no network beyond the package
# registries, no GPU. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
# One build for all: the binaries, the trainer, the fake worker of the tests of faults.
cargo test --locked --all-targets "$@"
