"""The driver of scripts/torture.sh: kills and interrupts at random, checks after each sweep. Standard library only."""

import collections
import csv
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PENTAGRID = TOP / "target/debug/pentagrid"
FAKE_WORKER = TOP / "target/debug/examples/fake_worker"
# Everything that a sweep starts inherits this, so that what is left can be found.
MARK = f"PENTAGRID_TORTURE={os.getpid()}"

# Trials that are killed are tried again: `retries` is so high that none fails for good by being chosen often.
FAKE = f"""
name: torture
worker: [{FAKE_WORKER}]
metric: {{name: score, goal: maximize}}
seeds: {{tune: 3, final: 3}}
limits: {{retries: 100}}
parameters: {{epochs: {{value: 15}}, epoch_ms: {{value: 15}}}}
arms:
  near: {{label: Near, parameters: {{x: {{values: [1, 2, 3, 4, 5, 6]}}}}}}
  far: {{label: Far, parameters: {{x: {{values: [7, 8, 9]}}, deep: {{parameters: {{a: {{values: [0.5, 1]}}}}}}}}}}
"""
REAL = """
name: torture
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 2}
limits: {retries: 100}
parameters: {epochs: {value: 2}, batch_size: {value: 20}, train_images: {value: 100}}
arms:
  sgd: {parameters: {optimizer: {value: sgd}, lr: {values: [0.01, 0.1, 1]}}}
  adahessian: {parameters: {optimizer: {value: adahessian}, lr: {values: [0.01, 0.1]}}}
"""
# A program for each trial, which leaves a child behind if it is killed alone.
PROGRAM = """
name: torture
command: [bash, ./train.sh, "${args_no_hyphens}"]
metric: {name: score, goal: maximize}
seeds: {tune: 3, final: 3}
limits: {retries: 100}
arms:
  low: {parameters: {x: {values: [1, 2, 3, 4, 5]}}}
  high: {parameters: {x: {values: [6, 7, 8]}, y: {values: [1, 2]}}}
"""
SCRIPT = """
trap 'exit 0' TERM
for argument in "$@"; do eval "$argument"; done
sleep 0.2 &
for epoch in 1 2 3 4; do
  sleep 0.03
  echo "{\\"epoch\\": $epoch, \\"score\\": $((x * 10 + seed % 7 + epoch))}" >> $PENTAGRID_METRICS
done
wait
"""
INTERRUPTED = 130
TABLES = ("table1.txt", "table1.md", "table1.tex")
DATA = ("table1.csv", "points.csv", "trials.csv", "history.csv")


def start(work, name):
    environment = dict(os.environ, NO_COLOR="1")
    environment.update([MARK.split("=")])
    arguments = [PENTAGRID, "run", "sweep.yaml", "-q", "--devices", "cpu:2", "--dir", name, "--out", f"{name}-report"]
    # However this script was started (`nohup`, `&`), the program does not ignore what it is sent.
    usual = lambda: [signal.signal(which, signal.SIG_DFL) for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] and None
    return subprocess.Popen(arguments, preexec_fn=usual, cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=(work / f"{name}.stderr").open("a"))


def ask(folder, sql):
    """Rows of a query on a ledger; none while there is no ledger."""
    try:
        ledger = sqlite3.connect(f"file:{folder / 'ledger.sqlite'}?mode=ro", uri=True, timeout=30)
        try:
            return ledger.execute(sql).fetchall()
        finally:
            ledger.close()
    except sqlite3.Error:
        return []


def recorded(folder):
    return dict(ask(folder, "SELECT point || '-' || seed, metrics FROM trial WHERE state = 'done'"))


def started(pid):
    """When a process was started, in ticks; None if it is not there, or dead and not yet waited for."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def marked():
    """Processes of any sweep of this torture."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if MARK.encode() in environment.split(b"\0") and started(folder.name) is not None:
            found.append(int(folder.name))
    return found


def without_times(path):
    rows = list(csv.reader(path.open()))
    keep = [column for column, name in enumerate(rows[0]) if "seconds" not in name]
    return [[row[column] for column in keep] for row in rows]


def disturb(work, name, draw, kills, counts, longest):
    """Runs a sweep to its end under at most so many kills; returns how many there were, and what went wrong."""
    folder, wrong, killed, known = work / name, [], 0, {}
    while True:
        coordinator = start(work, name)
        while killed < kills:
            try:
                coordinator.wait(draw.uniform(0, longest))
                break
            except subprocess.TimeoutExpired:
                pass
            workers = ask(folder, "SELECT pid, start_ticks FROM worker WHERE ended_at IS NULL")
            alive = [pid for pid, ticks in workers if started(pid) == ticks]
            victim = draw.choice(["coordinator", "worker", "all", "interrupted"])
            if victim == "worker" and not alive:
                continue
            killed += 1
            counts[victim] += 1
            if victim in ("worker", "all"):
                for pid in alive if victim == "all" else [draw.choice(alive)]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            if victim in ("coordinator", "all"):
                coordinator.kill()
                coordinator.wait()
                break
            if victim == "interrupted":
                # Ctrl-C: not a kill, but nothing may be lost by it either.
                coordinator.send_signal(signal.SIGINT)
                coordinator.wait()
                break
        else:
            coordinator.wait()
        now = recorded(folder)
        wrong += [f"lost or changed: {trial}" for trial, metrics in known.items() if now.get(trial) != metrics]
        known = now
        if coordinator.returncode >= 0 and coordinator.returncode != INTERRUPTED:
            break
    if coordinator.returncode != 0:
        wrong.append(f"exit code {coordinator.returncode}: {(work / f'{name}.stderr').read_text()[-500:]}")
    return killed, wrong


def compare(work, name):
    """What differs between a sweep that was disturbed and one that was not, and what it did that it should not."""
    calm, report = work / "calm-report", work / f"{name}-report"
    if not report.is_dir():
        return ["there is no report"]
    wrong = [f"{file} differs" for file in TABLES if (calm / file).read_bytes() != (report / file).read_bytes()]
    wrong += [f"{file} differs" for file in DATA if without_times(calm / file) != without_times(report / file)]
    again = "SELECT count(*) FROM attempt a JOIN attempt d ON d.trial = a.trial AND d.outcome = 'done' AND a.id > d.id"
    wrong += [f"{count} attempts after a result" for (count,) in ask(work / name, again) if count]
    open_ends = "SELECT count(*) FROM attempt WHERE outcome = 'running' UNION ALL SELECT count(*) FROM worker WHERE ended_at IS NULL"
    wrong += ["an attempt or a worker without an end" for (count,) in ask(work / name, open_ends) if count]
    patience = time.monotonic() + 10
    while marked() and time.monotonic() < patience:
        time.sleep(0.05)
    return wrong + [f"process {pid} was left" for pid in marked()]


def torture(spec, what, kills, longest, draw):
    with tempfile.TemporaryDirectory(prefix="pentagrid-torture-") as place:
        work = pathlib.Path(place)
        (work / "sweep.yaml").write_text(spec)
        (work / "train.sh").write_text(SCRIPT)
        if start(work, "calm").wait() != 0:
            sys.exit(f"the undisturbed sweep failed: {(work / 'calm.stderr').read_text()}")
        counts, sweeps, wrong, done = collections.Counter(), 0, [], 0
        while done < kills:
            sweeps += 1
            more, bad = disturb(work, f"sweep{sweeps}", draw, kills - done, counts, longest)
            done += more
            wrong += [f"sweep {sweeps}: {line}" for line in bad + compare(work, f"sweep{sweeps}")]
            print(f"{what}: sweep {sweeps} finished, {done} of {kills} kills, {len(wrong)} things wrong", flush=True)
        attempts = collections.Counter()
        for number in range(1, sweeps + 1):
            attempts.update(dict(ask(work / f"sweep{number}", "SELECT outcome, count(*) FROM attempt GROUP BY outcome")))
        victims = ", ".join(f"{count} of {victim}" for victim, count in sorted(counts.items()))
        print(f"{what}: {done} kills ({victims}) in {sweeps} sweeps; attempts: {dict(attempts)}; wrong: {len(wrong)}", flush=True)
        return wrong


def main():
    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    print(f"{kills} kills, seed {seed}", flush=True)
    draw = random.Random(seed)
    real, programs = kills // 4, kills // 4
    wrong = torture(FAKE, "scripted worker", kills - real - programs, 1.0, draw)
    wrong += torture(PROGRAM, "a program for each trial", programs, 1.0, draw)
    wrong += torture(REAL, "real training", real, 6.0, draw)
    print("\n".join(wrong) or "nothing lost, nothing run again after its result was recorded, no process left, all tables the same")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
