"""The driver of scripts/bench-sharing.sh. Standard library only."""

import concurrent.futures
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

PENTAGRID = os.environ.get("PENTAGRID", pathlib.Path(__file__).resolve().parent.parent / "target/debug/pentagrid")
# The paper's thresholds are for its 1200 images: with few the loss falls less, and others are crossed.
THRESHOLDS = json.loads(os.environ.get("TL", "[0.01, 0.5, 1, 1.5, 2]"))
TIMES = {"seconds", "training_seconds"}
# On a GPU trials go in packs and wall-clock time counts.
DEVICES = os.environ.get("DEVICES", "cpu:1")


RATES, MOMENTA = [0.005, 0.01, 0.05], [0.9, 0.8, 0.95]
# So many beginnings go side by side, each on a slot of its own.
AT_ONCE = int(os.environ.get("AT_ONCE", "1"))


def sweep(epochs, images, values, rate, momentum):
    few = lambda all_values: "{values: " + json.dumps(all_values[:values]) + "}"
    return f"""
name: sharing
task: mnist-resnet18
metric: {{name: val_accuracy, goal: maximize}}
seeds: {{tune: 1, final: 0}}
parameters: {{epochs: {{value: {epochs}}}, train_images: {{value: {images}}}}}
arms:
  momentum: {{parameters: {{optimizer: {{value: sgd_momentum}}, lr: {{value: {rate}}}, momentum: {{value: {momentum}}}}}}}
  hybrid:
    parameters:
      optimizer: {{value: hybrid}}
      tl: {{values: {THRESHOLDS}}}
      lr1: {{value: {rate}}}
      momentum: {{value: {momentum}}}
      lr2: {few([0.05, 0.1, 0.01])}
      beta1: {few([0.9, 0.8, 0.95])}
      beta2: {few([0.999, 0.99, 0.95])}
"""


def run(work, name, *options):
    """Wall-clock seconds and CPU seconds, the trainer's included."""
    began = time.monotonic()
    child = subprocess.Popen(
        [PENTAGRID, "run", "sweep.yaml", "-q", "--devices", DEVICES, *sys.argv[4:], *options, "--dir", name, "--out", f"{name}-report"],
        cwd=work, stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{work / name}: exit code {child.returncode}"
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def both_ways(work, text, sharing_first):
    """A sweep without and with sharing, one after the other: wall-clock and CPU seconds of each."""
    work.mkdir()
    (work / "sweep.yaml").write_text(text)
    ways = [("alone", "--no-sharing"), ("shared",)]
    found = {name: run(work, name, *options) for name, *options in (reversed(ways) if sharing_first else ways)}
    print(f"{work.name}: " + ", ".join(f"{name} {cpu:.0f} s" for name, (_, cpu) in sorted(found.items())), file=sys.stderr, flush=True)
    return found["alone"] + found["shared"]


def results(folder):
    """Of each trial: its configuration, final metrics and history, and the seconds of its epochs."""
    ledger = sqlite3.connect(folder / "ledger.sqlite")
    found = {}
    for key, point, config, metrics in ledger.execute("SELECT t.id, t.point, p.config, t.metrics FROM trial t JOIN point p USING (point)"):
        rows = [json.loads(row) for (row,) in ledger.execute("SELECT metrics FROM epoch WHERE trial = ? ORDER BY position", (key,))]
        found[point] = (json.loads(config), json.loads(metrics), rows)
    return found


def lasting(found):
    keep = lambda values: {name: value for name, value in values.items() if name not in TIMES}
    return {point: (config, keep(metrics), [keep(row) for row in rows]) for point, (config, metrics, rows) in found.items()}


def phases(found):
    """Of all epochs and of those that differ: how many are of SGD with momentum and how many of AdaHessian; and what the steps of one
    take, the median in the run that shared nothing: single epochs also tell of other work on the machine."""
    every, unique, seconds = [0, 0], set(), ([], [])
    for config, metrics, rows in found.values():
        hybrid = config["optimizer"] == "hybrid"
        beginning = (config["lr1"] if hybrid else config["lr"], config["momentum"])
        switch = metrics.get("switch_epoch") if hybrid else None
        for epoch, row in enumerate(rows, 1):
            second = switch is not None and epoch > switch
            ending = (switch, config["lr2"], config["beta1"], config["beta2"]) if second else None
            every[second] += 1
            unique.add((beginning, ending, epoch))
            seconds[second].append(row["seconds"])
    differ = [sum((ending is not None) == second for _, ending, _ in unique) for second in [False, True]]
    return every, differ, [statistics.median(times) if times else 0.0 for times in seconds]


def main():
    epochs, images, values = map(int, sys.argv[1:4])
    alone = alone_cpu = shared = shared_cpu = 0.0
    first, second = {}, {}
    with tempfile.TemporaryDirectory(prefix="pentagrid-sharing-") as place:
        # Trials of different beginnings have nothing in common. One beginning after the other, both ways: whatever else the machine
        # does meets both.
        beginnings = [(rate, momentum) for rate in RATES[:values] for momentum in MOMENTA[:values]]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            begun = []
            for turn, (rate, momentum) in enumerate(beginnings):
                work = pathlib.Path(place) / f"rate {rate}, momentum {momentum}"
                begun.append((work, pool.submit(both_ways, work, sweep(epochs, images, values, rate, momentum), turn % 2 == 1)))
            for work, done in begun:
                costs = done.result()
                alone, alone_cpu, shared, shared_cpu = (a + b for a, b in zip((alone, alone_cpu, shared, shared_cpu), costs))
                first |= results(work / "alone")
                second |= results(work / "shared")
        same = lasting(first) == lasting(second)
        if DEVICES.startswith("cuda"):
            alone_cpu, shared_cpu = alone, shared
            accuracies = [(float(metrics["val_accuracy"]), float(second[point][1]["val_accuracy"])) for point, (_, metrics, _) in first.items()]
            apart = sum(b - a for a, b in accuracies) / len(accuracies)
            print(f"{sum(a == b for a, b in accuracies)} of {len(accuracies)} final accuracies are equal, on average {apart:+.2f} points apart: "
                  "packs of other sizes round otherwise")
        every, differ, cost = phases(first)
        weighed = lambda counts: sum(number * seconds for number, seconds in zip(counts, cost))
        nominal, unique, count = weighed(every), weighed(differ), sum(differ)
        all_epochs = sum(len(rows) for _, _, rows in first.values())
        switched = sum(1 for _, metrics, _ in first.values() if metrics.get("switch_epoch") is not None)
        print(f"{switched} trials crossed their thresholds")
        print(f"{len(first)} trials, {all_epochs} epochs of which {count} differ; results bit for bit the same: {'yes' if same else 'NO'}")
        print(f"alone {alone:.1f} s, shared {shared:.1f} s: {alone / shared:.2f} times as fast; by their steps alone the histories allow {nominal / unique:.2f} times")
        kind = "Wall-clock" if DEVICES.startswith("cuda") else "CPU"
        print(f"{kind} time alone {alone_cpu:.1f} s, shared {shared_cpu:.1f} s: {alone_cpu / shared_cpu:.2f} times less")
        # A history's seconds are its steps'. What an epoch costs besides, scoring above all, is the same for each.
        besides = max(alone_cpu - nominal, 0) / all_epochs
        least = unique + count * besides
        print(f"epochs of SGD with momentum: {every[0]}, {differ[0]} of them differ, {cost[0]:.3f} s for the steps of one (median); "
              f"of AdaHessian: {every[1]}, {differ[1]}, {cost[1]:.3f} s")
        print(f"an epoch costs its steps, {nominal / all_epochs:.3f} s on average, and {besides:.3f} s besides")
        # CPU time: other work on the machine stretches one run more than the other.
        had, allowed = 1 - shared_cpu / alone_cpu, 1 - least / alone_cpu
        print(f"{100 * had:.1f} % of the time was saved, {100 * allowed:.1f} % could be: {100 * had / allowed:.1f} % of what the histories allow")
        sys.exit(0 if same or DEVICES.startswith("cuda") else 1)


if __name__ == "__main__":
    main()
