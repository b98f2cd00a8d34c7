#!/usr/bin/env python3
"""A training program that was written for W&B's sweeps. What was added is marked: three lines, and a seed."""

import argparse
import json
import os
import random

try:
    import wandb
except ImportError:
    wandb = None  # pentagrid does not need it

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--seed", type=int, default=0)  # added
args = parser.parse_args()
if wandb:
    wandb.init(config=vars(args))
metrics = open(os.environ.get("PENTAGRID_METRICS", os.devnull), "a")  # added


def log(row):
    if wandb:
        wandb.log(row)
    print(json.dumps(row), file=metrics, flush=True)  # added


draw = random.Random(args.seed)
points = [(x / 20, 3 * x / 20 + 1 + draw.gauss(0, 0.1)) for x in range(20)]
a = b = step_a = step_b = 0.0
for epoch in range(1, 21):
    errors = [(x, a * x + b - y) for x, y in points]
    step_a = args.momentum * step_a + 2 * sum(e * x for x, e in errors) / len(points)
    step_b = args.momentum * step_b + 2 * sum(e for _, e in errors) / len(points)
    a, b = a - args.lr * step_a, b - args.lr * step_b
    loss = sum((a * x + b - y) ** 2 for x, y in points) / len(points)
    log({"epoch": epoch, "loss": loss})
