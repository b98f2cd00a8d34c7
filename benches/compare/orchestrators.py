"""The driver of orchestrators.sh: the same grid of trials that do nothing, through each tool; trials per second."""

import os
import pathlib
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PENTAGRID = TOP / "target/debug/pentagrid"
FAKE_WORKER = TOP / "target/debug/examples/fake_worker"
SLOTS = 2


def sweep(work, trials, who, name):
    """A grid of so many points with one seed each, run by pentagrid; returns the seconds that the sweep took, report aside."""
    side = round(trials**0.5)
    values = list(range(1, side + 1))
    (work / f"{name}.yaml").write_text(
        f"name: {name}\n{who}\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\n"
        f"parameters: {{x: {{values: {values}}}, y: {{values: {values}}}, epochs: {{value: 0}}}}\n"
    )
    began = time.monotonic()
    subprocess.run(
        [PENTAGRID, "run", f"{name}.yaml", "-q", "--devices", f"cpu:{SLOTS}"], cwd=work, check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.monotonic() - began
    done = sqlite3.connect(work / "runs" / name / "ledger.sqlite").execute("SELECT count(*) FROM trial WHERE state = 'done'").fetchone()[0]
    assert done == side * side, done
    return done, seconds


def worker(work, trials):
    return sweep(work, trials, f"worker: ['{FAKE_WORKER}']", "worker")


def programs(work, trials):
    script = work / "noop.sh"
    script.write_text('#!/bin/sh\necho \'{"score": 1}\'\n')
    script.chmod(0o755)
    return sweep(work, trials, f"command: ['{script}']", "programs")


def spawn_loop(work, trials):
    """What a bare loop of so many processes takes, two at a time as the others have it: the floor of a process per trial."""
    log = (work / "loop.log").open("w")
    began = time.monotonic()
    running = []
    for _ in range(trials):
        if len(running) == SLOTS:
            running.pop(0).wait()
        running.append(subprocess.Popen([work / "noop.sh"], stdout=log))
    for child in running:
        child.wait()
    return trials, time.monotonic() - began


def parallel(work, trials):
    began = time.monotonic()
    subprocess.run(
        ["parallel", "--will-cite", "--jobs", str(SLOTS), "--joblog", "joblog", str(work / "noop.sh"), ":::", *map(str, range(trials))],
        cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return trials, time.monotonic() - began


def optuna_grid(storage):
    def run(work, trials):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        side = round(trials**0.5)
        grid = {"x": list(range(side)), "y": list(range(side))}
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.GridSampler(grid),
            storage=f"sqlite:///{work}/optuna.db" if storage == "sqlite" else None,
        )

        def objective(trial):
            return trial.suggest_int("x", 0, side - 1) + trial.suggest_int("y", 0, side - 1)

        began = time.monotonic()
        study.optimize(objective)
        seconds = time.monotonic() - began
        assert len(study.trials) == side * side
        return side * side, seconds

    return run


def ray_tune(work, trials):
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_DEDUP_LOGS="0")
    import ray
    from ray import tune

    ray.init(num_cpus=SLOTS, logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    side = round(trials**0.5)

    def objective(config):
        tune.report({"score": config["x"] + config["y"]})

    space = {"x": tune.grid_search(list(range(side))), "y": tune.grid_search(list(range(side)))}
    configuration = tune.RunConfig(storage_path=str(work / "ray"), verbose=0)
    began = time.monotonic()
    results = tune.Tuner(objective, param_space=space, run_config=configuration).fit()
    seconds = time.monotonic() - began
    assert len(results) == side * side
    ray.shutdown()
    return side * side, seconds


def main():
    trials = int(sys.argv[1])
    # The slower a tool, the fewer trials: a rate needs no hour.
    rows = [
        ("pentagrid, worker", trials, worker, "durable, with the report"),
        ("Optuna GridSampler, in memory", trials // 10, optuna_grid("memory"), "not durable, one process"),
        ("Optuna GridSampler, SQLite", trials // 40, optuna_grid("sqlite"), "durable, one process"),
        ("Ray Tune grid_search", trials // 40, ray_tune, "snapshots, actor per trial"),
        ("pentagrid, a process per trial", trials // 5, programs, "durable, with the report"),
        ("bare loop of processes", trials // 5, spawn_loop, "nothing kept"),
        ("GNU parallel --joblog", trials // 5, parallel, "job log"),
    ]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {SLOTS} trials at a time; a trial does nothing\n")
    print("| tool | trials | seconds | trials a second | what it keeps |\n|---|---|---|---|---|")
    for name, count, run, keeps in rows:
        with tempfile.TemporaryDirectory(prefix="pentagrid-compare-") as place:
            work = pathlib.Path(place)
            script = work / "noop.sh"
            script.write_text('#!/bin/sh\necho \'{"score": 1}\'\n')
            script.chmod(0o755)
            done, seconds = run(work, count)
            print(f"| {name} | {done} | {seconds:.1f} | {done / seconds:.0f} | {keeps} |", flush=True)


if __name__ == "__main__":
    main()
