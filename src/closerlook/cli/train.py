"""``train.py`` and ``closerlook-train``."""

from __future__ import annotations

import os

import hydra
from omegaconf import DictConfig

from closerlook.cli.errors import one_clear_message, quiet
from closerlook.config import config_dir, register

# Waiting OpenMP threads must sleep: spinning ones made an epoch 12 times slower beside one busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
register()


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def main(config: DictConfig) -> float | None:
    """Fine-tune one encoder on one task; returns the test accuracy, which sweepers may optimise."""
    with one_clear_message():
        return _run(config)


@quiet
def _run(config: DictConfig) -> float | None:
    from closerlook.cli.messages import print_training
    from closerlook.pipelines.train import train

    outcome = train(config)
    print_training(outcome)
    return outcome.metrics.get("test/accuracy")


if __name__ == "__main__":
    main()
