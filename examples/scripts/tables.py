"""The files of Lightning's CSVLogger and of Hugging Face's Trainer, as these libraries write them."""

import argparse
import csv
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--output_dir")
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
args = parser.parse_args()

rows, log_history = [], []
for epoch in range(2):
    step = 3 * epoch + 2
    rows.append({"epoch": epoch, "step": step, "train_loss": args.lr / (epoch + 1)})
    rows.append({"epoch": epoch, "step": step, "val_acc": 0.5 + epoch / 4 + args.seed / 100 - args.lr / 10})
    log_history.append({"epoch": epoch + 0.33, "step": step - 1, "loss": args.lr})
    log_history.append({"epoch": epoch + 1.0, "step": step, "eval_acc": 0.25 + epoch / 4 + args.seed / 100})

version = os.path.join(args.output_dir, "lightning_logs", "version_0")
os.makedirs(version)
for seen in range(1, len(rows) + 1):
    # The whole table is written again whenever there is a new column.
    names = sorted({name for row in rows[:seen] for name in row})
    with open(os.path.join(version, "metrics.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows[:seen])
with open(os.path.join(args.output_dir, "trainer_state.json"), "w") as file:
    json.dump({"best_metric": None, "epoch": 2.0, "global_step": 5, "log_history": log_history}, file)
