#!/usr/bin/env bash
# What the orchestrator itself costs: trials that do nothing through persistent workers (the curve from 1,000 to 100,000), a
# process for each trial beside a bare loop of processes, and each command on big ledgers. Prints a table, with the figures that
# are aimed at.
#   scripts/bench-orchestrator.sh [quick]       # quick: a tenth of the trials
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --quiet --bins --examples
exec python3 scripts/bench_orchestrator.py "$@"
