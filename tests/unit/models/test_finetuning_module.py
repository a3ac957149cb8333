import itertools
from functools import partial
from pathlib import Path

import pytest
import torch

from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.finetuning_module import FineTuningModule, linear_schedule
from closerlook.models.loading import load_encoder


@pytest.fixture
def module(tiny_bert: Path) -> FineTuningModule:
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    return FineTuningModule(
        PooledEncoder(loaded, "sentence"), 3, optimizer=partial(torch.optim.AdamW, lr=1.0), weight_decay=0.5
    )


def test_schedule_rises_to_one_and_falls_to_zero() -> None:
    factors = [linear_schedule(step, 10, 100) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert all(a < b for a, b in itertools.pairwise(factors[:11]))
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[100] == 0.0
    assert linear_schedule(0, 0, 10) == 1.0


def test_biases_and_layer_norms_do_not_decay(module: FineTuningModule) -> None:
    decayed, kept = module._parameter_groups()
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.5, 0.0)
    names = {id(p): name for name, p in module.named_parameters()}
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert any("LayerNorm.weight" in names[id(p)] for p in kept["params"])
    assert any(names[id(p)] == "head.bias" for p in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_frozen_encoder_trains_the_head_only(tiny_bert: Path) -> None:
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    module = FineTuningModule(
        PooledEncoder(loaded, "sentence"), 3, optimizer=partial(torch.optim.AdamW, lr=1.0), freeze_encoder=True
    )
    assert {name for name, p in module.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}


def test_wrong_warmup_is_refused(module: FineTuningModule) -> None:
    with pytest.raises(ValueError, match=r"finetuning\.warmup_fraction is 2.*; expected 0 to 1"):
        FineTuningModule(module.encoder, 3, optimizer=partial(torch.optim.AdamW, lr=1.0), warmup_fraction=2)
