"""The driver of scripts/bench-racing.sh, and the worker that it uses. Standard library only."""

import csv
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PENTAGRID = ROOT / "target/debug/pentagrid"
# Recorded seconds that pass in one second here.
SPEED = 2000
WAYS = [("full grid", None, []), ("prune: safe", "safe", []), ("with --best-first", "safe", ["--best-first"])]


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def records(path):
    """Final metrics by arm-independent configuration and seed, and the names of the parameters."""
    rows = list(csv.DictReader(open(path, newline="")))
    columns = list(rows[0])
    metrics = {"train_accuracy", "val_accuracy", "test_accuracy", "train_loss", "val_loss", "test_loss", "training_seconds", "switch_epoch"}
    parameters = [name for name in columns[6:] if name not in metrics]
    found = {}
    for row in rows:
        config = frozenset((name, number(row[name])) for name in parameters if row[name] != "")
        found[config, int(row["seed"])] = {name: float(row[name]) for name in columns if name in metrics and row[name] != ""}
    return rows, found


def worker(path):
    """Speaks the worker protocol, and says of each trial what the CSV says."""
    _, found = records(path)
    say = lambda **message: print(json.dumps(message), flush=True)
    say(type="hello", protocol=1, program="replay", version="1", device="recorded", threads=1)
    for line in sys.stdin:
        for trial in json.loads(line)["bundle"]:
            say(type="started", trial=trial["trial"])
            config = frozenset((name, float(value) if not isinstance(value, str) else value) for name, value in trial["config"].items())
            metrics = found.get((config, trial["seed"]))
            if metrics is None:
                say(type="failed", trial=trial["trial"], kind="bad_config", message="not in the CSV")
                continue
            time.sleep(metrics["training_seconds"] / SPEED)
            say(type="done", trial=trial["trial"], metrics=metrics)


def without(text, block):
    return re.sub(rf"^{block}:.*\n(?:(?:[ #].*)?\n)*", "", text, flags=re.M)


def sweep(report, prune):
    """The spec of a report, for the worker that answers from its CSV."""
    text = without(without((report / "spec.yaml").read_text(), "published"), "claims")
    program = [sys.executable, str(pathlib.Path(__file__).resolve()), "--worker", str(report / "trials.csv")]
    text = re.sub(r"^task:.*$", "worker: " + json.dumps(program), text, flags=re.M)
    if prune:
        text = re.sub(r"(^metric: \{.*?)\}", r"\1, best: 100}", text, flags=re.M) + f"\nprune: {prune}\n"
    return text


def run(work, name, text, slots, options):
    (work / f"{name}.yaml").write_text(text)
    subprocess.run(
        [PENTAGRID, "run", f"{name}.yaml", "-q", "--devices", f"cpu:{slots}", "--dir", name, "--out", f"{name}-report", *options],
        cwd=work, check=True, stdout=subprocess.DEVNULL,
    )
    ledger = sqlite3.connect(work / name / "ledger.sqlite")
    tuned = [json.loads(metrics) for (metrics,) in ledger.execute("SELECT metrics FROM trial WHERE phase = 'tune' AND state = 'done'")]
    points = list(csv.DictReader(open(work / f"{name}-report" / "points.csv", newline="")))
    selected = [(row["arm"], row["position"]) for row in points if row["selected"] == "true"]
    return len(tuned), sum(metrics["training_seconds"] for metrics in tuned), selected


def main(slots):
    print(f"{'grid':<14}{'slots':>6}  {'way':<20}{'tuning trials':>14}{'saved':>8}{'training time':>16}{'saved':>8}  selected")
    for report in sorted((ROOT / "reports").iterdir()):
        if not (report / "trials.csv").is_file():
            continue
        rows, _ = records(report / "trials.csv")
        tuned = [row for row in rows if row["phase"] == "tune"]
        if len({row["point"] for row in tuned}) <= len({row["arm"] for row in tuned}):
            continue  # nothing was searched
        full = None
        for count in slots:
            for way, prune, options in WAYS:
                with tempfile.TemporaryDirectory() as work:
                    trials, seconds, selected = run(pathlib.Path(work), "race", sweep(report, prune), count, options)
                full = full or (trials, seconds, selected)
                share = lambda part, whole: f"{100 * (1 - part / whole):.0f} %"
                same = "the same" if selected == full[2] else f"DIFFER: {selected}, not {full[2]}"
                print(
                    f"{report.name:<14}{count:>6}  {way:<20}{trials:>14}{share(trials, full[0]):>8}"
                    f"{seconds / 60:>12.1f} min{share(seconds, full[1]):>8}  {same}",
                    flush=True,
                )
                if selected != full[2]:
                    sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(pathlib.Path(sys.argv[2]))
    else:
        main([int(count) for count in sys.argv[1:]] or [1, 8])
