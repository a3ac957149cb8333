"""Every command that README, the help texts and the headers of conf/ show is one that the commands take."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from closerlook.cli.command_line import as_hydra_takes
from closerlook.cli.probe import as_overrides
from closerlook.config import ProbeConfig, TrainConfig, config_dir, register, typed

ROOT = Path(__file__).resolve().parents[2]


def documented() -> list[tuple[str, str]]:
    """The commands; read here, since tests are collected before fixtures exist."""
    spec = importlib.util.spec_from_file_location("documented", ROOT / "tests/fixtures/documented.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.documented(ROOT)


COMMANDS = documented()


def test_there_are_many_commands() -> None:
    assert len(COMMANDS) >= 50


@pytest.mark.parametrize(("name", "arguments"), COMMANDS, ids=[f"{name} {text}"[:80] for name, text in COMMANDS])
def test_a_documented_command_composes(name: str, arguments: str) -> None:
    words = shlex.split(arguments, comments=True)
    taken = as_hydra_takes(as_overrides(words), ProbeConfig) if name == "probe" else as_hydra_takes(words, TrainConfig)
    settings = [
        word for word in taken if "=" in word and not word.startswith("-") and not word.lstrip("+").startswith("hydra")
    ]
    parsed = OverridesParser.create().parse_overrides(settings)
    one = [  # of a sweep, its first job
        f"{o.get_key_element()}={next(o.sweep_string_iterator())}" if o.is_sweep_override() else text
        for o, text in zip(parsed, settings, strict=True)
    ]
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        typed(compose(name, overrides=[*one, *(["run_dir=x"] if name == "train" else [])]))
