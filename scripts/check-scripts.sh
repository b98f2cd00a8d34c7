#!/usr/bin/env bash
# Runs the scripts of examples/scripts, which know nothing of pentagrid, with the real libraries from
# PyPI, each through a sweep of two points and two seeds, and compares the tables with the expected ones.
#   scripts/check-scripts.sh [NAME...]     names: wandb_args, tensorboard_writer, ...
#   UPDATE=1 scripts/check-scripts.sh      writes the expected tables anew: look at the difference
# The libraries go to target/scripts-venv, which is made once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
source=$root/examples/scripts
venv=$root/target/scripts-venv
names=("$@")
((${#names[@]})) || names=(wandb_args wandb_config best_epoch tensorboard_writer progress_bar tables hydra_app)

if ! cmp -s "$source/requirements.txt" "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$source/requirements.txt"
  cp "$source/requirements.txt" "$venv/installed.txt"
fi
cargo build --locked --quiet --bin pentagrid

# `python` and `python3` are those of the environment; nothing may be sent anywhere.
export PATH=$venv/bin:$PATH WANDB_SILENT=true PYTHONDONTWRITEBYTECODE=1
unset WANDB_MODE WANDB_DIR WANDB_API_KEY
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$source"/* "$work" 2> /dev/null || true
cd "$work"

failed=0
for name in "${names[@]}"; do
  printf '== %s\n' "$name"
  if ! "$root/target/debug/pentagrid" run "$name.yaml" --devices cpu:2 > "$name.log" 2>&1; then
    cat "$name.log"
    failed=1
    continue
  fi
  rows=$(python3 - "runs/$name/ledger.sqlite" <<'PYTHON'
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute("SELECT unit, count(*) FROM epoch GROUP BY unit ORDER BY unit")
print(", ".join(f"{count} rows by {unit}" for unit, count in rows) or "no history")
PYTHON
  )
  { cat "reports/$name/table1.txt"; printf '\n%s\n' "$rows"; } > "$name.txt"
  if [[ ${UPDATE-} ]]; then
    mkdir -p "$source/expected"
    cp "$name.txt" "$source/expected/"
  elif ! diff -u "$source/expected/$name.txt" "$name.txt"; then
    failed=1
  fi
done
exit "$failed"
