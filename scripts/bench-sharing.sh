#!/usr/bin/env bash
# What Hybrid trials save by sharing what they have in common: a grid of Hybrid with SGD with momentum beside it, run without and
# with sharing on one slot, one after the other for each beginning, and compared: the same results, and how much of the saving that
# the histories allow was had.
#   scripts/bench-sharing.sh [EPOCHS=15] [TRAIN_IMAGES=1200] [VALUES=3] [OPTION...]   5 tl and so many values of each other parameter
# TL='[0.01, 2.29]' are other thresholds than the paper's, PENTAGRID is another binary, DEVICES=cuda runs it in packs on a GPU,
# AT_ONCE=2 two beginnings side by side.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z "${PENTAGRID:-}" ]]; then
  scripts/setup.sh
  cargo build --locked --quiet --workspace --bins
fi
exec python3 scripts/bench_sharing.py "${1:-15}" "${2:-1200}" "${3:-3}" "${@:4}"
