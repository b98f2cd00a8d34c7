"""The accuracy on test data after every epoch; the loss on validation data says which counts."""

import argparse

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
args = parser.parse_args()

wandb.init(project="toy", config=args)
losses = [0.9, 0.1, 0.9] if args.lr == 1 else [0.5, 0.5, 0.5]
for epoch, loss in enumerate(losses):
    wandb.log({"epoch": epoch, "val/loss": loss, "test/acc": args.lr + epoch / 10 + args.seed / 10000})
