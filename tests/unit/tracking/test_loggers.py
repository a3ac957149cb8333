"""Loggers from plain settings: what conf/logger/ holds builds, or says what is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from closerlook.tracking.loggers import build_loggers
from closerlook.tracking.wandb_settings import WandbSettings


def node(project: Path, name: str) -> dict:
    config = OmegaConf.load(project / "conf" / "logger" / f"{name}.yaml")
    return OmegaConf.to_container(OmegaConf.merge({"tags": ["t"]}, config), resolve=True)  # type: ignore[return-value]


def test_wandb_yaml_has_exactly_the_settings(project):
    settings = WandbSettings.from_dict(node(project, "wandb")["wandb"])
    assert settings == WandbSettings(tags=("t",))


def test_none_builds_nothing(project, results, tmp_path):
    nodes = {name: value for name, value in node(project, "none").items() if name != "tags"}
    assert build_loggers(nodes, run_dir=tmp_path, info=results.info) == []


def test_csv_writes_into_the_run_directory(project, results, tmp_path):
    (logger,) = build_loggers({"csv": node(project, "csv")["csv"]}, run_dir=tmp_path, info=results.info)
    logger.log_metrics({"train/loss": 2.0}, step=3)
    logger.save()
    assert (tmp_path / "csv" / "metrics.csv").read_text().split() == ["step,train/loss", "3,2.0"]


def test_several_loggers_keep_their_order(project, results, tmp_path):
    nodes = {"b": node(project, "csv")["csv"] | {"name": "b"}, "off": None, "a": node(project, "csv")["csv"]}
    assert [logger.name for logger in build_loggers(nodes, run_dir=tmp_path, info=results.info)] == ["b", "csv"]


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is not None or importlib.util.find_spec("tensorboardX") is not None,
    reason="tensorboard is installed",
)
def test_missing_tensorboard_says_how_to_install_it(project, results, tmp_path):
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'closerlook\[tensorboard\]'.*logger=csv"):
        build_loggers({"tensorboard": node(project, "tensorboard")["tensorboard"]}, run_dir=tmp_path, info=results.info)


def test_a_node_without_a_class_is_refused(results, tmp_path):
    with pytest.raises(ValueError, match=r"logger.mine: got no _target_, expected the class of a Lightning logger"):
        build_loggers({"mine": {"save_dir": "x"}}, run_dir=tmp_path, info=results.info)


def test_wandb_without_a_run_is_refused(results, tmp_path):
    with pytest.raises(ValueError, match="needs an open run"):
        build_loggers({"wandb": {}}, run_dir=tmp_path, info=results.info)
