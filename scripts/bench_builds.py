"""Which of several builds starts processes faster: rounds of short sweeps (a process for each trial, two at a time), the builds in
turn, each between two halves of a bare loop. A single round says little: whatever else machine and disk do moves it by a tenth.

    python3 scripts/bench_builds.py [--rounds 24] [--trials 2000] BINARY...
"""

import argparse
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bench_orchestrator as bench


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--trials", type=int, default=2000, help="trials of a round, a multiple of 100")
    parser.add_argument("builds", nargs="+", metavar="BINARY", type=pathlib.Path)
    arguments = parser.parse_args()
    builds = [build.resolve(strict=True) for build in arguments.builds]
    work = pathlib.Path(tempfile.mkdtemp(prefix="pentagrid-builds-"))
    try:
        program = bench.no_op(work)
        trials = bench.spec(work, "sweep", f"command: ['{program}']", max(arguments.trials // 100, 1), 100, 1)
        found = [[] for _ in builds]
        for turn in range(arguments.rounds):
            order = list(range(len(builds)))
            for number in order if turn % 2 == 0 else reversed(order):
                where = ["--dir", f"run{turn}-{number}", "--out", f"report{turn}-{number}"]
                os.sync()
                bare = bench.loop(str(program), trials // 2, work / "loop.log")
                run = bench.Cost(work, "run", "sweep.yaml", "-q", "--devices", "cpu:2", *where, program=builds[number])
                bare += bench.loop(str(program), trials - trials // 2, work / "loop.log")
                report = bench.Cost(work, "report", where[1], *where[2:], program=builds[number])
                found[number].append(((run.wall - report.wall) / bare, run.cpu - report.cpu, bare))
    finally:
        shutil.rmtree(work)
    print(f"{arguments.rounds} rounds of {trials} trials each, medians; in brackets the middle half.\n")
    print("| build | times the bare loop | CPU of the coordinator, ms a trial | bare loop, ms |\n|---|---|---|---|")
    for build, rounds in zip(builds, found):
        ratios, cpu, bare = zip(*rounds)
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        milliseconds = [statistics.median(times) / trials * 1000 for times in (cpu, bare)]
        print(f"| {build} | {middle:.2f} ({low:.2f} to {high:.2f}) | {milliseconds[0]:.3f} | {milliseconds[1]:.3f} |")


if __name__ == "__main__":
    main()
