"""Arguments by argparse, metrics to W&B, the best accuracy in the summary."""

import argparse
import random

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

wandb.init(project="toy", config=vars(args))
noise = random.Random(args.seed)
best = 0.0
for epoch in range(args.epochs):
    loss = abs(args.lr - 0.3) + 1 / (epoch + 1) + noise.random() / 100
    accuracy = 1 - loss / 3
    best = max(best, accuracy)
    wandb.log({"epoch": epoch, "val/loss": loss, "val/acc": accuracy})
wandb.summary["best"] = best
