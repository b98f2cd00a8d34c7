#!/usr/bin/env bash
# What the orchestrator itself costs: trials that do nothing through persistent workers (the curve from 1,000 to 100,000), a
# process for each trial beside a bare loop of processes, and each command on big ledgers. Prints a table, with the figures that
# are aimed at.
#   scripts/bench-orchestrator.sh [quick] [processes]   # quick: a tenth of the trials; processes: only a process for each trial
# TMPDIR=/dev/shm keeps the run directories in memory: what the file system costs is then left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --quiet --bins --examples
exec python3 scripts/bench_orchestrator.py "$@"
