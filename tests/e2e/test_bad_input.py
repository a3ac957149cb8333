"""Bad input, tabulated: each case gives one error that says what, got, expected and what to do; nothing is harmed.

Every case goes through the pipelines that the commands call; a few through the commands themselves.
"""

# ruff: noqa: E501 - a table is read row by row
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from closerlook.config import config_dir, register, typed
from closerlook.errors import UserError

pytestmark = pytest.mark.e2e


def config(app: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    return typed(composed) if app == "train" else composed


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Case:
    """One kind of bad input.

    Attributes:
        name: What is wrong.
        what: Pattern of the thing that the error is about.
        got: Pattern of what was found there.
        expected: Pattern of what should have been.
        advice: Pattern of what to do.
        overrides: Settings; ``{folder}`` is the folder of the files.
        files: Files by path in that folder.
    """

    name: str
    what: str
    got: str
    expected: str
    advice: str
    overrides: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)

    def says(self, message: str) -> None:
        """Check the message, part by part."""
        for part in ("what", "got", "expected", "advice"):
            assert re.search(getattr(self, part), message), f"{part} is not in: {message}"


def word(number: int, head: int | str, *, form: str = "word", n_columns: int = 10) -> str:
    columns = [str(number), form, form, "NOUN" if number % 2 else "VERB", "_", "_", str(head), "dep", "_", "_"]
    return "\t".join(columns[:n_columns])


def lex(number: int, head: int | str, *, role: str = "_", n_columns: int = 19) -> str:
    columns = [str(number), "at", *["_"] * 4, str(head), *["_"] * 4, "P", "_", role, role, *["_"] * 4]
    return "\t".join(columns[:n_columns])


def sentences(*blocks: list[str]) -> str:
    return "".join("\n".join([f"# sent_id = s{i}", *lines]) + "\n\n" for i, lines in enumerate(blocks))


CONLLU = (
    "task=token_classification",
    "task.labels_column=upos",
    "task.test_split=null",
    "task.dataset={folder}/x.conllu",
)
LEX = ("task=ps_role", "paths.data_dir={folder}", "task.download=false")
TEXTS = ("task=text_classification", "task.data_files={{train:{folder}/a.csv,test:{folder}/b.csv}}")
WORDS = (
    "task=token_classification",
    "task.validation_fraction=0",
    "task.data_files={{train:{folder}/a.jsonl,test:{folder}/a.jsonl}}",
)
ROWS = "text,label\n" + "".join(f"text number {i},{'xy'[i % 2]}\n" for i in range(12))
MEND = "Mend the file"


def conllu(name: str, content: str | bytes, got: str, expected: str, advice: str = MEND) -> Case:
    return Case(f"CoNLL-U: {name}", r"x\.conllu", got, expected, advice, CONLLU, {"x.conllu": content})


def conllulex(name: str, content: str | bytes, got: str, expected: str, advice: str = MEND) -> Case:
    folders = {"train": content, "dev": sentences([lex(1, 0)]), "test": sentences([lex(1, 0)])}
    files = {f"STREUSLE/{split}/streusle.ud_{split}.conllulex": text for split, text in folders.items()}
    return Case(f"conllulex: {name}", r"train\.conllulex", got, expected, advice, LEX, files)


def csv(name: str, content: str | bytes, got: str, expected: str, advice: str, *settings: str) -> Case:
    files = {"a.csv": content, "b.csv": ROWS}
    return Case(name, r"\.csv|task text_classification|a fraction", got, expected, advice, (*TEXTS, *settings), files)


def tokens(name: str, rows: list[dict[str, list[str]]], got: str, expected: str, advice: str, *settings: str) -> Case:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return Case(
        name, "texts|examples|row|task.max_length", got, expected, advice, (*WORDS, *settings), {"a.jsonl": text}
    )


GOOD = [word(1, 0), word(2, 1)]
TRAIN_CASES = [
    conllu("a column missing", sentences([word(1, 0, n_columns=9)]), "line 2: 9 tab-separated columns", "expected 10"),
    conllu("a cycle", sentences([word(1, 2), word(2, 1)]), r"words \[1, 2\] form a cycle", "expected a tree"),
    conllu("a head out of range", sentences([word(1, 7)]), "line 2: head 7", "expected 0 to 1"),
    conllu("a head that is no number", sentences([word(1, "x")]), "got 'x'", "expected the id of the head"),
    conllu("an empty sentence", sentences(GOOD, []), "line 5: a sentence without words", "expected at least one"),
    conllu("an id twice", 2 * sentences(GOOD), "'s0' stands twice", "expected unique ids"),
    conllu("an empty file", "", "no sentence found", "expected 10 tab-separated columns"),
    conllu("Latin-1", sentences([word(1, 0, form="é")]).encode("latin-1"), "byte 0xE9", "expected a UTF-8", "task.encoding=latin-1"),
    conllu("UTF-16", sentences(GOOD).encode("utf-16"), "byte 0xFF is not UTF-8", "expected a UTF-8 file", "task.encoding=utf-16"),
    conllulex("a column missing", sentences([lex(1, 0, n_columns=18)]), "line 2: 18 tab-separated", "expected 19"),
    conllulex("a cycle", sentences([lex(1, 2), lex(2, 1)]), r"words \[1, 2\] form a cycle", "expected a tree"),
    conllulex("a head out of range", sentences([lex(1, 7)]), "line 2: head 7", "expected 0 to 1"),
    conllulex("an empty sentence", sentences([]), "line 1: a sentence without words", "expected at least one"),
    conllulex("an id twice", 2 * sentences([lex(1, 0)]), "'s0' stands twice", "expected unique ids"),
    conllulex("Latin-1", b"# sent_id = \xe9\n", "byte 0xE9 is not UTF-8", "expected a UTF-8", "task.encoding=latin-1"),
    csv("CSV: a column of another name", ROWS.replace("label", "topic"), "has 'text', 'topic'", "no column 'label'", r"task\.label_column"),
    csv("CSV: Latin-1", (ROWS + "é,x\n").encode("latin-1"), "line 14: byte 0xE9", "expected a UTF-8", "task.encoding=latin-1"),
    csv("CSV: a value too many", ROWS + "a,b,c\n", "line 14: 3 values", r"expected 2 \('text', 'label'\)", "Mend the line"),
    csv("CSV: an empty text", ROWS + " ,x\n", r"row 13 \(line 14\): text ' '", "expected a text that is not empty", "task.on_empty=skip"),
    csv("CSV: a missing label", ROWS + "a,\n", r"row 13 \(line 14\): no label", "expected a name or a whole number", "task.on_empty=skip"),
    csv("CSV: a missing file", ROWS, "none.csv: there is no such file", "expected one that exists", "task.data_files", "task.data_files.train={folder}/none.csv"),
    csv("one label only", ROWS.replace(",y", ",x"), "one label only .'x', 12 examples", "at least two", "Check that the label"),
    csv("a label of its own for every example", "text,label\na,1\nb,2\nc,3\n", "every one of the 3", "labels that repeat", "Check that"),
    csv("an empty split", "text,label\n", "a.csv: has no rows", "expected at least one", "Check the file"),
    csv("an empty test split", ROWS, "test split has no examples", "expected at least one", "Check the file", "task.ignore_labels=[z]", "task.data_files.test={folder}/c.csv"),
    csv("a fraction out of range", ROWS, "is 1.5", "expected 0 to 1", r"Set task\.validation_fraction", "task.validation_fraction=1.5"),
    tokens("a text over the maximum length", [{"tokens": ["word"] * 9, "tags": list("xyxyxyxyx")}], "has 11", "longer than 6", "task.max_length", "task.max_length=6"),
    tokens("a maximum length that the model has not", [{"tokens": ["a", "b", "c"], "tags": list("xyx")}], "more than the 128 subwords", "at most that many", "leave it null", "task.max_length=9999"),
    tokens("a word that the tokenizer drops", [{"tokens": ["a", "\u0007", "b"], "tags": list("xyx")}], r"1 of 3 examples give no subword \(word 1", "expected at least one each", "task.allow_dropped_words=true"),
    tokens("fewer labels than words", [{"tokens": ["a", "b", "c"], "tags": list("xy")}], "2 labels for 3 words", "expected a list with one a word", "Mend the row"),
    Case("a layer that the encoder has not", r"snapshot\.layers", r"\[9\]", "expected layers from 0 .* to 2", "leave it null", ("snapshot.layers=[9]",)),
    Case("a number type that is none", r"snapshot\.dtype", "got 'int8'", "must be float32 or float16", "must be", ("snapshot.dtype=int8",)),
    Case("vectors that are not finite", "the training has diverged", "the training loss is nan after 1 updates", "expected a finite number", r"Lower finetuning\.learning_rate", ("finetuning.learning_rate=1e30",)),
    Case("a dataset id that is not to be had", "dataset 'no-such/dataset'", "not in the cache", "not looked for on the hub", "Check the id", ("task=text_classification", "task.dataset=no-such/dataset")),
    Case("a model id that is not to be had", "model 'no-such/model'", "not in the local cache", "local folder with config.json", "Check the id", ("model.source=no-such/model",)),
    Case("a folder without a model", "data has", "has no weights", "expected model.safetensors or", "Write them", ("model.source={folder}",), {"config.json": "{}"}),
    Case("a checkpoint that is not there", "ckpt_path=none.ckpt", "no such file", "Leave it null", "to start anew", ("ckpt_path=none.ckpt",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(probed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished, probed run that no case may harm."""
    target = tmp_path_factory.mktemp("finished") / "seed-0"
    shutil.copytree(probed_run, target)
    return target


@pytest.mark.filterwarnings("ignore:Encountered `nan` values")  # of torchmetrics, in a run that diverges
@pytest.mark.parametrize("case", TRAIN_CASES, ids=lambda case: case.name)
def test_training_refuses(case: Case, small: tuple[str, ...], finished: Path, tmp_path: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    for name, content in case.files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "c.csv").write_text("text,label\na,z\n")
    before = digests(finished)
    overrides = [override.format(folder=tmp_path / "data") for override in case.overrides]
    with pytest.raises(UserError) as caught:
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", *overrides))
    case.says(str(caught.value))
    assert len(str(caught.value)) < 800
    assert digests(finished) == before
    state = tmp_path / "run" / "state.json"
    assert not state.exists() or json.loads(state.read_text())["status"] == "failed"


def edited(run: Path, file: str, change: Callable[[bytes], bytes]) -> None:
    path = run / file
    path.write_bytes(change(path.read_bytes()))


def resealed(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The change as another version of closerlook would have written it: with the checksum that fits."""

    def whole(content: bytes) -> bytes:
        values = json.loads(change(content))
        values.pop("checksum")
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()
        return json.dumps(values | {"checksum": digest}).encode("utf-8")

    return whole


VECTORS = "step-00000006/train/layer-01.part-000.npy"
PROBE_CASES = [
    Case("a layer that is not stored", "layers=", r"\[7\]", r"expected all, blocks, last or a list", r"\[0, 1, 2\]", ("layers=[7]",)),
    Case("a step that is not stored", "steps=", r"\[1\]", "expected all, first_last", "what the run stores", ("steps=[1]",)),
    Case("a split that is not stored", "splits=", "dev", "the run stores", "'train', 'test'", ("splits=[dev]",)),
    Case("no probe", "no probe chosen", "got an empty", "expected e.g.", "probe=", ("probe=[]",)),
]  # fmt: skip
DAMAGES: list[tuple[str, str, Callable[[bytes], bytes], str]] = [
    ("a manifest of another code version", "snapshots/step-00000000/manifest.json", resealed(lambda b: b.replace(b'version": 1', b'version": 7')), "has format version 7, this code reads 1. Use the version of closerlook that wrote it"),
    ("a manifest cut short", "snapshots/step-00000000/manifest.json", lambda b: b[:200], "manifest.json is damaged .* Delete .* run the same train.py"),
    ("examples cut short", "snapshots/examples/train.parquet", lambda b: b[:-9], "train.parquet is damaged: got .*expected .*Run the same train.py"),
    ("run.json of another code version", "run.json", resealed(lambda b: b.replace(b'"task"', b'"tasks"')), "run.json (was written by another version|is damaged .*task)"),
    ("run.json cut short", "run.json", lambda b: b[:100], "run.json is damaged .*expected what train.py wrote. Run train.py again"),
]  # fmt: skip


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.parametrize("case", PROBE_CASES, ids=lambda case: case.name)
def test_probing_refuses(case: Case, finished: Path) -> None:
    from closerlook.pipelines.probe_run import probe

    before = digests(finished)
    with pytest.raises(UserError) as caught:
        probe(typed(config("probe", f"run_dir={finished}", "n_jobs=1", "logger=none", *case.overrides)))
    case.says(str(caught.value))
    assert digests(finished) == before


@pytest.mark.parametrize(("file", "change", "message"), [c[1:] for c in DAMAGES], ids=[c[0] for c in DAMAGES])
def test_a_damaged_run_is_not_probed(file: str, change: Callable[[bytes], bytes], message: str, copied: Path) -> None:
    from closerlook.pipelines.probe_run import probe

    edited(copied, file, change)
    before = digests(copied)
    with pytest.raises(UserError, match=message):
        probe(typed(config("probe", f"run_dir={copied}", "n_jobs=1", "logger=none", "probe=[geometry]")))
    assert digests(copied) == before


def test_a_flipped_bit_fails_the_cells_that_read_it_and_no_others(copied: Path) -> None:
    """The finished cells stay; nothing is computed from the damaged file; the error names it."""
    from closerlook.pipelines.probe_run import probe
    from closerlook.representations.reader import SnapshotReader
    from closerlook.results.store import ResultStore

    before = {cell.key for cell in ResultStore(copied / "results").cells()}
    step = SnapshotReader(copied / "snapshots").steps[-1]
    file = f"snapshots/step-{step:08d}/train/layer-01.part-000.npy"
    edited(copied, file, lambda data: data[:-5] + bytes([data[-5] ^ 16]) + data[-4:])
    options = ("n_jobs=1", "logger=none", "report=false", "probe=[direct]", "probe.direct.min_cluster_size=2")
    outcome = probe(typed(config("probe", f"run_dir={copied}", *options)))
    assert [(c.key.place.layer, c.key.place.split, c.key.place.step) for c in outcome.probes.failed] == [
        (1, "train", step)
    ]
    assert Path(file).name in outcome.probes.failed[0].error
    assert "Delete the folder" in outcome.probes.failed[0].error
    after = {cell.key for cell in ResultStore(copied / "results").cells()}
    assert {key for key in before if key.place.probe == "linear"} <= after


@pytest.mark.parametrize(
    ("content", "labels", "message"),
    [
        (np.array([[1.0, np.nan], [0, 1]]), "a\nb\n", "X.npy.*(NaN|finite)"),
        (np.zeros((2, 2)), "a\n", "one label per vector .2 in .*X.npy., got labels of shape .1,."),
        (np.array([["x"]]), "a\n", "X.npy"),
        (np.zeros(3), "a\n", "X.npy"),
        (None, "a\n", "X.npy is missing"),
    ],
    ids=["NaN", "labels missing", "words", "one dimension", "missing file"],
)
def test_bad_vectors_of_ones_own(content: np.ndarray | None, labels: str, message: str, tmp_path: Path) -> None:
    from closerlook.pipelines.probe_vectors import probe_vectors

    if content is not None:
        np.save(tmp_path / "X.npy", content)
    (tmp_path / "y.txt").write_text(labels)
    before = digests(tmp_path)
    settings = (f"vectors={tmp_path}/X.npy", f"labels={tmp_path}/y.txt", f"output_dir={tmp_path}/out")
    with pytest.raises(UserError, match=message):
        list(probe_vectors(typed(config("probe", "n_jobs=1", *settings))))
    assert digests(tmp_path) == before


def own_texts(folder: Path, train: str, test: str) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    for name, rows in (("a.csv", train), ("b.csv", test)):
        (folder / name).write_text("text,label\n" + rows)
    files = ("task.data_files.train={0}/a.csv", "task.data_files.test={0}/b.csv")
    return ("task=text_classification", "task.validation_fraction=0", *(item.format(folder) for item in files))


def train_and_probe(small: tuple[str, ...], tmp_path: Path, *overrides: str) -> tuple[object, object]:
    from closerlook.pipelines.fine_tune import train
    from closerlook.pipelines.probe_run import probe

    trained = train(
        config("train", *small, f"run_dir={tmp_path}/run", "logger=none", "finetuning.epochs=1", *overrides)
    )
    options = ("n_jobs=1", "logger=none", "layers=last", "probe=[direct,centroids,linear,train_test,geometry]")
    return trained, probe(typed(config("probe", f"run_dir={tmp_path}/run", *options)))


def test_labels_that_training_never_saw_count_as_errors(small: tuple[str, ...], tmp_path: Path) -> None:
    """Not an error: the run goes on, a note says so, and such an example can never be right."""
    from closerlook.results.run_dir import RunDir

    train = "".join(f"text {i},{'xy'[i % 2]}\n" for i in range(8))
    trained, probed = train_and_probe(
        small, tmp_path, *own_texts(tmp_path / "d", train, "text 1,z\ntext 2,z\ntext 3,y\n")
    )
    assert trained.metrics["test/accuracy"] <= 1 / 3 + 1e-6  # type: ignore[attr-defined]
    assert not probed.probes.failed, probed.probes.failed  # type: ignore[attr-defined]
    info = RunDir(tmp_path / "run").info()
    assert "2 test examples have labels that training has not (z)." in info.notes
    table = probed.table  # type: ignore[attr-defined]
    assert (table[(table.probe == "linear") & (table.measure == "accuracy")].value <= 1 / 3 + 1e-6).all()


def test_one_example_a_label_is_a_cluster_each(small: tuple[str, ...], tmp_path: Path) -> None:
    """Two labels of one example: linear, one distance, and that is the distance of the two points."""
    from closerlook.representations.reader import SnapshotReader

    data = own_texts(tmp_path / "d", "first text,x\nsecond one,y\n", "third text,x\nfourth text,y\n")
    _, probed = train_and_probe(small, tmp_path, *data)
    assert not probed.probes.failed, probed.probes.failed  # type: ignore[attr-defined]
    reader = SnapshotReader(tmp_path / "run" / "snapshots")
    table = probed.table  # type: ignore[attr-defined]
    direct = table[(table.probe == "direct") & (table.split == "train") & (table.layer == 2)]
    assert (direct[direct.measure == "n_clusters"].value == 2).all()
    for step in reader.steps:
        a, b = reader.vectors(step, "train", 2).astype(float)
        got = direct[(direct.measure == "label_distance") & (direct.step == step)].value.item()
        assert got == pytest.approx(np.linalg.norm(a - b), rel=1e-5)


def test_five_labels_of_one_example_each(small: tuple[str, ...], tmp_path: Path) -> None:
    _, probed = train_and_probe(small, tmp_path, "task.limit_train_texts=5", "task.validation_fraction=0")
    assert not probed.probes.failed, probed.probes.failed  # type: ignore[attr-defined]


def test_a_tokenizer_without_a_fast_version(small: tuple[str, ...], tiny_bert: Path, tmp_path: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    folder = Path(shutil.copytree(tiny_bert, tmp_path / "model"))
    for file in folder.glob("*token*"):
        file.unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CanineTokenizer"}))
    with pytest.raises(UserError, match=r"has no fast version, got CanineTokenizer.*add a tokenizer\.json"):
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", f"model.source={folder}"))


def test_a_checkpoint_of_another_model_is_refused(small: tuple[str, ...], finished: Path, tmp_path: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    labels = own_texts(tmp_path / "d", "a,x\nb,y\nc,x\nd,y\n", "a,x\nb,y\n")
    checkpoint = f"ckpt_path={finished}/checkpoints/last.ckpt"
    before = digests(finished)
    with pytest.raises(UserError, match=r"last\.ckpt"):
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", *labels, checkpoint))
    assert digests(finished) == before


def test_data_that_changed_for_the_worse_harms_nothing_that_was_computed(
    small: tuple[str, ...], tmp_path: Path
) -> None:
    """An interrupted run is resumed, its data file is broken by now: checkpoints and snapshots stay as they are."""
    from closerlook.pipelines.fine_tune import train

    good = "".join(f"text {i},{'xy'[i % 2]}\n" for i in range(40))
    overrides = (*small, f"run_dir={tmp_path}/run", "logger=none", *own_texts(tmp_path / "d", good, good))
    train(config("train", *overrides))
    state = tmp_path / "run" / "state.json"
    state.write_bytes(resealed(lambda content: content.replace(b"finished", b"running"))(state.read_bytes()))
    before = digests(tmp_path / "run")
    (tmp_path / "d" / "a.csv").write_text("text,label\n" + good + "a,b,c\n")
    with pytest.raises(UserError, match=r"a\.csv, line 42: 3 values"):
        train(config("train", *overrides))
    after = digests(tmp_path / "run")
    kept = [name for name in before if name.startswith(("checkpoints", "snapshots", "results", "metrics"))]
    assert len(kept) > 10
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}


BAD_LOGGERS = {
    "package": (("logger=tensorboard",), r"logger\.tensorboard needs a package that is not installed.*pip install"),
    "class": (("logger=csv", "logger.csv._target_=no.such.Logger"), r"logger cannot be set up: .*no\.such\.Logger"),
    "argument": (("logger=csv", "+logger.csv.colour=red"), r"logger cannot be set up: .*colour.*Expected the settings"),
    "no class": (("logger=none", "+logger.mine.x=1"), r"logger\.mine: got no _target_, expected the class"),
    "wandb": (("logger=wandb", "+logger.wandb.prject=x"), r"logger\.wandb: unknown setting prject; expected some of"),
}


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it was not installed; Lightning has looked when it was imported."""
    from pytorch_lightning.loggers import tensorboard

    def missing(*args: object, **kwargs: object) -> None:
        raise ModuleNotFoundError("Neither `tensorboard` nor `tensorboardX` is available")

    monkeypatch.setattr(tensorboard.TensorBoardLogger, "__init__", missing)


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize("which", list(BAD_LOGGERS))
def test_a_logger_that_cannot_be_set_up_is_one_clear_error(small: tuple[str, ...], tmp_path: Path, which: str) -> None:
    from closerlook.pipelines.fine_tune import train

    overrides, message = BAD_LOGGERS[which]
    with pytest.raises(UserError, match=message):
        train(config("train", *small, f"run_dir={tmp_path}/run", *overrides))
    assert json.loads((tmp_path / "run" / "state.json").read_text())["status"] == "failed"


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("task.text_part=nonsense",), "text_part is 'nonsense'"),
        (("model.source=/no/such/folder",), "model.source=/no/such/folder is not a folder"),
        *BAD_LOGGERS.values(),
    ],
    ids=["data", "model", *(f"logger: {name}" for name in BAD_LOGGERS)],
)
def test_overwriting_deletes_nothing_before_the_new_run_can_begin(
    small: tuple[str, ...], copied: Path, overrides: tuple[str, ...], message: str
) -> None:
    from closerlook.pipelines.fine_tune import train

    before = digests(copied)
    with pytest.raises(UserError, match=message):
        train(config("train", *small, f"run_dir={copied}", "logger=none", "overwrite=true", *overrides))
    assert digests(copied) == before | {".lock": hashlib.sha256().hexdigest()}


def test_overwriting_deletes_the_earlier_run(small: tuple[str, ...], copied: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    (copied / "notes.txt").write_text("mine")
    job = (*small, f"run_dir={copied}", "logger=none", "overwrite=true", "finetuning.epochs=1")
    assert train(config("train", *job)).n_snapshots == 2
    assert not (copied / "results").exists()
    assert not (copied / "report.html").exists()
    assert (copied / "notes.txt").read_text() == "mine"


def run_command(project: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_command_says_one_thing_and_fails(project: Path, tmp_path: Path) -> None:
    rows = own_texts(tmp_path / "d", "a,x\nb,x\n", "a,x\n")
    done = run_command(project, tmp_path, str(project / "train.py"), "logger=none", *rows)
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert "one label only" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.slow
def test_the_probe_command_says_one_thing_and_fails(project: Path, tmp_path: Path) -> None:
    done = run_command(project, tmp_path, str(project / "probe.py"), "run_dir=nowhere")
    assert done.returncode == 1
    assert "no run in nowhere" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "nowhere" / "results").exists()


HUB = """
import sys, time
from closerlook.data.data_errors import DataError
from closerlook.data.readers.hub_datasets import read_hub
from closerlook.data.task_settings import TaskSettings
from closerlook.models.loading import load_encoder
from closerlook.models.model_error import ModelError
from closerlook.models.encoder_settings import ModelSettings
import datasets, transformers
start = time.monotonic()
try:
    read_hub(TaskSettings(dataset="no-such/data")) if sys.argv[1] == "data" else load_encoder(ModelSettings(name="m", source="no-such/model"))
except (DataError, ModelError) as error:
    print(round(time.monotonic() - start, 2), error)
"""


@pytest.mark.parametrize("what", ["data", "model"])
@pytest.mark.parametrize("network", [pytest.param("refuses", marks=pytest.mark.slow), "hangs"])
def test_a_hub_that_cannot_be_reached_is_told_of_within_ten_seconds(what: str, network: str, tmp_path: Path) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if network == "hangs":
            server.listen(8)  # takes connections and never answers
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "CLOSERLOOK_OFFLINE")}
        environment |= {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-c", HUB, what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, message = done.stdout.strip().split(" ", 1)
    assert float(seconds) < 10
    assert f"no-such/{what}" in message
    assert "Check the id" in message
