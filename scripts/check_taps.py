"""The driver of scripts/check-taps.sh. Standard library only."""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

PENTAGRID = os.environ.get("PENTAGRID", pathlib.Path(__file__).resolve().parent.parent / "target/debug/pentagrid")
ACCURACIES = ["train_accuracy", "val_accuracy", "test_accuracy"]


def run(spec, options, folder, report, dead_taps):
    environment = os.environ | {"PENTAGRID_PRECISION": "double", "PENTAGRID_DEAD_TAPS": "1" if dead_taps else "0"}
    command = [PENTAGRID, "run", spec, "-q", *options, "--dir", folder, "--out", report]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def results(folder):
    """By point, arm's order and seed: phase, final metrics and the losses of all epochs."""
    ledger = sqlite3.connect(folder / "ledger.sqlite")
    found = {}
    for key, point, seed, phase, metrics in ledger.execute("SELECT id, point, seed, phase, metrics FROM trial"):
        rows = [json.loads(row) for (row,) in ledger.execute("SELECT metrics FROM epoch WHERE trial = ? ORDER BY position", (key,))]
        losses = [float(value) for row in rows for name, value in row.items() if name.endswith("_loss")]
        found[point, seed] = (phase, {name: float(json.loads(metrics)[name]) for name in ACCURACIES}, losses)
    return found


def main():
    spec, options = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="pentagrid-taps-") as place:
        work = pathlib.Path(place)
        run(spec, options, work / "cut", work / "cut-report", False)
        run(spec, options, work / "whole", work / "whole-report", True)
        cut, whole = results(work / "cut"), results(work / "whole")
    both = sorted(cut.keys() & whole.keys())
    selected = lambda found: {point for (point, _), (phase, _, _) in found.items() if phase == "final"}
    print(f"{len(cut)} trials without dead taps, {len(whole)} with them, {len(both)} of both; the same points selected: "
          f"{'yes' if selected(cut) == selected(whole) else 'NO'}")
    unequal = [key for key in both if cut[key][1] != whole[key][1]]
    print(f"all three final accuracies equal: {len(both) - len(unequal)} of {len(both)}")
    for point, seed in unequal:
        print(f"  {point}, seed {seed}: {cut[point, seed][1]} against {whole[point, seed][1]}")
    # A loss that is not finite is one as well as the other, or it is not.
    apart = lambda a, b: 0.0 if a == b or (a != a and b != b) else abs(a - b) / max(abs(a), abs(b))
    shares = sorted(max(map(apart, cut[key][2], whole[key][2]), default=0.0) for key in both)
    print(f"losses of all epochs, the greatest difference of a trial, as a share: median {shares[len(shares) // 2]:.1e}, at most {shares[-1]:.1e}")
    sys.exit(0 if not unequal and len(both) == len(cut) == len(whole) else 1)


if __name__ == "__main__":
    main()
