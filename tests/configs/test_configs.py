"""Every shipped YAML composes, and mistakes in them are errors."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from closerlook.config import ProbeConfig, TrainConfig, config_dir, identity, paper_epochs, register, typed, variant

register()
CONF = config_dir()


def composed(app: str, *overrides: str) -> dict:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(app, overrides=["run_dir=somewhere", *overrides])
        OmegaConf.resolve(config)
        return OmegaConf.to_container(config)  # type: ignore[return-value]


def settings(*overrides: str) -> TrainConfig:
    return typed(OmegaConf.merge(OmegaConf.structured(TrainConfig), composed("train", *overrides)))


def choices() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra")


def test_no_file_of_conf_is_overlooked() -> None:
    everything = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")}
    seen = {f"{group}/{name}.yaml" for group, name in choices()}
    apps = {"train.yaml", "probe.yaml", "wandb_sweep.yaml", "hydra/train.yaml", "hydra/probe.yaml"}
    plugins = {"hydra/launcher/slurm.yaml"}  # composed in tests/e2e/test_launchers.py, where its plugin is installed
    assert everything - seen == apps | plugins
    assert len(choices()) >= 50


@pytest.mark.parametrize(("group", "name"), choices())
def test_every_file_composes(group: str, name: str) -> None:
    if group in ("probe", "study"):
        choice = f"[{name}]" if group == "probe" else name
        config = composed("probe", f"{group}={choice}")
        assert set(config) == set(ProbeConfig.__dataclass_fields__)
        assert config["probe"]
        assert config["each"] == (group == "study")
        return
    extra = ["model.source=x"] if (group, name) == ("model", "any") else []
    config = composed("train", f"{group}={name}", *extra)
    assert set(config) == set(TrainConfig.__dataclass_fields__)
    if group == "task":
        assert config["task"]["name"] == name
    if group == "model":
        assert config["model"]["name"] == name


@pytest.mark.parametrize(
    "override", ["taks=pos", "finetuning.epoch=1", "task.max_lenght=3", "snapshot.layer=[1]", "sed=1"]
)
def test_misspelt_key_on_the_command_line_is_an_error(override: str) -> None:
    with pytest.raises((HydraException, OmegaConfBaseException)):
        composed("train", override)


@pytest.mark.parametrize("line", ["sed: 1", "finetuning: {epoch: 1}", "task: {max_lenght: 3}", "modle: {name: x}"])
def test_misspelt_key_in_an_experiment_file_is_an_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{line}\n")
    with pytest.raises((HydraException, OmegaConfBaseException)):
        composed("train", f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine")


def test_correct_experiment_file_changes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /task: trec50\nfinetuning:\n  epochs: 7\n"
    )
    config = composed("train", f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine")
    assert (config["task"]["name"], config["finetuning"]["epochs"], config["seed"]) == ("trec50", 7, 0)


@pytest.mark.parametrize(("model", "epochs"), [("bert_base", 3), ("bert_tiny", 10), ("minilm_l6", 10)])
def test_paper_preset_tunes_base_for_three_epochs(model: str, epochs: int) -> None:
    config = composed("train", "finetuning=paper", f"model={model}")
    assert config["finetuning"]["epochs"] == config["trainer"]["max_epochs"] == epochs == paper_epochs(model)
    assert config["optimizer"]["lr"] == 3e-4


def test_run_directory_names_what_differs_shortly() -> None:
    assert (
        variant(["task=pos", "seed=1", "logger=none", "trainer.enable_progress_bar=false", "paths.data_dir=/x"]) == ""
    )
    assert (
        variant(["task=pos", "estimate=true", "sweep.plan=true", "hydra/launcher=joblib", "~callbacks.progress"]) == ""
    )
    assert variant(["task=pos", "finetuning.epochs=1"]) == "epochs-1"
    assert variant(["b.x=2", "a.x=1"]) == variant(["a.x=1", "b.x=2"]) == "a.x-1__b.x-2"
    assert variant(["experiment=e1", "model=minilm_l6"]) == "experiment-e1"
    assert variant(["model.source=/a/m"]) != variant(["model.source=/b/m"])
    assert "/" not in variant(["task.data_files={train: /a/b.csv}"])
    long = [f"finetuning.key{i}={i}" for i in range(30)]
    assert len(variant(long)) <= 100
    assert variant(long) != variant([*long[:-1], "finetuning.key29=0"])


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_steps=3",
        "trainer.precision=bf16-mixed",
        "trainer=ddp_cpu",
        "callbacks=probe",
        "finetuning.epochs=1",
        "trainer.log_every_n_steps=1",
        "trainer.enable_progress_bar=false",
        "~callbacks.progress",
        "task.download=false",
        "logger=csv",
        "tags=[x]",
        "snapshot.layers=[1]",
    ],
)
def test_name_and_identity_agree_on_what_is_another_run(override: str) -> None:
    assert (variant([override]) == "") == (identity(settings()) == identity(settings(override)))


def test_identity_leaves_out_where_results_go_and_who_sees_them() -> None:
    a = settings("logger=none", "paths.runs_dir=a", "trainer.enable_progress_bar=false")
    assert identity(a) == identity(settings("logger=csv", "paths.runs_dir=b"))
    assert identity(a) != identity(settings("seed=1"))
    assert identity(a) != identity(settings("finetuning.batch_size=16"))
