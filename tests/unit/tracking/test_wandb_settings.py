"""When a run is offline, and what the settings accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.tracking.settings import WandbSettings, has_key


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path: Path):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_offline_without_a_key():
    assert not has_key()
    assert WandbSettings().is_offline()
    assert WandbSettings(offline=False).is_offline(), "asking for the server does not help without a key"


def test_online_with_a_key(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert not WandbSettings().is_offline()
    assert not WandbSettings(offline=False).is_offline()
    assert WandbSettings(offline=True).is_offline()


def test_wandb_mode_is_respected_unless_the_settings_say_otherwise(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbSettings().is_offline()
    assert not WandbSettings(offline=False).is_offline()


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
