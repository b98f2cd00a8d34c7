"""Everything from wandb.config: there are no arguments."""

import wandb

run = wandb.init(project="toy", config={"lr": 0.1, "optimizer": {"name": "sgd", "beta": 0.0}, "seed": 0})
config = wandb.config
for epoch in range(3):
    loss = abs(config.lr - 0.001) + config.optimizer["beta"] / (epoch + 1) + config.seed
    wandb.log({"epoch": epoch, "loss": loss})
run.finish()
