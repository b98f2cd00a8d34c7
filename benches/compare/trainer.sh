#!/usr/bin/env bash
# The built-in trainer beside PyTorch as people run it: trials of the paper's network an hour, for each optimizer, both
# sides in turn on one machine; how far the steps are from the machine's matrix products. CPU only.
#   benches/compare/trainer.sh [EPOCHS=15] [TRIALS=2] [OPTIMIZER ...]
# PENTAGRID names another binary, PENTAGRID_COMPARE_VENV a virtual environment with the packages below. Without one it makes one:
# 4.8 GB, since PyTorch's wheel does not load without its CUDA libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [[ -z "${PENTAGRID:-}" ]]; then
  cargo build --locked --quiet --workspace --bins
fi
venv="${PENTAGRID_COMPARE_VENV:-target/compare-torch-venv}"
if ! "$venv/bin/python" -c 'import torch, torch_optimizer, torchvision' 2> /dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet numpy torch==2.11.0 torchvision==0.26.0 torch-optimizer==0.3.0
fi
exec "$venv/bin/python" -W ignore benches/compare/trainer.py "$@"
