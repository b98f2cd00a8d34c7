"""The driver of scripts/gpu-check.sh. Standard library only; PyTorch is asked for its folder and runs beside it (gpu_eager.py)."""

import argparse
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
OPTIMIZERS = ["sgd", "sgd_momentum", "adam", "adahessian", "hybrid"]
# Tuning trials of the paper's grid, sweeps/paper.yaml.
GRID = {"sgd": 25, "sgd_momentum": 125, "adam": 625, "adahessian": 625, "hybrid": 78125}
# Largest relative difference of the losses after a short epoch that is taken for rounding; TF32 has ten bits.
ROUNDING, ROUNDING_TF32 = 1e-3, 3e-2


def config(optimizer, number, small=False, **common):
    """The trial of that number: rates that differ, and that train. `small` ones are such that a rounding stays one."""
    rate = (0.1 if small else 1.0) * (1 + 0.01 * number)
    own = {
        "sgd": {"lr": 0.01 * rate},
        "sgd_momentum": {"lr": 0.005 * rate, "momentum": 0.9},
        "adam": {"lr": 0.001 * rate},
        "adahessian": {"lr": 0.01 * rate, **({"eps": 0.1} if small else {})},
        # Switches after its first epoch: the dearest that a hybrid trial can be.
        "hybrid": {"lr1": 0.005 * rate, "momentum": 0.9, "lr2": 0.01 * rate, "tl": 1e9, **({"eps": 0.1} if small else {})},
    }
    return {"optimizer": optimizer, **own[optimizer], **common}


class Trainer:
    """A worker process."""

    def __init__(self, how, device, pack):
        environment = {**how.environment, "PENTAGRID_DEVICE": device, "PENTAGRID_THREADS": str(how.threads)}
        environment.pop("PENTAGRID_PACK", None)
        if pack:
            environment["PENTAGRID_PACK"] = str(pack)
        if how.tf32:
            environment["PENTAGRID_TF32"] = "1"
        self.process = subprocess.Popen([how.trainer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        self.hello = self.read()
        self.device = device

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the trainer ended with code {self.process.wait()}: its words are above")
        return json.loads(line)

    def run(self, configs, seed=0):
        """Final metrics of the trials, in order; the seconds that all took."""
        bundle = [{"trial": str(place), "seed": seed, "config": config} for place, config in enumerate(configs)]
        began = time.monotonic()
        self.process.stdin.write(json.dumps({"type": "run", "bundle": bundle}) + "\n")
        self.process.stdin.flush()
        done = {}
        while len(done) < len(bundle):
            message = self.read()
            if message["type"] == "failed":
                raise RuntimeError(f"{message['kind']}: {message['message']}")
            if message["type"] == "done":
                done[message["trial"]] = message["metrics"]
        return [done[str(place)] for place in range(len(bundle))], time.monotonic() - began

    def memory(self):
        """MiB that it has at most had (CPU), or that the GPU has in use now."""
        if self.device == "cpu":
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) // 1024
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
        out = subprocess.run(asked + (["-i", visible] if visible else []), capture_output=True, text=True).stdout.split()
        return int(out[0]) if out else None

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def number(value):
    return float(value) if not isinstance(value, str) else float(value.replace("Infinity", "inf"))


def apart(found, expected):
    """The largest relative difference of the losses."""
    names = ["train_loss", "val_loss", "test_loss"]
    return max(abs(number(found[name]) - number(expected[name])) / abs(number(expected[name])) for name in names)


def correctness(how):
    """Single trials and a pack of three on the device, against single trials on the CPU."""
    rows = []
    cpu, single, pack = Trainer(how, "cpu", 1), Trainer(how, how.device, 1), Trainer(how, how.device, 3)
    limit = ROUNDING_TF32 if how.tf32 else ROUNDING
    for optimizer in how.optimizers:
        epochs = 2 if optimizer == "hybrid" else 1
        configs = [config(optimizer, place, small=True, epochs=epochs, train_images=200) for place in range(3)]
        expected, alone, packed = (worker.run(configs)[0] for worker in (cpu, single, pack))
        row = {"optimizer": optimizer}
        row["single"] = max(apart(*pair) for pair in zip(alone, expected))
        row["pack"] = max(apart(*pair) for pair in zip(packed, expected))
        row["right"] = bool(row["single"] <= limit and row["pack"] <= limit)
        rows.append(row)
        how.say(f"  {optimizer:<13} single {row['single']:.1e}  pack {row['pack']:.1e}  {'right' if row['right'] else 'WRONG'}")
    # Batches of 20 by kernels of our own, of 10 by libtorch's.
    for optimizer, size in [("sgd_momentum", 20), ("adahessian", 20), ("sgd_momentum", 10)]:
        configs = [config(optimizer, place, small=True, epochs=1, train_images=40, batch_size=size) for place in range(3)]
        expected, packed = cpu.run(configs)[0], pack.run(configs)[0]
        row = {"optimizer": f"{optimizer}, batches of {size}", "pack": max(apart(*pair) for pair in zip(packed, expected))}
        row["right"] = bool(row["pack"] <= limit)
        rows.append(row)
        how.say(f"  {row['optimizer']:<27} pack {row['pack']:.1e}  {'right' if row['right'] else 'WRONG'}")
    # A model that diverges is seen to, and does nothing to its neighbours.
    for optimizer in ["sgd", "adahessian"]:
        tame = [config(optimizer, place, small=True, epochs=1, train_images=200) for place in range(2)]
        expected, packed = cpu.run(tame)[0], pack.run([tame[0], {**tame[0], "lr": 1e30}, tame[1]])[0]
        row = {"optimizer": f"{optimizer}, one diverges", "pack": max(apart(*pair) for pair in zip(packed[::2], expected))}
        lost = not math.isfinite(number(packed[1]["train_loss"]))
        row["right"] = bool(row["pack"] <= limit and lost)
        rows.append(row)
        how.say(f"  {row['optimizer']:<27} pack {row['pack']:.1e}  {'right' if row['right'] else 'WRONG'}")
    for worker in (cpu, single, pack):
        worker.end()
    return rows


def rate(how, optimizer, models, worker):
    """Trials per second in packs of so many, and memory: what the trainer holds by then, so that larger packs come after smaller ones."""
    row = {"optimizer": optimizer, "pack": models}
    try:
        # A first epoch waits for kernels and memory.
        first = 2 if optimizer == "hybrid" else 1
        worker.run([config(optimizer, place, epochs=min(first, how.epochs), train_images=how.images) for place in range(models)])
        # So that one takes long enough to be measured.
        repeats = 1 if models > 4 else how.repeats
        seconds = [
            worker.run([config(optimizer, place, epochs=how.epochs, train_images=how.images) for place in range(models)])[1]
            for _ in range(repeats)
        ]
        row["seconds_per_trial"] = min(seconds) / models
        row["trials_per_second"] = models / min(seconds)
        row["memory_mib"] = worker.memory()
        row["device"] = worker.hello["device"]
        row["libraries"] = worker.hello.get("libraries", [])
    except RuntimeError as problem:
        row["problem"] = str(problem)[:300]
    return row


def eager(how, optimizer):
    """Seconds a trial of eager PyTorch; None where it does not run."""
    command = [how.python, HERE / "gpu_eager.py", how.device, optimizer, str(how.epochs), str(how.images), str(how.repeats)]
    command += [str(how.threads), "1" if how.tf32 else "0"]
    environment = {**os.environ, "NVIDIA_TF32_OVERRIDE": "1" if how.tf32 else "0"}
    if how.tf32:
        environment.pop("NVIDIA_TF32_OVERRIDE")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        how.say(f"  eager PyTorch does not run: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return json.loads(done.stdout)


def table(how, result):
    lines = [
        f"{result['machine']}: {result['device']}; {result['torch']}; TF32 {'on' if how.tf32 else 'off'}",
        f"{how.epochs} epochs of {how.images} images in batches of 100, scores and gradient norms every epoch",
        "",
        f"{'optimizer':<13} {'pack':>5} {'ms/trial':>9} {'trials/s':>9} {'x eager':>8} {'memory MiB':>10}",
    ]
    for row in result["rates"]:
        if "problem" in row:
            lines.append(f"{row['optimizer']:<13} {row['pack']:>5} {row['problem'][:60]}")
            continue
        base = (result["eager"].get(row["optimizer"]) or {}).get("seconds_per_trial")
        factor = f"{base / row['seconds_per_trial']:.1f}" if base else "-"
        lines.append(
            f"{row['optimizer']:<13} {row['pack']:>5} {1000 * row['seconds_per_trial']:>9.1f} {row['trials_per_second']:>9.2f}"
            f" {factor:>8} {row['memory_mib'] or '-':>10}"
        )
    lines.append("")
    for optimizer, row in result["eager"].items():
        if row:
            lines.append(f"eager PyTorch, {optimizer:<13} {1000 * row['seconds_per_trial']:.1f} ms/trial")
    lines += ["", "Hours for the paper's grid (79,525 tuning trials), each optimizer at its best pack, nothing shared:"]
    lines += [f"  {name:<13} {hours:.2f}" for name, hours in result["hours"].items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="gpu-check.sh", description="Checks and measures the built-in trainer on a GPU.")
    parser.add_argument("--bin", default=HERE.parent / "target/debug", help="folder of pentagrid-trainer")
    parser.add_argument("--python", default=sys.executable, help="Python with torch 2.11, for libtorch and for eager PyTorch")
    parser.add_argument("--libtorch", help="folder of libtorch's libraries, instead of the Python install's; 'linked': as built")
    parser.add_argument("--out", default=".", help="folder of gpu-check.json and gpu-check.txt")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu: a rehearsal")
    parser.add_argument("--pack", default="1,8,25,50,100", help="sizes of packs")
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=3, help="of a measurement of few trials; the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--no-eager", action="store_true", help="without eager PyTorch")
    how = parser.parse_args()
    how.optimizers = how.optimizers.split(",")
    how.trainer = pathlib.Path(how.bin).resolve() / "pentagrid-trainer"
    if not how.trainer.is_file():
        raise SystemExit(f"there is no {how.trainer}: name its folder with --bin")
    how.say = lambda text: print(text, file=sys.stderr, flush=True)

    torch = "libtorch as linked"
    how.environment = dict(os.environ)
    if how.libtorch != "linked":
        code = "import torch, pathlib; print(pathlib.Path(torch.__file__).parent / 'lib'); print(torch.__version__)"
        asked = subprocess.run([how.python, "-c", code], capture_output=True, text=True)
        if asked.returncode != 0:
            raise SystemExit(f"{how.python} has no torch: install torch==2.11.0 there, or name another with --python")
        libraries, version = asked.stdout.split()
        if not version.startswith("2.11."):
            raise SystemExit(f"{how.python} has torch {version}; the trainer is built against 2.11")
        torch = f"torch {version}"
        libraries = how.libtorch or libraries
        how.environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [libraries, os.environ.get("LD_LIBRARY_PATH")]))

    starts = []
    for _ in range(2):
        began = time.monotonic()
        worker = Trainer(how, how.device, None)
        starts.append(time.monotonic() - began)
        device, wish, libraries = worker.hello["device"], worker.hello.get("pack", 1), worker.hello["libraries"]
        worker.end()
    how.say(f"{device}: {', '.join(libraries)}; the trainer starts in {starts[0]:.1f} s, the second time in {starts[1]:.1f} s")
    result = {"machine": platform.node(), "device": device, "torch": torch, "tf32": how.tf32, "wish": wish, "libraries": libraries, "starts": starts,
              "epochs": how.epochs, "images": how.images, "cpu_threads": how.threads}
    how.say("against the CPU: largest relative difference of the losses")
    result["correctness"] = correctness(how)
    result["eager"], result["rates"] = {}, []
    for optimizer in how.optimizers:
        result["eager"][optimizer] = None if how.no_eager else eager(how, optimizer)
        sizes = sorted(map(int, how.pack.split(",")))
        worker = Trainer(how, how.device, sizes[-1])
        for models in sizes:
            row = rate(how, optimizer, models, worker)
            result["rates"].append(row)
            how.say(f"  {optimizer:<13} pack {models:>3}: {row.get('problem') or '%.1f ms/trial' % (1000 * row['seconds_per_trial'])}")
        worker.end()
    best = {}
    for row in result["rates"]:
        if "problem" not in row:
            best[row["optimizer"]] = min(best.get(row["optimizer"], float("inf")), row["seconds_per_trial"])
    result["hours"] = {name: GRID[name] * seconds / 3600 for name, seconds in best.items()}
    if set(best) == set(OPTIMIZERS):
        result["hours"]["all"] = sum(result["hours"].values())

    out = pathlib.Path(how.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu-check.json").write_text(json.dumps(result, indent=1) + "\n")
    text = table(how, result)
    (out / "gpu-check.txt").write_text(text)
    print(text, end="")
    wrong = [row["optimizer"] for row in result["correctness"] if not row["right"]]
    if wrong:
        raise SystemExit(f"wrong on {how.device}: {', '.join(wrong)}")


main()
