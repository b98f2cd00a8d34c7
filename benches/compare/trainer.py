"""The driver of trainer.sh: trials of the paper's network by PyTorch, as people run them, and by pentagrid.

PyTorch: one process a trial, one after the other, default threads, torchvision's ResNet18 with the authors' first layer,
torch.optim, torch-optimizer's AdaHessian. Ours: `pentagrid run` with its defaults, a one-thread worker a core. On both sides
the time counts from the start of the first process to the end of the last, and after each epoch the training and the
validation set are scored, at the end the test set, as the authors' program does.
"""

import gzip
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
MNIST = TOP / "crates/trainer/src/data/mnist"
PENTAGRID = os.environ.get("PENTAGRID", str(TOP / "target/debug/pentagrid"))
BATCH = 100
# Multiply-adds an image in a forward pass where padding is not multiplied (docs/benchmarks.md), and the passes' worth of a step: forward,
# and backward to the maps and to the weights; with second derivatives, each of the two backward products has two more.
FORWARD = 17.9e6
PASSES = {"sgd": 3, "sgd_momentum": 3, "adam": 3, "adahessian": 9}
OPTIMIZERS = {
    "sgd": {"lr": 0.01},
    "sgd_momentum": {"lr": 0.005, "momentum": 0.9},
    "adam": {"lr": 0.001},
    "adahessian": {"lr": 0.1},
}
TARGETS = {"sgd": 2.0, "sgd_momentum": 2.0, "adam": 2.5, "adahessian": 2.0}


def images(torch, split):
    """Images and labels of a set, as torchvision's `ToTensor` scales them."""
    import numpy as np

    def read(name, header):
        return np.frombuffer(gzip.decompress((MNIST / name).read_bytes())[header:], np.uint8).copy()

    pixels = torch.from_numpy(read(f"{split}-images-idx3-ubyte.gz", 16)).view(-1, 1, 28, 28)
    return torch.utils.data.TensorDataset(pixels.float() / 255, torch.from_numpy(read(f"{split}-labels-idx1-ubyte.gz", 8)).long())


def torch_trial(name, seed, epochs):
    """One trial in this process. Prints what it found and where its time went, as JSON."""
    import torch
    import torch_optimizer
    import torchvision

    torch.manual_seed(seed)
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    settings = dict(OPTIMIZERS[name])
    make = {"sgd": torch.optim.SGD, "sgd_momentum": torch.optim.SGD, "adam": torch.optim.Adam, "adahessian": torch_optimizer.Adahessian}
    optimizer = make[name](net.parameters(), **settings)
    loss_of = torch.nn.CrossEntropyLoss()
    sets = {split: torch.utils.data.DataLoader(images(torch, split), batch_size=BATCH) for split in ["train", "val", "test"]}

    def score(split):
        net.eval()
        loss, right = 0.0, 0
        with torch.no_grad():
            for x, y in sets[split]:
                logits = net(x)
                loss += loss_of(logits, y).item() * len(y)
                right += (logits.argmax(1) == y).sum().item()
        net.train()
        count = len(sets[split].dataset)
        return loss / count, 100 * right / count

    steps, scoring_train = [], 0.0
    for _ in range(epochs):
        began = time.monotonic()
        for x, y in sets["train"]:
            optimizer.zero_grad()
            loss_of(net(x), y).backward(create_graph=name == "adahessian")
            optimizer.step()
        steps.append((time.monotonic() - began) / len(sets["train"]))
        began = time.monotonic()
        train = score("train")
        scoring_train += time.monotonic() - began
        val = score("val")
    print(json.dumps({"steps": steps, "scoring_train": scoring_train, "train": train, "val": val, "test": score("test")}))


def by_torch(name, seed, epochs):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--trial", name, str(seed), str(epochs)], check=True, stdout=subprocess.PIPE
    )
    return time.monotonic() - began, json.loads(done.stdout)


def by_pentagrid(work, name, epochs, trials):
    """Seconds of the sweep, of each step (of each epoch), and the mean accuracies on the validation set."""
    parameters = {"optimizer": name, "epochs": epochs, "batch_size": BATCH, **OPTIMIZERS[name]}
    spec = {
        "name": name,
        "task": "mnist-resnet18",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "seeds": {"tune": trials, "final": 0},
        "parameters": {key: {"value": value} for key, value in parameters.items()},
    }
    (work / f"{name}.yaml").write_text(json.dumps(spec))
    began = time.monotonic()
    subprocess.run([PENTAGRID, "run", f"{name}.yaml", "-q", "--devices", "cpu"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    ledger = sqlite3.connect(work / "runs" / name / "ledger.sqlite")
    rows = [json.loads(row) for (row,) in ledger.execute("SELECT metrics FROM epoch")]
    finals = [json.loads(row) for (row,) in ledger.execute("SELECT metrics FROM trial WHERE state = 'done'")]
    assert len(finals) == trials and len(rows) == trials * epochs
    return seconds, [row["seconds"] / 12 for row in rows], [final["val_accuracy"] for final in finals]


# The products of one thread of one process, in a process each: so many at once.
PRODUCT = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
best, end = 9.0, time.monotonic() + 1.5
while time.monotonic() < end:
    began = time.monotonic()
    for _ in range(4):
        a @ b
    best = min(best, (time.monotonic() - began) / 4)
print(2 * 1024**3 / best / 1e9)
"""


def products(processes, threads):
    """GFLOP/s of products of 1024x1024 matrices in single precision, summed over the processes."""
    start = lambda: subprocess.Popen([sys.executable, "-c", PRODUCT, str(threads)], stdout=subprocess.PIPE)
    children = [start() for _ in range(processes)]
    return sum(float(child.communicate()[0]) for child in children)


def main():
    arguments = sys.argv[1:]
    epochs, trials = (int(argument) for argument in [*arguments[:2], "15", "2"][:2]) if len(arguments) != 1 else (int(arguments[0]), 2)
    names = arguments[2:] or list(OPTIMIZERS)
    cores = len(os.sched_getaffinity(0))
    peaks = {"one thread": products(1, 1), f"{cores} threads": products(1, cores), f"{cores} processes": products(cores, 1)}
    print(f"{cores} cores; matrix products, GFLOP/s: " + ", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()))
    print(f"{trials} trials of {epochs} epochs on each side, taken in turn; load before: {os.getloadavg()[0]:.1f}\n")
    print("| optimizer | PyTorch: trials an hour | without scoring the training set | pentagrid: trials an hour | ratio | ratio without | target | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    steps = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pentagrid-compare-") as place:
            theirs = [by_torch(name, 0, epochs)]
            # A sweep in the middle of the trials of the other side: what the machine does besides meets both.
            theirs += [by_torch(name, seed, epochs) for seed in range(1, trials // 2)]
            seconds, our_steps, ours_val = by_pentagrid(pathlib.Path(place), name, epochs, trials)
            theirs += [by_torch(name, seed, epochs) for seed in range(len(theirs), trials)]
        rate = 3600 * trials / sum(seconds for seconds, _ in theirs)
        lean = 3600 * trials / sum(seconds - found["scoring_train"] for seconds, found in theirs)
        our_rate = 3600 * trials / seconds
        ratio, target = our_rate / rate, TARGETS[name]
        verdict = "reached" if ratio >= target else "missed"
        print(f"| {name} | {rate:.1f} | {lean:.1f} | {our_rate:.1f} | {ratio:.2f} | {our_rate / lean:.2f} | {target:.1f} | {verdict} |", flush=True)
        their_steps = [step for _, found in theirs for step in found["steps"]]
        their_val = statistics.mean(found["val"][1] for _, found in theirs)
        steps.append((name, their_steps, our_steps, their_val, statistics.mean(ours_val)))
    print("\nMilliseconds a step, median and least of the epochs' means; ours in each of the workers, which all run at once.\n")
    print("| optimizer | PyTorch | pentagrid | GFLOP a step | GFLOP/s of all workers | share of the products' | val accuracy, PyTorch | pentagrid |")
    print("|---|---|---|---|---|---|---|---|")
    for name, their_steps, our_steps, their_val, our_val in steps:
        work = 2 * FORWARD * BATCH * PASSES[name] / 1e9
        rate = cores * work / statistics.median(our_steps)
        show = lambda values: f"{1000 * statistics.median(values):.0f} ({1000 * min(values):.0f})"
        print(f"| {name} | {show(their_steps)} | {show(our_steps)} | {work:.1f} | {rate:.0f} | {100 * rate / peaks[f'{cores} processes']:.0f} % | {their_val:.1f} | {our_val:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--trial"]:
        torch_trial(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
