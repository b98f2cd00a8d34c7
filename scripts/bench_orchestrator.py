"""The driver of bench-orchestrator.sh. CPU time is the coordinator's own, all its threads (/proc/PID/stat, 10 ms steps), and peak
memory its VmHWM; what it starts is not in them. Nothing is deleted before the end: on ext4 without a journal, files that were
deleted a minute ago make new ones slow."""

import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
PENTAGRID = TOP / "target/debug/pentagrid"
EXAMPLES = TOP / "target/debug/examples"
HZ = os.sysconf("SC_CLK_TCK")
QUICK = "quick" in sys.argv[1:]
ONLY_PROCESSES = "processes" in sys.argv[1:]
failures = 0


class Cost:
    """What a command took: seconds, CPU seconds of that process alone, and its peak memory in MB."""

    def __init__(self, work, *arguments, program=PENTAGRID):
        began = time.monotonic()
        child = subprocess.Popen([program, *map(str, arguments)], cwd=work, stdout=subprocess.DEVNULL)
        self.memory = 0.0
        while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            try:
                for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.memory = int(line.split()[1]) / 1024
            except OSError:
                pass
            time.sleep(0.005)
        self.wall = time.monotonic() - began
        # It is a zombie now: its times stand, without those of its children.
        fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / HZ
        child.wait()
        assert child.returncode == 0, f"it failed: {arguments}"


def judge(value, most, unit):
    global failures
    good = value <= most
    failures += not good
    return f"{'ok' if good else 'MISSED'} (aim: {most:g} {unit})"


def spec(work, name, who, x, y, seeds):
    (work / f"{name}.yaml").write_text(
        f"name: {name}\n{who}\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: {seeds}, final: 0}}\n"
        f"parameters: {{x: {{values: {list(range(x))}}}, y: {{values: {list(range(y))}}}}}\n"
    )
    return x * y * seeds


def curve(work):
    print("Trials that do nothing, 5 seeds a point, one at a time through two persistent workers, every result durable.")
    print("CPU: the coordinator's, with the ledger's thread; the report is measured by itself and taken off.\n")
    print("| trials | CPU ms a trial | with the report | wall ms a trial | report s | peak MB | ledger MB | |\n|---|---|---|---|---|---|---|---|")
    scale = 10 if QUICK else 1
    for trials, x, y, repeats in [(1000, 10, 20, 5), (10_000, 40, 50, 2), (100_000 // scale, 100, 200 // scale, 1)]:
        cpu = wall = report = memory = report_wall = 0.0
        for turn in range(repeats):
            name = f"worker{trials}-{turn}" if (work / f"worker{trials}.yaml").exists() else f"worker{trials}"
            count = spec(work, name, f"worker: ['{EXAMPLES / 'noop_worker'}']", x, y, 5)
            assert count == trials, count
            run = Cost(work, "run", f"{name}.yaml", "-q", "--devices", "cpu:2")
            again = Cost(work, "report", f"runs/{name}")
            cpu, wall, memory = cpu + run.cpu, wall + run.wall, max(memory, run.memory)
            report, report_wall = report + again.cpu, report_wall + again.wall
        n = trials * repeats
        size = (work / "runs" / f"worker{trials}" / "ledger.sqlite").stat().st_size / 1e6
        verdict = ""
        if trials == 100_000:
            verdict = judge(cpu / n * 1000, 0.1, "ms with the report") + ", " + judge(memory, 300, "MB")
        print(
            f"| {trials} | {(cpu - report) / n * 1000:.3f} | {cpu / n * 1000:.3f} | {(wall - report_wall) / n * 1000:.3f} "
            f"| {report_wall / repeats:.2f} | {memory:.0f} | {size:.1f} | {verdict} |",
            flush=True,
        )
    return f"worker{100_000 // scale}"


def commands(work, name):
    print(f"\nCommands on the ledger of {name[6:]} finished trials, nothing left to run, the best of three.\n")
    print("| command | seconds | CPU s | peak MB | |\n|---|---|---|---|---|")
    for arguments in [("plan", f"{name}.yaml"), ("status", f"runs/{name}"), ("resume", f"runs/{name}", "-q", "--devices", "cpu:2")]:
        best = min((Cost(work, *arguments) for _ in range(3)), key=lambda cost: cost.wall)
        print(f"| {arguments[0]} | {best.wall:.2f} | {best.cpu:.2f} | {best.memory:.0f} | {judge(best.wall, 0.5, 's')} |", flush=True)


def paper(work):
    axis = "{values: [1, 2, 3, 4, 5]}"
    most = "[1, 2]" if QUICK else "[1, 2, 3, 4, 5]"
    (work / "paper.yaml").write_text(
        f"""name: paper
worker: ['{EXAMPLES / "fake_worker"}']
metric: {{name: score, goal: maximize}}
seeds: {{tune: 5, final: 10}}
parameters: {{epochs: {{value: 15}}}}
arms:
  sgd: {{parameters: {{x: {axis}}}}}
  momentum: {{parameters: {{x: {axis}, b: {axis}}}}}
  adam: {{parameters: {{x: {axis}, c: {axis}, d: {axis}}}}}
  adahessian: {{parameters: {{x: {axis}, e: {axis}, f: {axis}}}}}
  hybrid: {{parameters: {{x: {axis}, g: {axis}, h: {axis}, i: {axis}, j: {axis}, k: {{values: {most}}}}}}}
"""
    )
    run = Cost(work, "run", "paper.yaml", "-q", "--devices", "cpu:2")
    report = Cost(work, "report", "runs/paper")
    size = (work / "runs/paper/ledger.sqlite").stat().st_size / 1e6
    print("\nThe paper's grid (79,525 tuning and 50 final trials, 15 epochs of history each) on a worker that computes a formula.\n")
    print("| what | measured | |\n|---|---|---|")
    print(f"| run, with the report | {run.wall:.1f} s, {run.cpu:.1f} s of CPU, {run.memory:.0f} MB | |")
    print(f"| report | {report.wall:.1f} s | {judge(report.wall, 10, 's')} |")
    print(f"| report, peak memory | {report.memory:.0f} MB | {judge(report.memory, 1000, 'MB')} |")
    print(f"| ledger | {size:.0f} MB | {judge(size, 500, 'MB')} |", flush=True)


def no_op(work):
    """A program that does nothing but print its result."""
    program = work / "noop.sh"
    program.write_text("#!/bin/sh\necho '{\"score\": 1}'\n")
    program.chmod(0o755)
    return program


def loop(program, trials, log):
    """A bare loop: starts programs, two at a time, and waits for whichever ends first."""
    began = time.monotonic()
    with open(log, "w") as out:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)]
        running = 0
        for _ in range(trials):
            if running == 2:
                os.wait()
                running -= 1
            os.posix_spawn(program, [program], os.environ, file_actions=actions, setpgroup=0)
            running += 1
        for _ in range(running):
            os.wait()
    return time.monotonic() - began


SHELL_LOOP = """running=0
for trial in $(seq "$2"); do
  "$1" &
  if [ $((++running)) -ge 2 ]; then wait -n; running=1; fi
done
wait
"""


def shell(program, trials, log):
    """The loop that people write in a shell, two programs at a time."""
    began = time.monotonic()
    with open(log, "w") as out:
        subprocess.run(["bash", "-c", SHELL_LOOP, "bash", program, str(trials)], stdout=out, check=True)
    return time.monotonic() - began


def xargs(program, trials, log):
    """`xargs -P 2`, as careful people do."""
    began = time.monotonic()
    lines = "".join(f"{trial}\n" for trial in range(trials)).encode()
    with open(log, "w") as out:
        subprocess.run(["xargs", "-P", "2", "-n", "1", program], input=lines, stdout=out, check=True)
    return time.monotonic() - began


def processes(work):
    """The loops and the sweep in turn, so that whatever else the machine does meets all; the median round counts."""
    side, rounds = (32 if QUICK else 100), 3
    program = no_op(work)
    found = []
    for turn in range(rounds):
        name = f"programs{turn}"
        trials = spec(work, name, f"command: ['{program}']", side, side, 1)
        # What earlier rounds wrote goes to the disk now, and not in the middle of this one.
        os.sync()
        bare = loop(str(program), trials // 2, work / "loop.log")
        run = Cost(work, "run", f"{name}.yaml", "-q", "--devices", "cpu:2")
        bare += loop(str(program), trials - trials // 2, work / "loop.log")
        report = Cost(work, "report", f"runs/{name}")
        with_xargs, with_bash = (way(str(program), trials, work / "loop.log") for way in [xargs, shell])
        found.append(((run.wall - report.wall) / bare, bare, run.wall - report.wall, run.cpu - report.cpu, with_xargs, with_bash))
    ratio, bare, wall, cpu, with_xargs, with_bash = (statistics.median(figures) for figures in zip(*found))
    each = ", ".join(f"{figures[0]:.2f}" for figures in sorted(found))
    print(f"\nA process for each trial (a shell script that prints its result), two at a time: {rounds} times {trials} trials, each between")
    print("two halves of a bare loop of the same program that keeps nothing. Medians.\n")
    print("| what | seconds | ms a trial | |\n|---|---|---|---|")
    print(f"| bare loop (posix_spawn and wait) | {bare:.1f} | {bare / trials * 1000:.3f} | |")
    print(f"| xargs -P 2 | {with_xargs:.1f} | {with_xargs / trials * 1000:.3f} | |")
    print(f"| bash, `&` and `wait -n` | {with_bash:.1f} | {with_bash / trials * 1000:.3f} | |")
    print(f"| pentagrid, the report taken off | {wall:.1f} | {wall / trials * 1000:.3f} | |")
    print(f"| of that CPU of the coordinator | {cpu:.1f} | {cpu / trials * 1000:.3f} | |")
    print(f"| ratio of a round ({each}) | {ratio:.2f} | | {judge(ratio, 1.3, 'times the bare loop')} |", flush=True)


def main():
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    work = pathlib.Path(tempfile.mkdtemp(prefix="pentagrid-orchestrator-"))
    try:
        if not ONLY_PROCESSES:
            commands(work, curve(work))
            paper(work)
        processes(work)
    finally:
        shutil.rmtree(work)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end; {failures} figures missed")


if __name__ == "__main__":
    main()
