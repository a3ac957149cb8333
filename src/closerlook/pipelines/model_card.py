"""The README.md of an exported model: what it is, how it was made, how well it does, how to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from closerlook.config import TrainConfig
from closerlook.models.export import HEAD_WEIGHTS_FILE, Exported
from closerlook.redaction import redact
from closerlook.results.run import RunInfo

_PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
}


def model_card(info: RunInfo, config: TrainConfig, scores: dict[str, float], exported: Exported) -> str:
    """The text of the card, with the front matter that model hubs read.

    Args:
        info: What the run is.
        config: Its settings.
        scores: Its test metrics by name.
        exported: Which class reads the folder.
    """
    task = _PIPELINES.get(exported.kind, "feature-extraction")
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": task, "tags": ["closerlook"]}
    if not info.model_source.startswith("package:") and not Path(info.model_source).is_absolute():
        front["base_model"] = info.model_source
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
            f"# {_plain(info.title)}",
            "",
            f"{_plain(info.model)} ({_plain(info.model_source)}, {info.model_revision}) tuned on {_plain(info.task)}: "
            f"{info.n_train:,} training and {info.n_test:,} test examples ({info.level}s), "
            f"{len(info.label_names)} labels. Made by closerlook {info.versions.get('closerlook', '')}.",
            "",
            "## Use",
            "",
            *_use(task, exported),
            "",
            "## Numbers",
            "",
            *_table(("measure", "value"), [(name, f"{value:.4f}") for name, value in sorted(scores.items())]),
            "",
            "## Settings",
            "",
            *_table(("setting", "value"), _settings(info, config)),
            "",
        ]
    )


def _use(task: str, exported: Exported) -> list[str]:
    lines = ["```python"]
    if exported.reason:
        lines += ["from transformers import AutoModel, AutoTokenizer", 'model = AutoModel.from_pretrained("<folder>")']
    else:
        lines += ["from transformers import pipeline", f'classify = pipeline("{task}", "<folder>")']
    lines += ["```", ""]
    if exported.reason:
        lines.append(f"The encoder alone: {exported.reason}. Its linear head is in `{HEAD_WEIGHTS_FILE}`.")
    elif task == "token-classification":
        lines.append(
            "The run's prediction of a word is the largest mean of its subwords' logits. "
            'The nearest that `pipeline` has is `aggregation_strategy="average"`, which averages probabilities.'
        )
    else:
        lines.append(
            "The run's classifier reads the encoder's vector itself. Where the class has a layer in between, it is a "
            "small multiple of the identity, so that its activation is linear to float32's precision."
        )
    if exported.difference is not None:
        lines.append(f"Largest difference from the run's own logits when it was written: {exported.difference:.1g}.")
    return [
        *lines,
        "",
        "Tuned further: `python train.py model=any model.source=<folder> model.name=...`.",
    ]


def _settings(info: RunInfo, config: TrainConfig) -> list[tuple[str, str]]:
    tuning = config.finetuning
    return [
        ("method", info.method or "full"),
        ("seed", str(info.seed)),
        ("epochs", str(info.n_epochs)),
        ("updates", str(info.n_updates)),
        ("batch size", str(tuning.batch_size)),
        *((f"optimizer.{name}", str(value)) for name, value in redact(config.optimizer).items() if name[0] != "_"),
        ("warm-up share", str(tuning.warmup_fraction)),
        ("head dropout", str(tuning.head_dropout)),
        ("variant", info.variant or "-"),
        ("commit", info.git_commit or "-"),
        *((name, value) for name, value in info.versions.items() if name in ("torch", "transformers")),
    ]


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {_plain(a)} | {_plain(b)} |" for a, b in rows)]


def _plain(text: str) -> str:
    """Text without what Markdown or HTML would read: names may come from anybody."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>()#|!~" else one for one in " ".join(str(text).split()))
