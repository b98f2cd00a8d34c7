#!/usr/bin/env bash
# Kills the coordinator of a real sweep with SIGKILL at random moments, lets the same command finish it, and compares with
# an undisturbed run: nothing lost, nothing run twice, tables and CSV files the same (wall-clock columns aside).
#   scripts/bench-kills.sh [KILLS=10] [SPEC=sweeps/quick.yaml]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kills=${1:-10}
spec=$(realpath "${2:-sweeps/quick.yaml}")
cargo build --locked --quiet --bins
pentagrid="$PWD/target/debug/pentagrid"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$pentagrid" run "$spec" -q --dir calm --out calm-report > /dev/null
for ((round = 1; round <= kills; round++)); do
  "$pentagrid" run "$spec" -q --dir killed --out killed-report > /dev/null 2>&1 &
  sleep "$((RANDOM % 20 + 1)).$((RANDOM % 10))"
  # One that had already finished is not there to be killed.
  kill -9 $! 2> /dev/null || true
  wait $! 2> /dev/null || true
  printf 'kill %2d: %s trials done\n' "$round" "$("$pentagrid" trials killed --state done 2> /dev/null | wc -l)"
done
"$pentagrid" run "$spec" -q --dir killed --out killed-report > /dev/null

python3 - <<'PY'
import csv, pathlib, sqlite3, sys

def without_times(path):
    rows = list(csv.reader(path.open()))
    keep = [column for column, name in enumerate(rows[0]) if "seconds" not in name]
    return [[row[column] for column in keep] for row in rows]

calm, killed = pathlib.Path("calm-report"), pathlib.Path("killed-report")
bad = [name for name in ("table1.txt", "table1.md", "table1.tex") if (calm / name).read_bytes() != (killed / name).read_bytes()]
bad += [name for name in ("table1.csv", "points.csv", "trials.csv", "history.csv") if without_times(calm / name) != without_times(killed / name)]
ledger = sqlite3.connect("killed/ledger.sqlite")
attempts = dict(ledger.execute("SELECT outcome, count(*) FROM attempt GROUP BY outcome"))
(twice,) = ledger.execute("SELECT count(*) FROM (SELECT trial FROM attempt WHERE outcome = 'done' GROUP BY trial HAVING count(*) > 1)").fetchone()
print(f"attempts: {attempts}; trials done twice: {twice}; files that differ: {bad or 'none'}")
sys.exit(1 if bad or twice else 0)
PY
