#!/usr/bin/env bash
# Whether the weights that the built-in network leaves out change anything: a sweep in double precision, where rounding does not
# decide, once as always and once with every weight of torchvision's ResNet18; then every trial's accuracies and losses side by side.
#   scripts/check-taps.sh [SPEC=sweeps/quick.yaml] [OPTION...]     options of `pentagrid run`; about 45 minutes of one core
# PENTAGRID is another binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z "${PENTAGRID:-}" ]]; then
  scripts/setup.sh
  cargo build --locked --quiet --workspace --bins
fi
exec python3 scripts/check_taps.py "${1:-sweeps/quick.yaml}" "${@:2}"
