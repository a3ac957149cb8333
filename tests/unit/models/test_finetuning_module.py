import itertools
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import f1_score
from torchmetrics.classification import MulticlassF1Score

from closerlook.data.batching import Batch
from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.label_metrics import MacroF1
from closerlook.models.loading import load_encoder
from closerlook.models.model_error import ModelError
from closerlook.models.optimization import Schedule, linear_schedule, parameter_groups


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


def test_each_stage_of_training_rises_and_falls() -> None:
    factors = [Schedule(30, 0.1, rate_factor=20.0, first=10)(step) for step in range(31)]
    assert factors[:10] == [20 * linear_schedule(step, 1, 10) for step in range(10)]
    assert factors[10:] == [linear_schedule(step, 2, 20) for step in range(21)]
    assert max(factors[10:]) == 1.0
    assert [Schedule(30, 0.1, rate_factor=3.0)(step) for step in (3, 30)] == [3.0, 0.0]


def test_biases_and_layer_norms_do_not_decay(module: FineTuningModule) -> None:
    decayed, kept = parameter_groups(module.named_parameters(), weight_decay=module.weight_decay, rate_scales={})
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.5, 0.0)
    names = {id(p): name for name, p in module.named_parameters()}
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert any("LayerNorm.weight" in names[id(p)] for p in kept["params"])
    assert any(names[id(p)] == "head.bias" for p in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_wrong_warmup_is_refused(module: FineTuningModule) -> None:
    with pytest.raises(ModelError, match=r"finetuning\.warmup_fraction is 2.*; expected 0 to 1"):
        FineTuningModule(module.encoder, 3, optimizer=partial(torch.optim.AdamW, lr=1.0), warmup_fraction=2)


def fit(tiny_bert: Path, rate: float = 1e-3, **trainer: Any) -> FineTuningModule:
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
    texts = tuple(
        LabeledText(str(i), (Target((1,), "xyz"[i % 3]),), words=tuple(words[i % 4 : i % 4 + 4])) for i in range(12)
    )
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    corpus = Corpus("t", "word", {"train": texts, "test": texts}, ("x", "y", "z"))
    data = CorpusDataModule(corpus, loaded.tokenizer, batch_size=4, **loaded.encoding_options())
    module = FineTuningModule(
        PooledEncoder(loaded, "word"), 3, optimizer=partial(torch.optim.AdamW, lr=rate, fused=True), warmup_fraction=0.0
    )
    runner = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0, **trainer,
    )  # fmt: skip
    runner.fit(module.train(), datamodule=data)
    assert np.isfinite(runner.test(module, datamodule=data, verbose=False)[0]["test/loss"])
    return module


@pytest.mark.filterwarnings("ignore")  # Lightning's advice is not what is tested
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"])
def test_every_precision_trains_with_clipping_and_a_fused_optimizer(
    precision: Any, clip: float | None, tiny_bert: Path
) -> None:
    module = fit(tiny_bert, precision=precision, gradient_clip_val=clip)
    untuned = load_encoder(ModelSettings(name="t", source=str(tiny_bert))).backbone
    name = "encoder.layer.1.output.dense.weight"
    tuned = module.encoder.backbone.get_parameter(name)
    assert torch.isfinite(tuned).all()
    assert not torch.equal(tuned.float(), untuned.get_parameter(name).to(tuned.dtype).float())
    (group, *_) = module.trainer.optimizers[0].param_groups
    assert group["fused"] is not ("mixed" in precision and clip is not None)


@pytest.mark.filterwarnings("ignore")
def test_clipping_in_mixed_precision_bounds_the_gradients(tiny_bert: Path) -> None:
    norms = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None]))

        def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any) -> None:
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None]))

    fit(tiny_bert, precision="bf16-mixed", gradient_clip_val=0.01, callbacks=[Watch()])
    before, after = norms[::2], norms[1::2]
    assert min(before) > 0.02
    assert max(after) <= 0.0101


@pytest.mark.filterwarnings("ignore")
def test_the_first_loss_that_is_not_finite_stops_the_training(tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match=r"diverged: the training loss is nan after [12] updates.*learning_rate \(now"):
        fit(tiny_bert, rate=1e30)


@pytest.mark.filterwarnings("ignore")
def test_a_last_update_that_diverges_is_found_by_the_test(tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match=r"diverged: the test loss is nan after 1 updates"):
        fit(tiny_bert, rate=1e38, max_steps=1)


class Answers(torch.nn.Module):
    """In place of an encoder: vectors that say the class that is wanted."""

    level, n_features = "word", 4

    def __init__(self, classes: torch.Tensor) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, batch: Batch) -> torch.Tensor:
        return 9 * torch.nn.functional.one_hot(self.classes[batch.example_index], 4).float()


@pytest.mark.filterwarnings("ignore")
def test_whole_entities_are_scored_on_the_test_split(tiny_bert: Path) -> None:
    tags = [("O", "B-PER", "I-PER", "O"), ("B-LOC", "O", "O", "O"), ("O", "O", "B-PER", "I-PER")]
    answers = [("O", "B-LOC", "I-PER", "O"), ("B-LOC", "O", "O", "O"), ("O", "O", "B-PER", "O")]
    words = ("yesterday", "john", "smith", "left")
    texts = tuple(
        LabeledText(str(i), tuple(Target((j,), tag) for j, tag in enumerate(row)), words=words)
        for i, row in enumerate(tags)
    )
    names = ("B-LOC", "B-PER", "I-PER", "O")
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    data = CorpusDataModule(Corpus("t", "word", {"train": texts, "test": texts}, names), loaded.tokenizer, batch_size=2)
    encoder = Answers(torch.tensor([names.index(tag) for row in answers for tag in row]))
    module = FineTuningModule(encoder, 4, optimizer=partial(torch.optim.AdamW, lr=0.0))  # type: ignore[arg-type]
    with torch.no_grad():
        module.head.weight.copy_(torch.eye(4))
    runner = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    (found,) = runner.test(module, datamodule=data, verbose=False)
    assert found["test/accuracy"] == pytest.approx(10 / 12)
    # true: PER(1-2), LOC(0), PER(2-3); predicted: LOC(1), PER(2), LOC(0), PER(2)
    assert found["test/entity_precision"] == pytest.approx(1 / 4)
    assert found["test/entity_recall"] == pytest.approx(1 / 3)
    assert found["test/entity_f1"] == pytest.approx(2 / 7)


def test_macro_f1_is_that_of_scikit_learn_and_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 40, 300), rng.integers(0, 45, 300)  # classes 45 to 49 never occur
    ours, theirs = MacroF1(50), MulticlassF1Score(50, average="macro")
    for part in np.array_split(np.arange(300), 7):
        ours.update(torch.from_numpy(predicted[part]), torch.from_numpy(labels[part]))
        theirs.update(torch.from_numpy(predicted[part]), torch.from_numpy(labels[part]))
    assert float(ours.compute()) == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-6)
    assert float(ours.compute()) == pytest.approx(float(theirs.compute()), abs=1e-6)
