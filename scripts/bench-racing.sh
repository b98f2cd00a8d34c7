#!/usr/bin/env bash
# What safe racing saves on the full grids whose reports are committed (reports/*/ with tuning trials of several points): their
# trials are run again by a worker that answers from trials.csv, in the recorded proportion of time, without a race, with
# `prune: safe` in the order of the seeds, and with `--best-first`; on one slot and on more. The selected points must be the same.
#   scripts/bench-racing.sh [SLOTS="1 8"]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --quiet --bins
exec python3 scripts/bench_racing.py ${1:-1 8}
