"""The driver of scripts/check-export.sh: reads the exports with the tools that they are for. Argument: the folder of exports, and of the run."""

import json
import pathlib
import sqlite3
import sys
import xml.etree.ElementTree

import optuna
import pandas
import polars
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

exports, run = map(pathlib.Path, sys.argv[1:3])
optuna.logging.set_verbosity(optuna.logging.WARNING)
ledger = sqlite3.connect(run / "ledger.sqlite")
trials = {
    f"{point}-{seed}": (phase, state, json.loads(config), json.loads(metrics) if metrics else {})
    for point, seed, phase, state, config, metrics in ledger.execute(
        "SELECT t.point, t.seed, t.phase, t.state, p.config, t.metrics FROM trial t JOIN point p USING (point)"
    )
}
history = {}
for point, seed, epoch, metrics in ledger.execute(
    "SELECT t.point, t.seed, CAST(e.position AS INTEGER), e.metrics FROM epoch e JOIN trial t ON t.id = e.trial ORDER BY e.position"
):
    history.setdefault(f"{point}-{seed}", []).append((epoch, json.loads(metrics)))
number = lambda value: float(value.replace("Infinity", "inf")) if isinstance(value, str) else float(value)
same = lambda a, b: a == b or (a != a and b != b)


def tables(name, frame, columns):
    found = {row["trial"]: row for row in frame}
    assert set(found) == set(trials), name
    for trial, (phase, state, config, metrics) in trials.items():
        row = found[trial]
        assert (row["phase"], row["state"]) == (phase, state)
        for key, value in metrics.items():
            assert same(float(row[key]), number(value)), (name, trial, key)
        for key, value in config.items():
            assert row[key] == value or str(row[key]) == str(value), (name, trial, key, row[key], value)
    print(f"{name}: {len(found)} trials, {columns} columns")


frame = pandas.read_parquet(exports / "trials.parquet")
tables("pandas, Parquet", frame.to_dict("records"), len(frame.columns))
frame = polars.read_parquet(exports / "trials.parquet")
tables("polars, Parquet", frame.to_dicts(), len(frame.columns))
rows = polars.read_parquet(exports / "history.parquet")
assert len(rows) == sum(len(rows) for rows in history.values())
for row in rows.to_dicts():
    for key, value in dict(history[row["trial"]])[row["epoch"]].items():
        assert same(row[key], number(value))
print(f"polars, Parquet: {len(rows)} rows of history")
frame = pandas.read_csv(exports / "trials.csv")
assert set(frame["trial"]) == set(trials)
print(f"pandas, CSV: {len(frame)} trials, {len(pandas.read_csv(exports / 'history.csv'))} rows of history")

runs = list((exports / "tensorboard").glob("*/*"))
assert {path.name for path in runs} == set(trials)
scalars = 0
for path in runs:
    events = EventAccumulator(str(path))
    events.Reload()
    for epoch, metrics in history.get(path.name, []):
        for key, value in metrics.items():
            (found,) = [event.value for event in events.Scalars(key) if event.step == epoch]
            expected = number(value)
            assert same(found, expected) or abs(found - expected) <= 1e-6 * abs(expected), (path, key, found, value)
            scalars += 1
    start = plugin_data_pb2.HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    config = trials[path.name][2]
    for key, value in config.items():
        kind = start.session_start_info.hparams[key].WhichOneof("kind")
        assert getattr(start.session_start_info.hparams[key], kind) == value, (path, key)
    end = plugin_data_pb2.HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content)
    assert (end.session_end_info.status == 1) == (trials[path.name][1] == "done")
print(f"TensorBoard: {len(runs)} runs, {scalars} scalars, with hyper-parameters")

storage = JournalStorage(JournalFileBackend(str(exports / "optuna.journal")))
seen = set()
for summary in optuna.get_all_study_summaries(storage):
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    metric = study.user_attrs["metric"]
    for trial in study.trials:
        name = trial.user_attrs["trial"]
        phase, state, config, metrics = trials[name]
        seen.add(name)
        assert phase == "tune"
        assert all(config[key] == value for key, value in trial.params.items()), (trial.params, config)
        assert len(trial.params) == len(config)
        if state == "done" and number(metrics[metric]) == number(metrics[metric]):
            assert trial.state.name == "COMPLETE" and trial.value == number(metrics[metric])
        expected = {epoch: number(row[metric]) for epoch, row in history.get(name, []) if metric in row}
        assert trial.intermediate_values == expected
    print(f"Optuna: study {study.study_name}, {len(study.trials)} trials, best {study.best_value} with {study.best_params}")
assert seen == {name for name, (phase, *_) in trials.items() if phase == "tune"}

suites = xml.etree.ElementTree.parse(exports / "junit.xml").getroot()
cases = suites.findall("testsuite/testcase")
assert len(cases) == len(trials) == int(suites.get("tests"))
assert len(suites.findall("testsuite/testcase/failure")) == sum(state == "failed" for _, state, *_ in trials.values())
print(f"JUnit: {len(cases)} test cases")
