#!/usr/bin/env bash
# What the coordinator itself costs: a sweep of the paper's size (79,525 tuning and 50 final trials of 15 epochs) on a
# worker that computes a formula, and then each command on its ledger. Prints seconds and peak memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --quiet --bins --examples
programs="$PWD/target/debug"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

axis='{values: [1, 2, 3, 4, 5]}'
cat > big.yaml <<YAML
name: big
worker: ["$programs/examples/fake_worker"]
metric: {name: score, goal: maximize}
seeds: {tune: 5, final: 10}
parameters: {epochs: {value: 15}}
arms:
  sgd: {parameters: {x: $axis}}
  momentum: {parameters: {x: $axis, b: $axis}}
  adam: {parameters: {x: $axis, c: $axis, d: $axis}}
  adahessian: {parameters: {x: $axis, e: $axis, f: $axis}}
  hybrid: {parameters: {x: $axis, g: $axis, h: $axis, i: $axis, j: $axis, k: $axis}}
YAML

measure() {
  python3 - "$programs/pentagrid" "$@" <<'PY'
"""Runs a command, and prints its wall-clock time and the peak memory of that one process."""
import os, sys, time

start = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, f"it failed: {sys.argv[1:]}"
print(f"{time.monotonic() - start:8.2f} s {usage.ru_maxrss / 1024:8.1f} MiB  pentagrid {' '.join(sys.argv[2:])}")
PY
}

measure plan big.yaml
measure run big.yaml -q --devices cpu:2
measure run big.yaml -q --devices cpu:2 # nothing is left to do: the report again
measure report runs/big
measure status runs/big
measure show runs/big "$("$programs/pentagrid" trials runs/big | head -n 1 | cut -d ' ' -f 1)"
du -h runs/big/ledger.sqlite reports/big/history.csv
