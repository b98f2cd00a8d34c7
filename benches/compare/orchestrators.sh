#!/usr/bin/env bash
# How many trials a second an orchestrator gets through when a trial does nothing: this one beside Optuna, Ray Tune and GNU
# parallel, in one run on one machine. Installs what it compares with: a virtual environment from PyPI, and GNU parallel from Debian.
#   benches/compare/orchestrators.sh [TRIALS=10000]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --locked --quiet --bins --examples
venv="${PENTAGRID_COMPARE_VENV:-target/compare-venv}"
if ! "$venv/bin/python" -c 'import optuna, ray.tune' 2> /dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet optuna 'ray[tune]'
fi
command -v parallel > /dev/null || apt-get install --yes --quiet parallel > /dev/null
exec "$venv/bin/python" benches/compare/orchestrators.py "${1:-10000}"
