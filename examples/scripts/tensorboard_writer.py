"""Scalars by steps for TensorBoard, in the current folder."""

import argparse

from tensorboardX import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
args = parser.parse_args()

writer = SummaryWriter()
for step in range(0, 50, 10):
    writer.add_scalar("train/loss", 1 / (1 + step * args.lr), step)
    writer.add_scalar("val/acc", 1 - args.lr / (step + 1) + args.seed / 100, step)
writer.close()
