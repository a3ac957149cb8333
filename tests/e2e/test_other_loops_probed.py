"""Runs that other people's loops wrote are probed, reported and joined like those of train.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoModel, AutoTokenizer

import closerlook
from closerlook import measures as m
from closerlook.config import config_dir, register, typed
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.pipelines.join_runs import study
from closerlook.pipelines.probe_run import probe
from closerlook.results.tables import rows_of

pytestmark = pytest.mark.e2e


def settings(*overrides: str) -> object:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return typed(compose("probe", overrides=["logger=none", "n_jobs=1", *overrides]))


def test_a_loops_run_is_probed_and_joined(tiny_bert: Path, tmp_path: Path) -> None:
    corpus = load_corpus(TaskSettings(name="bbc_topics", limit_train_texts=60))
    texts = [text.text for text in corpus.splits["train"]]
    labels = [text.targets[0].label for text in corpus.splits["train"]]
    model, tokenizer = AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    hyper = {"optimizer": {"lr": 0.01}}
    for step in (0, 4):
        closerlook.snapshot(
            model, tokenizer, texts, labels, tmp_path / "runs" / "mine", step,
            task_name="headlines", model_name="tiny", settings=hyper,
        )  # fmt: skip
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    outcome = probe(settings(f"run_dir={tmp_path}/runs/mine", "probe=[centroids]"))  # type: ignore[arg-type]
    assert not outcome.probes.failed
    assert outcome.results.config["optimizer"]["lr"] == 0.01
    moved = rows_of(outcome.results.table, m.MEAN_DISPLACEMENT, split="train")
    assert set(moved["step"]) == {0, 4}
    assert moved.query("step == 4")["value"].min() > 0
    assert outcome.report is not None
    assert "Snapshots of a model that a loop of its own trains" in outcome.report.read_text(encoding="utf-8")
    joined = study(settings(f"runs={tmp_path}/runs", "report=false"), problems={})  # type: ignore[arg-type]
    assert [(run.info.task, run.info.model, run.status) for run in joined.study.runs] == [
        ("headlines", "tiny", "finished")
    ]
