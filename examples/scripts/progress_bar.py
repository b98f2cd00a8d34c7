"""Results for people, under a progress bar."""

import argparse

from tqdm import tqdm

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
args = parser.parse_args()

for epoch in range(1, 4):
    bar = tqdm(range(20))
    for step in bar:
        bar.set_postfix_str(f"train loss {9.99}, val acc {0.0}%")
    print(f"Epoch {epoch}: train loss {args.lr / epoch:.2f}, val acc {80 + epoch - args.lr + args.seed:.2f}%")
