"""A Hydra app: configuration in a file, results in the output folder."""

import json
import os

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=".", config_name="hydra_app_config")
def main(config: DictConfig) -> float:
    loss = abs(config.optimizer.lr - 0.1) + config.seed / 100
    folder = hydra.core.hydra_config.HydraConfig.get().runtime.output_dir
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump({"test": {"loss": loss}, "model": config.model}, file)
    return loss


if __name__ == "__main__":
    main()
