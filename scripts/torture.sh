#!/usr/bin/env bash
# Kills coordinators, workers and trials with SIGKILL at random moments while sweeps run, lets the same command finish each
# sweep, and compares it with an undisturbed run: nothing lost, nothing run again after its result was recorded, no process
# left, tables and data files the same (wall-clock columns aside).
#   scripts/torture.sh [KILLS=200] [SEED]      the seed of the moments and victims; printed, to have the same again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
cargo build --locked --quiet --workspace --bins --examples
exec python3 scripts/torture.py "${1:-200}" "${2:-$RANDOM}"
