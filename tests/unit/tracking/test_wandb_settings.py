"""When a run is offline, and what the settings accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.tracking.wandb_settings import WandbSettings, has_key


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path: Path):
    for name in (
        "API_KEY",
        "IDENTITY_TOKEN_FILE",
        "MODE",
        "BASE_URL",
        "PROJECT",
        "ENTITY",
        "RUN_GROUP",
        "NAME",
        "TAGS",
        "NOTES",
    ):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_offline_without_a_key():
    assert not has_key()
    assert WandbSettings().mode == "offline"
    assert WandbSettings(offline=False).mode == "offline", "asking for the server does not help without a key"


def test_online_with_a_key(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert WandbSettings().mode == "online"
    assert WandbSettings(offline=False).mode == "online"
    assert WandbSettings(offline=True).mode == "offline"


def test_wandb_mode_is_respected_unless_the_settings_say_otherwise(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbSettings().mode == "offline"
    assert WandbSettings(offline=False).mode == "online"


def test_a_login_in_netrc_counts_for_its_host_only(monkeypatch, tmp_path: Path):
    (tmp_path / "netrc").write_text("machine wandb.example login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    assert not has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example")
    assert has_key()


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_what_wandb_login_writes_is_found(host: str, tmp_path: Path):
    """The first host until wandb 0.30, then the second; that of the installed version is among them."""
    from wandb.sdk.lib.urls import DEFAULT_BASE_URL

    assert DEFAULT_BASE_URL.removeprefix("https://") in ("api.wandb.ai", "api.forge.coreweave.com")
    (tmp_path / "netrc").write_text(f"machine {host} login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    assert has_key()


def test_a_port_is_part_of_a_host(monkeypatch, tmp_path: Path):
    (tmp_path / "netrc").write_text("machine localhost:8080 login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:8080")
    assert has_key()


def test_a_broken_netrc_is_no_login(tmp_path: Path):
    (tmp_path / "netrc").write_text("machine\n")
    assert not has_key()


def test_from_dict_takes_lists_and_refuses_unknown_keys():
    settings = WandbSettings.from_dict({"project": "p", "tags": ["a"], "label_layers": [0, 6]})
    assert (settings.project, settings.tags, settings.label_layers) == ("p", ("a",), (0, 6))
    with pytest.raises(ValueError, match=r"unknown setting projcet; expected some of .*project"):
        WandbSettings.from_dict({"projcet": "p"})


def test_the_environment_fills_what_is_left_open(monkeypatch):
    for name, value in {"PROJECT": "env", "ENTITY": "team", "RUN_GROUP": "g", "NAME": "n", "TAGS": "b, c,a"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    found = WandbSettings.from_dict({"project": "asked", "entity": None, "tags": ["a"]})
    assert (found.project, found.entity, found.group, found.name) == ("asked", "team", "g", "n")
    assert found.tags == ("a", "b", "c")


def test_disabled_by_the_environment_unless_the_settings_say_otherwise(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert WandbSettings().mode == "disabled"
    assert WandbSettings(offline=True).mode == "offline"


def test_a_probed_run_takes_over_what_the_trained_one_had():
    trained = {"project": "p", "entity": "team", "group": "g", "tags": ["t", "u"], "name": "not this", "id": "nor this"}
    found = WandbSettings.from_dict({"project": "mine", "tags": ["u", "v"]}).inherit(trained)
    assert found == WandbSettings(project="mine", entity="team", group="g", tags=("u", "v", "t"))
    assert WandbSettings().inherit({}) == WandbSettings()
