#!/usr/bin/env bash
# Checks and measures the built-in trainer on a machine with an NVIDIA GPU that has a Python with torch 2.11 and no Rust: right numbers on
# the GPU, trials per second by size of pack and optimizer, beside eager PyTorch on the same card, memory, hours for the paper's grid.
# Writes gpu-check.json and gpu-check.txt.
#
#   scripts/gpu-check.sh [--bin DIR] [--python PYTHON] [--out DIR] [--pack 1,8,25,50,100] [--optimizers sgd,...] [--tf32] ...
#
# To take there: scripts/gpu-check.sh, gpu_check.py and gpu_eager.py in one folder, and target/debug/pentagrid-trainer. The trainer finds
# libtorch in the Python install (LD_LIBRARY_PATH) and loads its CUDA library by itself. `--device cpu` is a rehearsal without a GPU.
# All options: --help.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python=python3
words=("$@")
for ((i = 0; i < ${#words[@]}; i++)); do
    if [ "${words[i]}" = --python ]; then python="${words[i + 1]:?--python needs a program}"; fi
done
exec "$python" "$here/gpu_check.py" "$@"
