"""``probe.py`` and ``closerlook-probe``."""

from __future__ import annotations

import os

import hydra
from omegaconf import DictConfig, OmegaConf

from closerlook.cli.errors import one_clear_message, quiet
from closerlook.config import config_dir, register

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
register()


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="probe")
def main(config: DictConfig) -> None:
    """Probe one run, or vectors of your own."""
    with one_clear_message():
        _run(config)


@quiet
def _run(config: DictConfig) -> None:
    from closerlook.cli.messages import print_probing, print_vectors

    if config.vectors is not None or config.released_dir is not None:
        from closerlook.pipelines.probe_vectors import probe_vectors

        for space in probe_vectors(OmegaConf.to_container(config, resolve=True)):  # type: ignore[arg-type]
            print_vectors(space)
        return
    from closerlook.pipelines.probe import probe

    outcome = probe(config)
    print_probing(outcome)
    if outcome.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
