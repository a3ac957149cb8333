"""The GLUE presets on small copies of its two formats: the hub's Parquet files, and the .tsv files of GLUE itself."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus

PRESETS = sorted((Path(__file__).parents[3] / "conf" / "task").glob("glue_*.yaml"))
QUOTED = 'He said " no , and "never" again'
CLASSES = {
    "cola": ["unacceptable", "acceptable"],
    "sst2": ["negative", "positive"],
    "mrpc": ["not_equivalent", "equivalent"],
    "qqp": ["not_duplicate", "duplicate"],
    "mnli": ["entailment", "neutral", "contradiction"],
    "qnli": ["entailment", "not_entailment"],
    "rte": ["entailment", "not_entailment"],
    "wnli": ["not_entailment", "entailment"],
}
# Headers and a row of GLUE's .tsv files (https://gluebenchmark.com): {i} a number, {a} and {b} texts, {y} the label
TSV = {
    "cola": (None, "gj04\t{y}\t*\t{a}"),
    "sst2": ("sentence\tlabel", "{a}\t{y}"),
    "mrpc": ("\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "{y}\t{i}\t{i}\t{a}\t{b}"),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "{i}\t{i}\t{i}\t{a}\t{b}\t{y}"),
    "mnli": ("index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label", "{i}\tfiction\t{a}\t{b}\t{name}\t{name}"),
    "qnli": ("index\tquestion\tsentence\tlabel", "{i}\t{a}\t{b}\t{name}"),
    "rte": ("index\tsentence1\tsentence2\tlabel", "{i}\t{a}\t{b}\t{name}"),
    "wnli": ("index\tsentence1\tsentence2\tlabel", "{i}\t{a}\t{b}\t{y}"),
}


def settings_of(path: Path, *overrides: str) -> TaskSettings:
    config = OmegaConf.merge(OmegaConf.structured(TaskSettings), OmegaConf.load(path))
    whole = OmegaConf.create({"task": config, "paths": {"data_dir": None}})
    for override in OverridesParser.create().parse_overrides(list(overrides)):  # as Hydra reads a command line
        OmegaConf.update(whole, override.get_key_element(), override.value())
    settings = OmegaConf.to_object(whole.task)
    assert isinstance(settings, TaskSettings)
    return settings


def texts(split: str, n_classes: int) -> list[tuple[str, str, int]]:
    return [(f"{split} {QUOTED} {i}", f'"b{i}" ends "', i % n_classes) for i in range(24)]


def check(corpus: Corpus, settings: TaskSettings, labels: list[str]) -> None:
    both = settings.text_pair_column is not None
    assert set(corpus.splits) == {"train", "validation", "test"}
    assert corpus.label_names == tuple(sorted(labels))
    expected = {(a, b if both else None, labels[y]) for a, b, y in texts("dev", len(labels))}
    assert {(t.text, t.second_text, t.targets[0].label) for t in corpus.splits["test"]} == expected
    assert len(corpus.splits["train"]) + len(corpus.splits["validation"]) == 24
    assert corpus.notes == ()


def test_there_are_eight() -> None:
    assert [path.stem.removeprefix("glue_") for path in PRESETS] == sorted(CLASSES) == sorted(TSV)
    assert {path.stem: settings_of(path).name for path in PRESETS} == {path.stem: path.stem for path in PRESETS}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_layout_of_the_hub(path: Path, tmp_path: Path) -> None:
    settings = settings_of(path)
    name = str(settings.dataset_config)
    features: dict[str, Any] = {settings.text_column: datasets.Value("string")}
    if settings.text_pair_column is not None:
        features[settings.text_pair_column] = datasets.Value("string")
    features |= {"label": datasets.ClassLabel(names=CLASSES[name]), "idx": datasets.Value("int32")}
    dev = str(settings.test_split)
    for split in ("train", dev, dev.replace("validation", "test")):
        kind = {"train": "train", dev: "dev"}.get(split, "test")
        rows = texts(kind, len(CLASSES[name]))
        columns = {settings.text_column: [a for a, _, _ in rows], "idx": list(range(24))}
        columns["label"] = [-1 if kind == "test" else y for _, _, y in rows]
        if settings.text_pair_column is not None:
            columns[settings.text_pair_column] = [b for _, b, _ in rows]
        target = tmp_path / name / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(exist_ok=True)
        datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(str(target))
    found = "".join(f"  - split: {s}\n    path: {name}/{s}-*\n" for s in ("train", dev))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: {name}\n  data_files:\n{found}---\n")
    corpus = load_corpus(replace(settings, dataset=str(tmp_path)))
    check(corpus, settings, CLASSES[name])


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_files_of_glue_with_the_settings_that_the_preset_names(path: Path, tmp_path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    written = [line.removeprefix("#   ") for line in lines if line.startswith(("#   task.", "#   'task."))]
    settings = settings_of(path, *shlex.split(" ".join(written)))
    name = path.stem.removeprefix("glue_")
    header, row = TSV[name]
    classes = CLASSES[name]
    for split, file in (("train", settings.data_files["train"]), ("dev", settings.data_files["test"])):
        lines = [] if header is None else [header]
        lines += [
            row.format(i=i, a=a, b=b, y=y, name=classes[y]) for i, (a, b, y) in enumerate(texts(split, len(classes)))
        ]
        target = tmp_path / str(file)
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels = classes if "{name}" in row else [str(i) for i in range(len(classes))]
    check(load_corpus(replace(settings, data_dir=str(tmp_path))), settings, labels)


def test_scores_of_sentence_pairs_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i}\ta{i}\tb{i}\t{i % 4}.{i % 3}00\n" for i in range(12))
    (tmp_path / "train.tsv").write_text(f"index\tsentence1\tsentence2\tscore\n{rows}", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape("a score to predict (regression), which is not supported")):
        load_corpus(
            TaskSettings(
                name="stsb",
                kind="text_classification",
                dataset=str(tmp_path / "train.tsv"),
                test_fraction=0.2,
                text_column="sentence1",
                text_pair_column="sentence2",
                label_column="score",
            )
        )
