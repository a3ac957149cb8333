"""Two processes of somebody else's training: one whole snapshot, and the vectors of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import closerlook
from closerlook.representations.reader import SnapshotReader

pytest.importorskip("accelerate", reason="Hugging Face's Trainer needs it")
pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SCRIPT = """
import sys
import torch
import pytorch_lightning as pl
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments
from closerlook.callbacks import SnapshotCallback, SnapshotTrainerCallback

loop, model, out = sys.argv[1:]
texts, labels = [f"text number {i} of a few" for i in range(24)], ["odd" if i % 2 else "even" for i in range(24)]
tokenizer = AutoTokenizer.from_pretrained(model)
encoded = tokenizer(texts, padding="max_length", max_length=16, truncation=True)
rows = [{**{k: torch.tensor(v[i]) for k, v in encoded.items()}, "labels": i % 2} for i in range(24)]
torch.manual_seed(0)
net = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
if loop == "trainer":
    arguments = TrainingArguments(out + "/t", max_steps=2, per_device_train_batch_size=4, use_cpu=True, report_to=[],
                                  save_strategy="no", ddp_backend="gloo")
    callback = SnapshotTrainerCallback(out, tokenizer, texts, labels, every_n_updates=1)
    Trainer(net, arguments, train_dataset=rows, callbacks=[callback]).train()
else:
    class Mine(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net
        def training_step(self, batch, index):
            return self.net(**batch).loss
        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-3)
    callback = SnapshotCallback(out, tokenizer, texts, labels, every_n_updates=1)
    pl.Trainer(max_steps=2, accelerator="cpu", devices=2, strategy="ddp", callbacks=[callback], logger=False,
               enable_checkpointing=False, enable_progress_bar=False).fit(Mine(), DataLoader(rows, batch_size=4))
"""


@pytest.mark.parametrize("loop", ["trainer", "lightning"])
def test_two_processes_store_what_one_stores(loop: str, tiny_bert: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    two = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29511"] if loop == "trainer" else []
    command = [sys.executable, *two, str(script), loop, str(tiny_bert), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    reader = SnapshotReader(tmp_path / "out" / "snapshots")
    assert reader.steps == (0, 1, 2)
    texts, labels = [f"text number {i} of a few" for i in range(24)], ["odd" if i % 2 else "even" for i in range(24)]
    torch.manual_seed(0)
    model, tokenizer = AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    closerlook.snapshot(model, tokenizer, texts, labels, tmp_path / "one", 0)
    alone = SnapshotReader(tmp_path / "one" / "snapshots")
    for split in ("train", "test"):
        assert alone.examples(split).equals(reader.examples(split))
        np.testing.assert_allclose(reader.vectors(0, split, 2), alone.vectors(0, split, 2), atol=1e-6)
