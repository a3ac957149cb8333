"""Files as people have them: each kind is read right, or refused with one error that says what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus

CASES = Path(__file__).parents[4] / "shared" / "cases"
LABELS = ["01", "1", "None", "NA", "null", "True", "1e3", "-1"]
ROWS = [(f'"{i}" , said; it|s text', LABELS[i % 8]) for i in range(32)]
FRAME = pd.DataFrame(ROWS, columns=["text", "label"])


def load(task: str, path: Path, **settings: Any) -> Corpus:
    """A folder's corpus, its test carved out; a file as training and test."""
    files = {"train": str(path), "test": str(path)} if path.is_file() else {}
    dataset = None if files else str(path)
    if dataset is not None:
        settings.setdefault("test_fraction", 0.25)
    return load_corpus(TaskSettings(name=f"{task}_classification", dataset=dataset, data_files=files, **settings))


def rows_of(corpus: Corpus) -> list[tuple[str | tuple[str, ...] | None, list[str]]]:
    """What came from the source's training split, carved or not, in the order of the file."""
    texts = [t for split in corpus.splits.values() for t in split if t.text_id.startswith("train")]
    everything = sorted(texts, key=lambda t: t.text_id)
    return [(t.text or t.words, [target.label for target in t.targets]) for t in everything]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_route_gives_the_same_labels(tmp_path: Path) -> None:
    """Text stays text: as a file, in a folder, as a dataset that was saved; nothing becomes a number or a gap."""
    folders = {}
    for name in ("csv", "tsv", "jsonl", "json", "parquet"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        path = folders[name] / f"train.{name}"
        if name == "tsv":
            write(path, "text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in ROWS))
        elif name == "csv":
            FRAME.to_csv(path, index=False)
        elif name == "parquet":
            FRAME.to_parquet(path)
        else:
            FRAME.to_json(path, orient="records", lines=name == "jsonl")
    dataset = datasets.Dataset.from_pandas(FRAME)
    dataset.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": dataset}).save_to_disk(str(tmp_path / "dict"))
    routes = [*folders.values(), *(f / f"train.{name}" for name, f in folders.items())]
    routes += [tmp_path / "saved", tmp_path / "dict"]
    for path in routes:
        corpus = load("text", path)
        assert rows_of(corpus) == [(a, [b]) for a, b in ROWS], path
        assert corpus.label_names == tuple(sorted(LABELS)), path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that stands for a dataset of the hub, which is out of reach of tests."""
    (tmp_path / "set").mkdir()
    for name in ("load_dataset", "load_dataset_builder"):
        real = getattr(datasets, name)

        def load_local(path: str, revision: None, real: Any = real, **options: Any) -> Any:
            return real(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"), **options)

        monkeypatch.setattr(datasets, name, load_local)
    return tmp_path / "set"


def test_csv_files_of_the_hub_are_read_as_text(hub: Path) -> None:
    FRAME.to_csv(hub / "train.csv", index=False)
    corpus = load_corpus(TaskSettings(name="text_classification", dataset="some/set", test_fraction=0.25))
    assert rows_of(corpus) == [(a, [b]) for a, b in ROWS]


def test_tsv_files_of_the_hub_are_refused(hub: Path) -> None:
    write(hub / "train.tsv", "text\tlabel\n" + "".join(f"a {i}\t{i % 2}\n" for i in range(9)))
    with pytest.raises(DataError, match=r"'some/set' holds .tsv files.*--local-dir DIR some/set.*task.dataset=DIR"):
        load_corpus(TaskSettings(name="text_classification", dataset="some/set", test_fraction=0.25))
    assert load("text", hub).n_examples("train") == 7


CSV = FRAME[["text", "label"]].to_csv(index=False)
SAME = {
    "byte order mark": ("x.csv", "\ufeff" + CSV),
    "CRLF": ("x.csv", CSV.replace("\n", "\r\n")),
    "CR": ("x.csv", CSV.replace("\n", "\r")),
    "semicolons": ("x.csv", FRAME.to_csv(index=False, sep=";")),
    "Excel": ("x.csv", "\ufeffsep=;\r\n" + FRAME.to_csv(index=False, sep=";")),
    "tabs in .csv": ("x.csv", FRAME.to_csv(index=False, sep="\t")),
    "commas in .tsv": ("x.tsv", CSV),
    "bars": ("x.csv", FRAME.to_csv(index=False, sep="|")),
    "the index of pandas": ("x.csv", FRAME.to_csv()),
    "columns without a name": ("x.csv", "".join(f"{line},,\n" for line in CSV.splitlines())),
    "all quoted, tabs": ("x.tsv", FRAME.to_csv(index=False, sep="\t", quoting=1)),
    "blank lines": ("x.csv", CSV.replace("\n", "\n\n")),
    "blanks around": ("x.csv", CSV.replace("text,label", " text , label ")),
    "gz": ("x.csv.gz", gzip.compress(CSV.encode())),
    "columns of JSON": ("x.json", FRAME.to_json()),
    "rows by number": ("x.json", FRAME.to_json(orient="index")),
    "lists of JSON": ("x.json", json.dumps({"text": list(FRAME["text"]), "label": list(FRAME["label"])})),
    "JSON in data": ("x.json", json.dumps({"version": 1, "data": FRAME.to_dict("records")})),
    "lines in .json": ("x.json", FRAME.to_json(orient="records", lines=True)),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_rows_however_they_are_written(kind: str, tmp_path: Path) -> None:
    name, content = SAME[kind]
    assert rows_of(load("text", write(tmp_path / name, content))) == [(a, [b]) for a, b in ROWS]


def test_what_a_reader_decides_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", FRAME.to_csv(index=False, sep=";"))
    assert "x.csv was read with ';' between values, as its first line is written." in load("text", path).notes
    path = write(tmp_path / "x.tsv", FRAME.to_csv(index=False, sep="\t"))
    corpus = load("text", path)
    assert any("32 values of x.tsv look quoted as in CSV" in note for note in corpus.notes)
    assert rows_of(load("text", path, quoting=True)) == [(a, [b]) for a, b in ROWS]


def test_quotation_marks_within_values_of_a_csv(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'text,label\na "b" c,x\n5" disk,y\n"""d"" e, f",x\n"g\nh",y\n')
    assert [text for text, _ in rows_of(load("text", path))] == ['a "b" c', '5" disk', '"d" e, f', "g\nh"]


def test_files_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "".join(f'gj04\t{i % 2}\t\tNo header "{i}\n' for i in range(8)))
    corpus = load("text", path, column_names=["source", "label", "mark", "text"])
    assert rows_of(corpus)[1] == ('No header "1', ["1"])
    with pytest.raises(DataError, match=r"line 1: 4 values between tabs; expected 2 \('text', 'label'\)"):
        load("text", path, column_names=["text", "label"])
    with pytest.raises(DataError, match=r"task.column_names is for .csv and .tsv"):
        load("text", write(tmp_path / "x.jsonl", "{}"), column_names=["text"])


def test_whole_floats_are_the_integers_that_pandas_made_floats_of(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [f"t {i}" for i in range(9)], "label": [0, 1, None, 1, 0, 1, 0, 1, 0]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
    for name in ("x.csv", "x.parquet", "x.jsonl"):
        with pytest.raises(DataError, match=r"row 3.*: no label; .*task.on_empty=skip"):
            load("text", tmp_path / name)
        corpus = load("text", tmp_path / name, on_empty="skip")
        assert [labels for _, labels in rows_of(corpus)] == [[str(int(y))] for y in frame["label"].dropna()]
        assert "2 rows without a label are left out." in corpus.notes  # in training and in test
    write(tmp_path / "mixed.csv", "text,label\na,1\nb,1.0\nc,0\nd,0\n")
    with pytest.raises(DataError, match=r"'1' and '1.0' are one number written in two ways"):
        load("text", tmp_path / "mixed.csv")


def test_what_parquet_may_hold(tmp_path: Path) -> None:
    frame = FRAME.astype({"label": "category"}).assign(image=[b"\x00"] * len(FRAME))
    frame.to_parquet(tmp_path / "x.parquet")
    assert rows_of(load("text", tmp_path / "x.parquet")) == [(a, [b]) for a, b in ROWS]
    write(tmp_path / "bad.parquet", (tmp_path / "x.parquet").read_bytes().replace(b"said", b"s\xff\xffd"))
    with pytest.raises(DataError, match=r"bad.parquet: cannot be read as Parquet"):
        load("text", tmp_path / "bad.parquet")
    table = pa.table([["a"], ["x"], ["y"]], names=["text", "label", "label"])
    pq.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="has column 'label' twice"):
        load("text", tmp_path / "twice.parquet")
    words = pd.DataFrame({"tokens": [["a", "b"], ["c"]] * 3, "tags": [[1, 0], [1]] * 3, "id": [1] * 6})
    words.to_parquet(tmp_path / "w.parquet")
    assert rows_of(load("token", tmp_path / "w.parquet"))[:2] == [(("a", "b"), ["1", "0"]), (("c",), ["1"])]


def test_classes_without_a_label(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"text": [f"t {i}" for i in range(12)], "label": [-1 if i == 3 else i % 2 for i in range(12)]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.to_parquet(str(tmp_path / "x.parquet"))
    dataset.save_to_disk(str(tmp_path / "saved"))
    for path in (tmp_path / "x.parquet", tmp_path / "saved"):
        with pytest.raises(DataError, match=r"row 4: class -1, which means no label.*'task.ignore_labels=\[-1\]'"):
            load("text", path)
        corpus = load("text", path, ignore_labels=["-1"])
        assert [labels for _, labels in rows_of(corpus)][:5] == [["no"], ["yes"], ["no"], [], ["no"]]
        assert any(note.endswith(" examples labelled -1 are left out.") for note in corpus.notes)


@pytest.mark.parametrize(
    ("rows", "settings", "message", "note"),
    [
        ([{"tokens": [], "tags": []}], {"on_empty": "skip"}, "task.on_empty=skip", "2 rows without a sentence are"),
        ([{"tokens": None, "tags": None}], {"on_empty": "skip"}, "task.on_empty=skip", "2 rows without a sentence are"),
        ([{"tokens": ["a", "b"], "tags": ["X", None]}], {"on_empty": "skip"}, "on_empty=skip", "2 words without a"),
        (
            [{"tokens": ["a", " "], "tags": ["X", "Y"]}],
            {"allow_dropped_words": True},
            "allow_dropped_words=true",
            "2 empty words are",
        ),
        ([{"tokens": ["", None], "tags": ["X", "Y"]}], {"on_empty": "skip"}, "on_empty=skip", "2 rows without a sen"),
    ],
)
def test_what_is_empty_is_named_or_left_out_and_counted(
    rows: list[dict[str, Any]], settings: dict[str, Any], message: str, note: str, tmp_path: Path
) -> None:
    good = [{"tokens": ["c", f"d{i}"], "tags": ["X", "Y"]} for i in range(6)]
    path = write(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in [*good, *rows]))
    with pytest.raises(DataError, match=f"row 7 .line 7.*{message}"):
        load("token", path)
    corpus = load("token", path, **settings)
    assert any(n.startswith(note) for n in corpus.notes)
    assert len(rows_of(corpus)) == (6 if "sentence" in note or "sen" in note.split()[-1] else 7)


def test_positions_move_when_empty_words_go(tmp_path: Path) -> None:
    rows = [{"tokens": ["", "a", " ", "b"], "first": 3, "second": 1, "label": "xy"[i % 2]} for i in range(8)]
    rows.append({"tokens": ["", "a"], "first": 0, "second": 1, "label": "x"})
    path = write(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    corpus = load("pair", path, allow_dropped_words=True)
    everything = [t for texts in corpus.splits.values() for t in texts]
    assert {t.form(0) for t in everything if t.targets} == {"b a"}
    assert "2 examples of empty words are left out." in corpus.notes


CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

# NN B-NP O
Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER

-DOCSTART- -X- -X- O
1.5 CD B-NP O

"""
SENTENCES = [(("EU", "rejects"), ["B-ORG", "O"]), (("#", "Peter", "Blackburn"), ["O", "B-PER", "I-PER"])]


@pytest.mark.parametrize("name", ["x.conll", "x.txt", "x.iob2"])
@pytest.mark.parametrize("form", ["plain", "tabs", "crlf"])
def test_conll_2003(name: str, form: str, tmp_path: Path) -> None:
    text = {"plain": CONLL, "tabs": CONLL.replace(" ", "\t"), "crlf": CONLL.replace("\n", "\r\n")}[form]
    path = write(tmp_path / name, text)
    assert rows_of(load("token", path)) == [*SENTENCES, (("1.5",), ["O"])]
    chunks = rows_of(load("token", path, labels_column="2"))
    assert chunks[0] == (("EU", "rejects"), ["B-NP", "B-VP"])
    typed = load("token", path, tags="type")
    assert [labels for _, labels in rows_of(typed)] == [["ORG", "O"], ["O", "PER", "PER"], ["O"]]


def test_comments_before_sentences_and_words_with_blanks(tmp_path: Path) -> None:
    text = "".join(f"# id {i} domain=en\nhis _ _ O\nx{i} _ _ B-P\n\n" for i in range(4))
    assert rows_of(load("token", write(tmp_path / "x.conll", text)))[0] == (("his", "x0"), ["O", "B-P"])
    text = "".join(f"New York {i}\tB-LOC\nis\tO\n\n" for i in range(4))
    assert rows_of(load("token", write(tmp_path / "y.conll", text)))[1] == (("New York 1", "is"), ["B-LOC", "O"])


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("EU B-ORG\nrejects\n", {}, "line 2: 1 columns; expected 2 as in line 1"),
        ("Hello\nWorld\n", {}, "line 1: 1 columns; expected a word and its label"),
        ("\n\n", {}, "no words found"),
        ("-DOCSTART- O\n", {}, "no words found"),
        ("a b O\n", {"labels_column": "7"}, "columns 0 and 7 are asked for; expected 0 to 2"),
        ("a b O\n", {"labels_column": "pos"}, "task.labels_column is 'pos', but .* expected a number"),
        ("a N\nb V\n", {"tags": "type"}, "task.tags=type takes B- and I- off labels, but no label has one"),
        ("a N\nb V\n", {"tags": "iob"}, "tags is 'iob'; expected one of bio, type"),
        ("a N\nb V\n", {"on_empty": "drop"}, "on_empty is 'drop'; expected one of error, skip"),
    ],
)
def test_bad_columns(text: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load("token", write(tmp_path / "x.conll", text), **settings)


def test_one_word_a_row(tmp_path: Path) -> None:
    text = 'Sentence #,Word,POS,Tag\nSentence: 1,EU,NN,B-ORG\n,NA,VB,O\n,"""",X,O\nSentence: 2,null,NN,B-PER\n'
    path = write(tmp_path / "x.csv", text + 'Sentence: 3,"1,5",CD,O\n,é,NN,B-ORG\n')
    names = {"words_column": "Word", "labels_column": "Tag"}
    corpus = load("token", path, **names, sentence_column="Sentence #")
    expected = [(("EU", "NA", '"'), ["B-ORG", "O", "O"]), (("null",), ["B-PER"]), (("1,5", "é"), ["O", "B-ORG"])]
    assert rows_of(corpus) == expected
    with pytest.raises(DataError, match=r"every row holds one word, and there is a column 'Sentence #'"):
        load("token", path, **names)
    numbers = [1, None, 2, 1]
    pd.DataFrame({"s": numbers, "tokens": list("abcd"), "tags": list("XYXY")}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"row 4: sentence '1.0' begins again \(first in row 1\)"):
        load("token", tmp_path / "x.parquet", sentence_column="s")
    with pytest.raises(DataError, match=r"row 1 \(line 2\): column 's' is blank"):
        load("token", write(tmp_path / "y.csv", "s,tokens,tags\n,a,X\n1,b,Y\n"), sentence_column="s")


WORDS = [["don't", '"', "a,b"], ["x"], ["y", "z"]] * 2
TAGS = [["X", "O", "B-PER"], ["O"], ["O", "X"]] * 2


@pytest.mark.parametrize("form", ["python", "json", "numpy", "array", "blanks", "integers"])
def test_lists_that_were_written_as_text(form: str, tmp_path: Path) -> None:
    tags = [[str(i) for i, _ in enumerate(labels)] for labels in TAGS] if form == "integers" else TAGS
    as_text = {
        "python": str,
        "json": json.dumps,
        "numpy": lambda values: str(np.array(values, dtype=object)),
        "array": lambda values: repr(np.array(values, dtype=object)),
        "blanks": " ".join,
        "integers": lambda values: str(values).replace("'", ""),
    }[form]
    words = as_text if form in ("python", "json", "numpy", "array") else str
    frame = pd.DataFrame({"tokens": [words(w) for w in WORDS], "tags": [as_text(t) for t in tags]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    expected = [(tuple(w), t) for w, t in zip(WORDS, tags, strict=True)]
    assert rows_of(load("token", tmp_path / "x.csv")) == expected


def test_words_in_brackets_and_quotation_marks_are_no_list(tmp_path: Path) -> None:
    texts = ["[ ' a ' ]", "( ' b ' )", "['tis so", '( " c " , " d " ) .']
    rows = "".join(f"{text}\t{' '.join('XY'[i % 2] for i in range(len(text.split())))}\n" for text in texts)
    corpus = load("token", write(tmp_path / "x.tsv", f"tokens\ttags\n{rows}"))
    assert [words for words, _ in rows_of(corpus)] == [tuple(text.split()) for text in texts]


def test_lists_that_numpy_cut_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "tokens,tags\n\"['a' ... 'b']\",X O\n")
    with pytest.raises(DataError, match=r"row 1 \(line 2\): words .* begin like a list but cannot be read.*shortens"):
        load("token", path)


def test_a_treebank_folder(tmp_path: Path, fixture_dir: Path) -> None:
    content = (fixture_dir / "mini.conllu").read_text(encoding="utf-8")
    for split in ("train", "dev", "test"):
        changed = content.replace("notes-", f"{split}-")
        (tmp_path / f"en_mini-ud-{split}.conllu").write_text(changed, encoding="utf-8")
        (tmp_path / f"en_mini-ud-{split}.txt").write_text("only text", encoding="utf-8")
    (tmp_path / "README.txt").write_text("a treebank", encoding="utf-8")
    corpus = load("token", tmp_path, labels_column="upos", validation_split="validation")
    assert {split: corpus.n_examples(split) for split in corpus.splits} == {"train": 12, "validation": 12, "test": 12}
    assert sorted(corpus.checksums) == [f"en_mini-ud-{split}.conllu" for split in ("dev", "test", "train")]
    (tmp_path / "en_mini-ud-train.conllu").unlink()
    with pytest.raises(DataError, match=r"no split 'train'; the data has 'validation', 'test'.*task.train_split"):
        load("token", tmp_path, labels_column="upos")
    with pytest.raises(DataError, match=r"one split is to be two: .*task.test_split=null"):
        load("token", tmp_path, labels_column="upos", train_split="test")
    pairs = load("pair", tmp_path, train_split="validation")
    assert [pairs.splits["test"][1].form(i) for i in range(2)] == ["maps Vast", "help maps"]


def test_a_folder_of_column_files(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / f"{split}.txt", CONLL.replace("EU", split))
    corpus = load("token", tmp_path, validation_split="validation")
    assert [corpus.splits[s][0].words for s in ("train", "validation", "test")] == [
        ("train", "rejects"),
        ("valid", "rejects"),
        ("test", "rejects"),
    ]


def test_a_folder_of_two_formats(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "train.csv", index=False)
    FRAME.to_json(tmp_path / "test.jsonl", orient="records", lines=True)
    write(tmp_path / "notes.txt", "where it is from")
    corpus = load("text", tmp_path)
    assert {split: corpus.n_examples(split) for split in corpus.splits} == {"train": 32, "test": 32}
    write(tmp_path / "more.csv", CSV)  # says no split: the conventions of the hub decide, which know one format
    with pytest.raises(DataError, match=r"Couldn't infer the same data file format.*Expected files named by split"):
        load("text", tmp_path)


def test_folders_of_other_formats_and_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .*Expected files named by split"):
        load("text", tmp_path)
    datasets.Dataset.from_pandas(FRAME).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "arrow").mkdir()
    (tmp_path / "saved" / "data-00000-of-00001.arrow").rename(tmp_path / "arrow" / "train.arrow")
    assert rows_of(load("text", tmp_path / "arrow")) == [(a, [b]) for a, b in ROWS]
    with pytest.raises(DataError, match="saved cannot be read"):
        load("text", tmp_path / "saved")


def test_files_of_one_name_keep_their_checksums_apart(tmp_path: Path) -> None:
    for split in ("a", "b"):
        (tmp_path / split).mkdir()
        FRAME.assign(text=FRAME["text"] + split).to_csv(tmp_path / split / "x.csv", index=False)
    files = {split: str(tmp_path / name / "x.csv") for split, name in (("train", "a"), ("test", "b"))}
    corpus = load_corpus(TaskSettings(name="text_classification", data_files=files))
    assert sorted(corpus.checksums) == sorted(files.values())


def test_a_missing_test_split_is_carved_and_that_is_said(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    settings = TaskSettings(
        name="text_classification", data_files={"train": str(tmp_path / "x.csv")}, test_fraction=0.25
    )
    corpus = load_corpus(settings)
    assert (corpus.n_examples("train"), corpus.n_examples("test")) == (24, 8)
    assert "There is no split 'test' (only 'train'): 25% of train became the test." in corpus.notes
    with pytest.raises(DataError, match="no split 'tset'"):
        load("text", tmp_path / "x.csv", test_split="tset")


def test_data_under_a_name_of_its_own(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    settings = TaskSettings(name="mine", kind="text_classification", dataset=str(tmp_path / "x.csv"), test_fraction=0.2)
    assert load_corpus(settings).name == "mine"
    with pytest.raises(DataError, match=r"unknown task 'mine'.*task.kind=text_classification"):
        load_corpus(TaskSettings(name="mine", dataset=str(tmp_path / "x.csv")))
    with pytest.raises(DataError, match=r"task.kind is 'texts'; expected one of text_classification"):
        load_corpus(TaskSettings(name="mine", kind="texts"))


# file: task, settings, texts and examples in all splits, labels
SHARED = {
    "glue.tsv": ("text", {"text_column": "sentence"}, (20, 20), ["0", "1"]),
    "pandas_index.csv": ("text", {}, (20, 20), ["neg", "pos"]),
    "classlabel_minus1.parquet": ("text", {"ignore_labels": ["-1"]}, (20, 19), ["x", "y"]),
    "empty_row.jsonl": ("token", {"on_empty": "skip"}, (20, 164), ["long", "punct", "short"]),
    "latin1.csv": ("text", {"encoding": "latin-1"}, (20, 20), ["neg", "pos"]),
    "conll2003.txt": ("token", {}, (20, 164), ["B-PER", "O"]),
    "strlist.csv": ("token", {}, (20, 164), ["long", "punct", "short"]),
    "words.jsonl": ("token", {}, (20, 164), ["long", "punct", "short"]),
    "folder_a/train.csv": ("text", {}, (20, 20), ["01", "1", "2"]),
    "folder_a": ("text", {}, (20, 20), ["01", "1", "2"]),
    "folder_b/train.csv": ("text", {}, (20, 20), ["Against", "For", "None"]),
    "folder_b": ("text", {}, (20, 20), ["Against", "For", "None"]),
}


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no shared files in {CASES}")
@pytest.mark.parametrize("name", SHARED)
def test_the_shared_cases(name: str) -> None:
    task, settings, counts, labels = SHARED[name]
    corpus = load(task, CASES / name, **settings)
    rows = rows_of(corpus)
    assert (len(rows), sum(len(found) for _, found in rows)) == counts
    assert list(corpus.label_names) == labels
