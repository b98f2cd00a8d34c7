#!/usr/bin/env bash
# Sets up everything, builds, runs a sweep and prints its tables:
#   scripts/reproduce.sh                       the quick one, a few minutes on two cores
#   scripts/reproduce.sh sweeps/tables.yaml    Tables I and II at the paper's published points
#   scripts/reproduce.sh sweeps/paper.yaml     the paper's whole grid: 79,525 trials
# Interrupt it as you like: the same command goes on from there. Further arguments go to `pentagrid run`.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
spec="sweeps/quick.yaml"
if (($#)) && [[ "$1" != -* ]]; then
  # A spec may be named from where the user stands, or from the project's folder.
  [[ -e "$1" ]] && spec=$(realpath "$1") || spec="$1"
  shift
fi
cd "$top"

scripts/setup.sh
printf 'build: cargo build --workspace (the first time takes some minutes) ...\n' >&2
cargo build --locked --workspace --bins
exec target/debug/pentagrid run "$spec" "$@"
