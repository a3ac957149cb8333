"""Models that exist already: a Trainer's folder, an adapter, other widths, into a run directory like a trained one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from closerlook import measures as m
from closerlook.config import ProbeConfig, config_dir, register, typed
from closerlook.models.model_error import ModelError
from closerlook.pipelines.checkpoint_run import CheckpointRun, store_checkpoints
from closerlook.pipelines.probe_run import probe
from closerlook.representations.reader import SnapshotReader, stored_examples
from closerlook.results.example_tables import Examples
from closerlook.results.run import RunError

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")]

TOPICS = {
    "sea": "the boat sails over cold water",
    "sky": "a bird flies above the clouds",
    "fire": "hot red flames burn",
}


@dataclass(frozen=True)
class Models:
    """Folders of tiny models, and texts of one's own."""

    base: Path
    trainer: Path
    adapter: Path
    wide: Path
    stranger: Path
    texts: Path


@pytest.fixture(scope="module")
def models(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A real Trainer run of four updates, a LoRA adapter with weights that are not 0, a wider and a foreign model."""
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        BertConfig,
        BertModel,
        Trainer,
        TrainingArguments,
    )

    root = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    rows = [(f"{text} number {i}", label) for i in range(24) for label, text in TOPICS.items()]
    lines = "\n".join(f"{text},{label}" for text, label in rows)
    (root / "texts.csv").write_text(f"text,label\n{lines}\n")
    names = dict(enumerate(sorted(TOPICS)))
    ids = {label: i for i, label in names.items()}
    encoded = [tokenizer(t, padding="max_length", max_length=16) | {"labels": ids[label]} for t, label in rows]
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert, id2label=names, label2id=ids)
    arguments = TrainingArguments(
        str(root / "trainer"), max_steps=4, save_steps=2, logging_steps=1, learning_rate=1e-2, report_to=[],
        use_cpu=True, disable_tqdm=True, per_device_train_batch_size=18, seed=0,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=encoded, processing_class=tokenizer)
    trainer.train()
    trainer.save_model(str(root / "trainer"))
    adapted = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3)
    lora = get_peft_model(adapted, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "dense"]))
    with torch.no_grad():
        for name, value in lora.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.1)
    lora.save_pretrained(root / "adapter")
    for name, size, layers in (("wide", 48, 3), ("stranger", 32, 2)):
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=size, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=128,
        )  # fmt: skip
        torch.manual_seed(7)
        BertModel(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return Models(tiny_bert, root / "trainer", root / "adapter", root / "wide", root / "stranger", root / "texts.csv")


def config_of(models: Models, output: Path, *places: Path, more: tuple[str, ...] = ()) -> ProbeConfig:
    register()
    own = ["task=text_classification", f"task.data_files={{train: {models.texts}}}", "task.validation_fraction=0"]
    listed = f"checkpoints=[{','.join(map(str, places))}]"
    fixed = [listed, f"output_dir={output}", "logger=none", "n_jobs=1", "report=false", "probe=[centroids,geometry]"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        made: ProbeConfig = typed(compose("probe", overrides=[*own, *fixed, *more]))
    return made


def store(config: ProbeConfig) -> CheckpointRun:
    return store_checkpoints(config, lambda name, done, total: lambda n: None)


def hidden(model: Any, folder: Path, texts: list[str]) -> np.ndarray:
    """(n_layers + 1, n_texts, n_features) of the class token, one text at a time, with plain transformers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        found = [model(**tokenizer(t, return_tensors="pt"), output_hidden_states=True).hidden_states for t in texts]
    return np.stack([[layer[0, 0].numpy() for layer in one] for one in found], axis=1)


def test_a_trainers_folder_becomes_a_run_like_a_trained_one(models: Models, tmp_path: Path) -> None:
    from transformers import AutoModel

    config = config_of(models, tmp_path / "out", models.base, models.trainer)
    made = store(config)
    reader = SnapshotReader(made.run.snapshots)
    assert [(o.step, o.name) for o in made.info.checkpoints] == [
        (0, models.base.name), (2, "checkpoint-2"), (4, "checkpoint-4")
    ]  # fmt: skip
    assert "itself is checkpoint-4 again" in " ".join(made.info.notes)
    assert [reader.epoch(step) for step in reader.steps] == [0, 0.5, 1.0]
    assert made.run.status == "finished"
    assert list(made.run.history()["train/loss"].dropna().index) == [0, 1, 2, 3]
    texts = [str(text) for text in reader.examples("train")["form"][:5]]
    for step, folder in ((0, models.base), (4, models.trainer)):
        expected = hidden(AutoModel.from_pretrained(folder).eval(), folder, texts)
        for layer in range(3):
            np.testing.assert_allclose(reader.vectors(step, "train", layer)[:5], expected[layer], atol=1e-5)
    outcome = probe(probing(made, "centroids"))
    assert not outcome.probes.failed
    assert store(config).n_stored == 0


def test_what_the_heads_say_and_which_examples_flipped(models: Models, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    made = store(config_of(models, tmp_path / "out", models.base, models.trainer))
    reader = SnapshotReader(made.run.snapshots)
    assert reader.outputs(0, "test") is None  # an encoder alone
    texts, tokenizer = list(reader.examples("test")["form"]), AutoTokenizer.from_pretrained(models.base)
    said = {}
    for step in (2, 4):
        model = AutoModelForSequenceClassification.from_pretrained(models.trainer / f"checkpoint-{step}").eval()
        with torch.no_grad():
            expected = np.stack([model(**tokenizer(str(t), return_tensors="pt")).logits[0].numpy() for t in texts])
        classes, scores = reader.outputs(step, "test") or (None, None)
        assert list(classes) == sorted(TOPICS)
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        said[step] = expected.argmax(axis=1)
    table = probe(probing(made, "outputs")).table.set_index(["measure", "split", "step"])
    assert table.value[m.PREDICTION_AGREEMENT, "test", 4] == pytest.approx((said[2] == said[4]).mean())
    assert table.value[m.PREDICTION_KL, "test", 4] > 0
    labels, answers = reader.labels("test"), np.array(sorted(TOPICS))[said[4]]
    assert table.value[m.HEAD_ACCURACY, "test", 4] == pytest.approx((answers == labels).mean())
    flipped = Examples(made.run.load().by_example, stored_examples(made.run.snapshots)).flipped("test")
    assert flipped is not None
    assert sorted(flipped["row"]) == np.flatnonzero(said[2] != said[4]).tolist()
    assert flipped.attrs == {"n": len(texts), "steps": (2, 4)}


def test_an_adapter_is_folded_into_its_base_which_comes_first(models: Models, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    made = store(config_of(models, tmp_path / "out", models.adapter))
    assert [(o.step, o.name, o.base) for o in made.info.checkpoints] == [
        (0, models.base.name, ""), (1, "adapter", str(models.base))
    ]  # fmt: skip
    reader = SnapshotReader(made.run.snapshots)
    texts = [str(text) for text in reader.examples("test")["form"][:4]]
    plain = AutoModelForSequenceClassification.from_pretrained(models.base, num_labels=3)
    whole = PeftModel.from_pretrained(plain, models.adapter).eval()
    expected = hidden(whole.base_model.model.bert, models.base, texts)
    for layer in range(3):
        np.testing.assert_allclose(reader.vectors(1, "test", layer)[:4], expected[layer], atol=1e-5)
    assert np.abs(reader.vectors(1, "test", 2) - reader.vectors(0, "test", 2)).max() > 0.01


@pytest.mark.slow
def test_what_needs_common_coordinates_is_missing_with_its_reason(models: Models, tmp_path: Path) -> None:
    made = store(config_of(models, tmp_path / "out", models.base, models.wide, models.stranger))
    said = " ".join(made.info.notes)
    assert "wide has 3 layers of 48" in said
    assert "stranger does not come from" in said
    table = probe(probing(made, "centroids,geometry", "layers=[2,3]", "splits=[train]")).table
    at = table[(table.split == "train") & (table.label == "")].set_index(["measure", "layer", "step"])
    for step, reason in ((1, "32 and 48 features"), (2, "no coordinates in common")):
        for measure in (m.MEAN_DISPLACEMENT, "own_displacement", "rotation_share"):
            assert np.isnan(at.value[measure, 2, step])
            assert reason in at.note[measure, 2, step]
        assert np.isfinite(at.value["debiased_cka", 2, step])
        assert np.isfinite(at.value["rsa", 2, step])
    assert np.isfinite(at.value["silhouette", 3, 1])
    assert (m.MEAN_DISPLACEMENT, 3, 0) not in at.index
    assert at.note[m.MEAN_DISPLACEMENT, 3, 1] == "the first snapshot has no layer 3"
    assert np.isnan(at.value[m.MEAN_DISPLACEMENT, 3, 1])
    assert "debiased_cka" not in at.loc[(slice(None), 3, 1), :].index.get_level_values("measure")


def probing(made: CheckpointRun, probes: str, *more: str) -> ProbeConfig:
    register()
    look = [f"run_dir={made.run.root}", "logger=none", "n_jobs=1", "report=false", f"probe=[{probes}]", *more]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config: ProbeConfig = typed(compose("probe", overrides=look))
    return config


@pytest.mark.slow
def test_a_stopped_command_goes_on_and_other_weights_are_refused(models: Models, tmp_path: Path) -> None:
    copies = [tmp_path / name for name in ("a", "b")]
    for copy in copies:
        shutil.copytree(models.base, copy)
    config = config_of(models, tmp_path / "out", *copies, models.trainer / "checkpoint-4")

    def stop(name: str, done: int, total: int) -> Callable[[int], object]:
        if name == "b":
            raise KeyboardInterrupt
        return lambda n: None

    with pytest.raises(KeyboardInterrupt):
        store_checkpoints(config, stop)
    made = store(config)
    assert (made.n_kept, made.n_stored) == (1, 2)
    assert "Warning: a, b hold the same weights" in " ".join(made.info.notes)
    shutil.copy(models.trainer / "checkpoint-2/model.safetensors", copies[0])
    with pytest.raises(RunError, match=r"other checkpoints|weights of a .* have changed"):
        store(config)


@pytest.mark.slow
def test_every_model_is_checked_before_one_is_computed(models: Models, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(models.base, broken)
    (broken / "tokenizer.json").unlink()
    (broken / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match=r"checkpoint broken .* has no tokenizer"):
        store(config_of(models, tmp_path / "out", models.base, broken))
    assert not (tmp_path / "out" / "snapshots").exists()
    made = store(config_of(models, tmp_path / "out", models.base, broken, more=(f"model.tokenizer={models.base}",)))
    assert made.n_stored == 2
    with pytest.raises(RunError, match=r"snapshot\.layers was None, now"):
        store(config_of(models, tmp_path / "out", models.base, broken, more=("snapshot.layers=[1]",)))
