"""Every count of the paper's data, on the published files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from closerlook.data.corpus import TARGET_WIDTH, Corpus
from closerlook.data.data_errors import DataError, DataFileError
from closerlook.data.source_files import PUD, STREUSLE_TRAIN
from closerlook.data.splits import contradictions
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus

COUNTS = {
    # task: level, examples (train, test), labels (train, test), validation examples
    "pos": ("word", (16_854, 4_322), (17, 16), None),
    "dep": ("pair", (16_054, 4_122), (46, 39), None),
    "ps_role": ("word", (4_282, 457), (46, 40), 433),
    "ps_fxn": ("word", (4_282, 457), (40, 35), 433),
    "trec50": ("sentence", (5_452, 500), (50, 42), None),
    "trec6": ("sentence", (5_452, 500), (6, 6), None),
}


def load(name: str, data_dir: Path, **settings: object) -> Corpus:
    return load_corpus(replace(TaskSettings(name=name, data_dir=str(data_dir), download=False), **settings))


@pytest.fixture(scope="module")
def corpora(real_data_dir: Path) -> dict[str, Corpus]:
    return {name: load(name, real_data_dir) for name in COUNTS}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_paper(corpora: dict[str, Corpus], name: str) -> None:
    corpus = corpora[name]
    level, (train, test), (train_labels, test_labels), validation = COUNTS[name]
    assert corpus.level == level
    assert (corpus.n_examples("train"), corpus.n_examples("test")) == (train, test)
    assert (len(corpus.label_counts("train")), len(corpus.label_counts("test"))) == (train_labels, test_labels)
    assert len(corpus.label_names) == train_labels
    assert list(corpus.label_names) == sorted(corpus.label_names)
    if validation is None:
        assert "validation" not in corpus.splits
    else:
        assert corpus.n_examples("validation") == validation
    widths = {len(t.words) for texts in corpus.splits.values() for text in texts for t in text.targets}
    assert widths == {TARGET_WIDTH[level]}


def test_split_of_english_pud(corpora: dict[str, Corpus]) -> None:
    assert [len(corpora["pos"].splits[s]) for s in ("train", "test")] == [800, 200]
    assert corpora["pos"].splits["train"][0].text_id == "n01001011"
    first = corpora["dep"].splits["train"][0]
    assert first.words is not None
    # 10 "in" --case--> 13 "States"; 13 is the head
    target = next(t for t in first.targets if t.words == (12, 9))
    assert (first.words[12], first.words[9], target.label) == ("States", "in", "case")
    assert not any(label == "root" for label in corpora["dep"].label_names)


def test_labels_of_prepositions(corpora: dict[str, Corpus]) -> None:
    roles, functions = corpora["ps_role"], corpora["ps_fxn"]
    over_all = {label for split in roles.splits for label in roles.label_counts(split)}
    assert over_all - set(roles.label_names) == {"InsteadOf"}
    assert len(over_all) == 47
    assert {"Species", "Cost", "Stuff"} <= set(roles.label_names)
    texts = zip(roles.splits["test"], functions.splits["test"], strict=True)
    assert all([t.words for t in a.targets] == [t.words for t in b.targets] for a, b in texts)
    assert any("1 validation examples have labels that training has not (InsteadOf)" in n for n in roles.notes)


def test_checksums_and_the_rebuilt_training_file(corpora: dict[str, Corpus]) -> None:
    corpus = corpora["ps_role"]
    assert len(corpus.checksums) == 3
    name = "streusle.ud_train.conllulex"
    if corpus.checksums[name] == STREUSLE_TRAIN.checksum:
        pytest.skip("the released training file is in place of the rebuilt one")
    assert corpus.checksums[name] in STREUSLE_TRAIN.other_versions
    assert any(name in note and "rebuilt" in note for note in corpus.notes)
    assert corpora["pos"].checksums == {"en_pud-ud-test.conllu": PUD.checksum}
    assert corpora["pos"].notes == ()


def test_the_question_that_has_two_labels(corpora: dict[str, Corpus]) -> None:
    text = "What is the chromosome number of an elephant ?"
    assert contradictions(corpora["trec50"].splits["train"]) == {(text, ()): ["train-0900", "train-5242"]}
    assert contradictions(corpora["trec6"].splits["train"]) == {}
    assert contradictions(corpora["pos"].splits["test"]) == {}
    assert shared(corpora["trec50"], "train", "test") == 10
    assert corpora["trec50"].notes == (
        "10 texts of the test split stand in the training split as well.",
        "1 inputs stand with different labels: no classifier can be right on all of them.",
    )


def shared(corpus: Corpus, first: str, second: str) -> int:
    return len({t.content for t in corpus.splits[first]} & {t.content for t in corpus.splits[second]})


def test_default_task_has_no_leak() -> None:
    corpus = load_corpus(TaskSettings(name="bbc_topics", validation_fraction=0.1))
    assert {s: corpus.n_examples(s) for s in corpus.splits} == {"train": 1509, "test": 419, "validation": 168}
    assert sum(corpus.n_examples(s) for s in corpus.splits) == 2096
    for pair in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert shared(corpus, *pair) == 0
    assert contradictions(corpus.splits["train"]) == {}
    assert len(corpus.label_names) == len(corpus.label_counts("validation")) == 5


def test_carved_validation_is_taken_from_training_only(corpora: dict[str, Corpus], real_data_dir: Path) -> None:
    carved = load("trec50", real_data_dir, validation_fraction=0.1)
    assert carved.splits["test"] == corpora["trec50"].splits["test"]
    assert carved.n_examples("train") + carved.n_examples("validation") == 5_452
    assert 500 < carved.n_examples("validation") < 560
    assert len(carved.label_names) == 50
    assert shared(carved, "train", "validation") == 0
    assert load("trec50", real_data_dir, validation_fraction=0.1) == carved
    assert load("trec50", real_data_dir, validation_fraction=0.1, split_seed=1).splits != carved.splits


def test_limits_keep_every_label_that_has_room(real_data_dir: Path) -> None:
    small = load("trec50", real_data_dir, limit_train_texts=120, limit_test_texts=60)
    assert (small.n_examples("train"), small.n_examples("test")) == (120, 60)
    assert (len(small.label_names), len(small.label_counts("test"))) == (50, 42)


def test_edited_files_are_taken_with_a_note(real_data_dir: Path, tmp_path: Path) -> None:
    text = (real_data_dir / PUD.relative_path).read_text(encoding="utf-8")
    (tmp_path / PUD.name).write_text(text.replace("transition", "change"), encoding="utf-8")
    corpus = load("pos", tmp_path)
    assert corpus.n_examples("train") == 16_854
    assert "is not a known version" in corpus.notes[0]
    assert corpus.checksums[PUD.name] != PUD.checksum


def test_bad_settings_and_short_files(tmp_path: Path, fixture_dir: Path) -> None:
    with pytest.raises(DataError, match="unknown task 'poss'; expected one of bbc_topics, dep, pair_class"):
        load_corpus(TaskSettings(name="poss"))
    with pytest.raises(
        DataError, match=r"task pos does not use test_fraction, dataset; leave it out. Your own data has"
    ):
        load_corpus(TaskSettings(name="pos", dataset="a/b", test_fraction=0.5))
    with pytest.raises(DataError, match=r"task token_classification does not use text_column; leave it out\.$"):
        load_corpus(TaskSettings(name="token_classification", text_column="words"))
    with pytest.raises(DataError, match=r"a fraction to carve out of a split is 1.0; expected 0 to 1"):
        load_corpus(TaskSettings(name="bbc_topics", validation_fraction=1.0))
    with pytest.raises(DataError, match="a limit of texts is 0; expected at least 1"):
        load_corpus(TaskSettings(name="bbc_topics", limit_train_texts=0))
    (tmp_path / PUD.name).write_bytes((fixture_dir / "mini.conllu").read_bytes())
    with pytest.raises(DataFileError, match="3 sentences; expected more than 800"):
        load("dep", tmp_path)
