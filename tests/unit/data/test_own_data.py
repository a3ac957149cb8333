from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from closerlook.data import tasks
from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError, DownloadError
from closerlook.data.task_settings import TaskSettings

ROWS = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(20)]


def load(name: str, **settings: Any) -> Corpus:
    return tasks.load_corpus(replace(TaskSettings(name=name), **settings))


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_csv(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def texts_of(corpus: Corpus, split: str) -> list[tuple[str, str]]:
    return [(t.text or "", target.label) for t in corpus.splits[split] for target in t.targets]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_texts_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    frame = pd.DataFrame(ROWS)
    path = tmp_path / f"x{ending}"
    if ending == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif ending == ".json":
        frame.to_json(path, orient="records")
    elif ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    corpus = load("text_classification", data_files={"train": str(path), "test": str(path)})
    assert texts_of(corpus, "train") == [(row["text"], row["label"]) for row in ROWS]
    assert corpus.level == "sentence"
    assert corpus.label_names == ("a", "b")
    assert list(corpus.checksums) == [path.name]
    assert corpus.notes == ("20 texts of the test split stand in the training split as well.",)


def test_csv_text_stays_as_written(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", 'text,label\nnull,1\n007,2\n"a, b\nc",1\n2004,2\n')
    corpus = load("text_classification", data_files={"train": path, "test": path})
    assert texts_of(corpus, "train") == [("null", "1"), ("007", "2"), ("a, b\nc", "1"), ("2004", "2")]


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_jsonl(path, ROWS)
    stamp = path.stat()
    before = load("text_classification", data_files={"train": str(path), "test": str(path)})
    write_jsonl(path, [{**row, "text": row["text"].replace("text", "TEXT")} for row in ROWS])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same path, size and time
    after = load("text_classification", data_files={"train": str(path), "test": str(path)})
    assert texts_of(after, "train")[0] == ("TEXT 0", "a")
    assert before.checksums != after.checksums


def test_test_and_validation_are_carved_by_content(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(100)]
    kwargs: dict[str, Any] = {"test_split": None, "test_fraction": 0.2, "validation_fraction": 0.1}
    corpus = load("text_classification", dataset=write_jsonl(tmp_path / "x.jsonl", rows), **kwargs)
    assert {s: len(corpus.splits[s]) for s in corpus.splits} == {"train": 72, "test": 20, "validation": 8}
    assert corpus.label_counts("test") == {"a": 10, "b": 10}
    turned = load("text_classification", dataset=write_jsonl(tmp_path / "y.jsonl", rows[::-1]), **kwargs)
    assert set(texts_of(turned, "test")) == set(texts_of(corpus, "test"))


def test_class_labels_become_names_and_folders_are_read(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        rows = {"text": [f"{split} {i}" for i in range(6)], "label": [i % 2 for i in range(6)]}
        Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    corpus = load("text_classification", dataset=str(tmp_path))
    assert corpus.label_names == ("no", "yes")
    assert texts_of(corpus, "test")[:2] == [("test 0", "no"), ("test 1", "yes")]
    assert set(corpus.checksums) == {f"data/{s}-00000-of-00001.parquet" for s in ("train", "test")}
    unlabelled = {"text": ["a", "b"], "label": [-1, -1]}
    Dataset.from_dict(unlabelled, features=features).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"column 'label' has no label at all.*task.test_split=validation"):
        load("text_classification", dataset=str(tmp_path))


def test_relative_paths_are_found_in_the_data_folder(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "x.jsonl", ROWS)
    corpus = load("text_classification", dataset="x.jsonl", data_dir=str(tmp_path), test_split=None, test_fraction=0.5)
    assert corpus.n_examples("train") == 10


def test_words_with_labels(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ann", "met", "Bo"], "tags": [1, -100, 1]}, {"tokens": ["I", "ran"], "tags": [0, 2]}]
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    corpus = load("token_classification", data_files={"train": path, "test": path}, ignore_labels=["2"])
    first, second = corpus.splits["train"]
    assert [(t.words, t.label) for t in first.targets] == [((0,), "1"), ((2,), "1")]
    assert [(t.words, t.label) for t in second.targets] == [((0,), "0")]
    assert first.words == ("Ann", "met", "Bo")
    assert corpus.notes[:2] == ("2 examples labelled -100 are left out.", "2 examples labelled 2 are left out.")


def test_words_and_pairs_from_conllu(fixture_dir: Path) -> None:
    path = str(fixture_dir / "mini.conllu")
    corpus = load("token_classification", data_files={"train": path, "test": path}, labels_column="upos")
    assert corpus.n_examples("train") == 12
    assert corpus.splits["train"][1].form(3) == "readers"
    pairs = load("pair_classification", data_files={"train": path, "test": path})
    text = pairs.splits["train"][1]
    assert [(text.form(i), t.label) for i, t in enumerate(text.targets)] == [
        ("maps Vast", "amod"),
        ("help maps", "nsubj"),
        ("help readers", "obj"),
        ("help .", "punct"),
    ]
    with pytest.raises(DataError, match=r"CoNLL-U has no label column 'tags'; expected .* upos, xpos, deprel"):
        load("token_classification", data_files={"train": path, "test": path})
    with pytest.raises(DataError, match=r"text_classification reads no \.conllu files"):
        load("text_classification", data_files={"train": path, "test": path})


def pair(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> list[tuple[tuple[str, ...], str]]:
    others = [{**rows[0], "label": "x"}, {**rows[0], "label": "y"}, {**rows[0], "label": "y"}]
    path = write_jsonl(tmp_path / "x.jsonl", [*rows, *others])
    corpus = load("pair_classification", data_files={"train": path, "test": path}, **settings)
    assert all(len(t.words) == 2 for text in corpus.splits["train"] for t in text.targets)
    return [(text.words or (), text.form(0)) for text in corpus.splits["train"]][: len(rows)]


def test_pairs_by_word_index(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["smoke", "from", "fire"], "first": 2, "second": 0, "label": "x"},
        {"tokens": ["a", "b"], "first": 0, "second": 1, "label": "y"},
    ]
    assert [form for _, form in pair(tmp_path, rows)] == ["fire smoke", "a b"]


def test_pairs_by_characters(tmp_path: Path) -> None:
    text = "The prime minister, Ann, spoke."
    spans = {"first_start": 20, "first_end": 23, "second_start": 4, "second_end": 18}
    rows = [{"text": text, **spans, "label": "x"}]
    words, form = pair(tmp_path, rows, pair_format="char_span")[0]
    assert words == ("The", "prime minister", ",", "Ann", ",", "spoke.")
    assert form == "Ann prime minister"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The <e1>flood</e1> came from the <e2>heavy rain</e2>.", "flood heavy rain"),
        ("<e2>Rain</e2> made the <e1>flood</e1>", "flood Rain"),
        ("<e1>a</e1><e2>b</e2>", "a b"),
    ],
)
def test_pairs_by_markers(tmp_path: Path, text: str, form: str) -> None:
    assert pair(tmp_path, [{"text": text, "label": "x"}], pair_format="markers")[0][1] == form


def test_pairs_by_markers_from_csv_with_own_markers(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", "s,rel\n[A]x[/A] of [B]y[/B],1\n[B]x[/B] [A]z[/A],1\n[A]a[/A] [B]b[/B],2\n")
    corpus = load(
        "pair_classification",
        data_files={"train": path, "test": path},
        pair_format="markers",
        text_column="s",
        label_column="rel",
        markers=["[A]", "[/A]", "[B]", "[/B]"],
    )
    assert [text.form(0) for text in corpus.splits["train"]] == ["x y", "z x", "a b"]


BAD_ROWS: list[tuple[str, list[dict[str, Any]], dict[str, Any], str]] = [
    ("text", [{"body": "a", "label": "b"}], {}, "no column 'text'; it has 'body', 'label'.*task.text_column"),
    ("text", [{"text": "a", "y": "b"}], {}, "no column 'label'.*task.label_column"),
    (
        "text",
        [{"text": "a", "label": "x"}, {"text": " ", "label": "y"}],
        {},
        r"row 2 .line 2.: text ' '; .*task.on_empty=skip",
    ),
    ("text", [{"text": "a", "label": "x"}, {"text": None, "label": "y"}], {}, r"row 2 .line 2.: text None"),
    (
        "text",
        [{"text": "a", "label": "x"}, {"text": "b", "label": None}],
        {},
        r"row 2 .*: no label; .*task.on_empty=skip",
    ),
    ("text", [{"text": "a", "label": 0.5}, {"text": "b", "label": 1.0}], {}, "labels such as 0.5 .*regression"),
    (
        "text",
        [{"text": "a", "label": ["x", "y"]}],
        {},
        r"label .* is a list; .*several labels a text",
    ),
    ("text", [{"text": "a", "label": "['x', 'y']"}], {}, r"label .* is a list; expected one label"),
    ("text", [{"text": "a", "label": 1}, {"text": "b", "label": "1.0"}], {}, "'1' and '1.0' are one number written in"),
    ("text", [{"text": {"x": "a"}, "label": 1}], {}, "text .*; expected a text"),
    ("text", [{"text": "\ud800", "label": 1}], {}, "half a character"),
    ("text", [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}], {}, "one label only .'x', 2 examples"),
    ("text", [{"text": c, "label": c} for c in "abc"], {}, "every one of the 3 training examples has a label of its"),
    ("text", [{"text": c, "label": "x"} for c in "abc"], {"ignore_labels": ["x"]}, "train split has no examples"),
    (
        "token",
        [{"tokens": ["a"], "tags": ["x", "y"]}],
        {},
        r"row 1 .*: 2 labels for 1 words; expected a",
    ),
    ("token", [{"tokens": [], "tags": []}], {}, r"row 1 .*: words \[\]; expected a list of words .*task.on_empty=skip"),
    (
        "token",
        [{"tokens": ["a", ""], "tags": ["x", "y"]}],
        {},
        r"row 1 .*: word 2 of 2 is empty.*allow_dropped_w",
    ),
    ("token", [{"tokens": ["a"], "tags": "x y"}], {}, r"row 1 .*: 2 labels for 1 words.*task.sentence_column"),
    ("pair", [{"tokens": ["a", "b"], "first": 0, "second": 2, "label": "x"}], {}, "positions 0 and 2; expected two of"),
    ("pair", [{"tokens": ["a", "b"], "first": 1, "second": 1, "label": "x"}], {}, "positions 1 and 1; expected two of"),
    ("pair", [{"tokens": ["a", "b"], "first": "x", "second": 1, "label": "x"}], {}, "position 'x'; expected a whole"),
    ("pair", [{"text": "a <e1>b</e1> c", "label": "x"}], {"pair_format": "markers"}, "marker '<e2>' stands 0 times"),
    ("pair", [{"text": "</e1>b<e1> <e2>c</e2>", "label": "x"}], {"pair_format": "markers"}, "expected two that hold a"),
    ("pair", [{"text": "a", "label": "x"}], {"pair_format": "markers", "markers": ["*"]}, "expected four different"),
    ("pair", [{"text": "a", "label": "x"}], {"pair_format": "brackets"}, "pair_format is 'brackets'; expected one of"),
]


@pytest.mark.parametrize(("kind", "rows", "settings", "message"), BAD_ROWS)
def test_bad_rows(
    tmp_path: Path, kind: str, rows: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    with pytest.raises(DataError, match=message):
        load(f"{kind}_classification", data_files={"train": path, "test": path}, **settings)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [(0, 99, "spans .0, 99. and .4, 6. in a text of 6"), (3, 5, "do not overlap"), (1, 2, "hold a word each")],
)
def test_bad_character_spans(tmp_path: Path, start: int, end: int, message: str) -> None:
    row = {"text": "a  bcd", "first_start": start, "first_end": end, "second_start": 4, "second_end": 6, "label": "x"}
    path = write_jsonl(tmp_path / "x.jsonl", [row])
    with pytest.raises(DataError, match=message):
        load("pair_classification", data_files={"train": path, "test": path}, pair_format="char_span")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "text,label\na,1\nb,2,3\n", r"line 3: 3 values between ','; expected 2 \('text', 'label'\)"),
        ("x.csv", "text,label\na,1,\nb,2,\n", "line 2: 3 values"),
        ("x.csv", "text,text\na,1\n", r"header \['text', 'text'\]; expected different"),
        ("x.csv", "", "is empty; expected a header line"),
        ("x.csv", "text,label\n", "has no rows below its header"),
        ("x.csv", "text,label\na\n", "line 2: 1 values"),
        ("x.csv", 'text,label\na,1\n"b,2\nc,1\n', "line 3: a row that begins here cannot be read.*task.quoting=false"),
        ("x.csv", "good,pos\nbad,neg\n", r"no column 'text'; it has 'good', 'pos'.*task.column_names="),
        ("x.tsv", 'text\tlabel\n"a\tb"\t1\n', "line 2: 3 values between tabs; expected 2.*task.quoting=true"),
        ("x.jsonl", '{"text": "a"\n', "line 1: is no JSON"),
        ("x.jsonl", '{"text": "a"}\n[1]\n', r"line 2: row 2 is \[1\]; expected a list of objects"),
        ("x.jsonl", '{"text": "a", "text": "b"}\n', "names 'text' twice"),
        ("x.jsonl", "", "has no rows"),
        ("x.json", "[]", "has no rows"),
        ("x.json", "3", "holds int, not rows"),
        ("x.json", '[{"text": "a"},\n{"text" "b"}]', "line 2: is no JSON"),
        ("x.parquet", "not parquet", "cannot be read as Parquet"),
        ("x.docx", "a", "unknown ending '.docx'; expected one of .csv"),
        ("x.conll", "a O", "one word a line, for task=token_classification"),
        ("x.csv.gz", "text,label\na,1\n", r"cannot be read \(Not a gzipped file"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = write_csv(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        load("text_classification", data_files={"train": path, "test": path})


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".json", ".conll"])
def test_wrong_encoding(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(("text,label\n" + "cafe,1\n" * 5_000 + "café,1\n").encode("iso-8859-1"))
    task = "token_classification" if ending == ".conll" else "text_classification"
    with pytest.raises(DataError, match=r"line 5002: byte 0xE9 is not UTF-8; expected a UTF-8.*task.encoding=latin-1"):
        load(task, data_files={"train": str(path), "test": str(path)})


def test_other_encodings(tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-16", "utf-8-sig", "cp1252"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("text,läbel\r\ncafé,1\r\ntéa,2\r\n".encode(encoding))
        files = {"train": str(path), "test": str(path)}
        corpus = load("text_classification", data_files=files, label_column="läbel", encoding=encoding)
        assert texts_of(corpus, "train") == [("café", "1"), ("téa", "2")]
    with pytest.raises(DataError, match=r"byte 0xFF is not UTF-8.*task.encoding=utf-16"):
        load("text_classification", dataset=str(tmp_path / "utf-16.csv"))
    with pytest.raises(DataError, match=r"task.encoding is 'latin-9x'; expected a text encoding"):
        load("text_classification", dataset=str(path), encoding="latin-9x")


def test_bad_sources(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ROWS)
    with pytest.raises(DataError, match=r"needs either task.dataset .* or task.data_files .* got neither"):
        load("text_classification")
    with pytest.raises(DataError, match="got both"):
        load("text_classification", dataset=path, data_files={"train": path})
    with pytest.raises(DataError, match=r"no split 'test'; the data has 'train'.*task.test_split=null"):
        load("text_classification", dataset=path)
    with pytest.raises(DataError, match=r"no split 'training'; the data has 'train'. Name one with task.train_split$"):
        load("text_classification", data_files={"train": path}, train_split="training")
    with pytest.raises(DataError, match="no test split and test_fraction is 0"):
        load("text_classification", dataset=path, test_split=None)
    with pytest.raises(DataError, match="there is no such file"):
        load("text_classification", data_files={"train": str(tmp_path / "none.csv"), "test": path})
    with pytest.raises(DataError, match="there is no such file"):
        load("text_classification", dataset="none.csv")


def test_a_hub_dataset_is_asked_for_by_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[str, dict[str, Any]]] = []

    def hub(path: str, **options: Any) -> datasets.DatasetDict:  # the hub itself is out of reach of tests
        asked.append((path, options))
        rows = {"sentence": [f"text {i}" for i in range(10)], "y": [i % 2 for i in range(10)]}
        features = datasets.Features({"sentence": datasets.Value("string"), "y": datasets.ClassLabel(names=["n", "p"])})
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})

    monkeypatch.setattr(datasets, "load_dataset", hub)
    corpus = load(
        "text_classification",
        dataset="some/set",
        dataset_config="en",
        dataset_revision="abc",
        test_split=None,
        test_fraction=0.2,
        text_column="sentence",
        label_column="y",
    )
    assert asked == [("some/set", {"name": "en", "revision": "abc", "keep_in_memory": True})]  # no remote code
    assert corpus.label_names == ("n", "p")
    assert list(corpus.checksums) == ["some/set:train"]
    assert len(corpus.checksums["some/set:train"]) == 64


def test_an_unknown_hub_id_without_network_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match=r"'no-such/dataset' is not in the cache .*\(HF_HUB_OFFLINE=1\)"):
        load("text_classification", dataset="no-such/dataset")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(DataError, match=f"not looked for on the hub .{address} does not answer.*task.data_files"):
        load("text_classification", dataset="no-such/dataset")
    assert time.monotonic() - started < 10
    assert not issubclass(DataError, DownloadError)
