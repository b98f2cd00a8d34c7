#!/usr/bin/env python3
"""The same training, as a program that trains one trial: the objective without its loop over seeds."""

import argparse
import json
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--momentum", type=float, required=True)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

draw = random.Random(args.seed)
points = [(x / 20, 3 * x / 20 + 1 + draw.gauss(0, 0.1)) for x in range(20)]
a = b = step_a = step_b = 0.0
with open(os.environ.get("PENTAGRID_METRICS", "/dev/stdout"), "a") as metrics:
    for epoch in range(1, args.epochs + 1):
        errors = [(x, a * x + b - y) for x, y in points]
        step_a = args.momentum * step_a + 2 * sum(e * x for x, e in errors) / len(points)
        step_b = args.momentum * step_b + 2 * sum(e for _, e in errors) / len(points)
        a, b = a - args.lr * step_a, b - args.lr * step_b
        loss = sum((a * x + b - y) ** 2 for x, y in points) / len(points)
        # Where Optuna has trial.report(loss, epoch).
        print(json.dumps({"epoch": epoch, "loss": loss}), file=metrics, flush=True)
