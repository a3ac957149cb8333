"""Carving splits: by the hash of the content, so that files may be reordered and nothing leaks."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from closerlook.data.corpus import Corpus, LabeledText, Level
from closerlook.data.data_errors import DataError
from closerlook.data.task_settings import TaskSettings

Texts = tuple[LabeledText, ...]


def carve(texts: Sequence[LabeledText], fraction: float, seed: int) -> tuple[Texts, Texts]:
    """Divide texts into (kept, carved), stratified by label where a text has one label.

    Equal inputs stay together. Every stratum keeps at least one text. Scikit-learn's stratified splits go by the
    order of the rows, so that the same file in another order would be divided differently; this goes by content.

    Args:
        texts: The texts to divide; their order is kept.
        fraction: Share to carve out, in [0, 1).
        seed: Which texts: another seed carves others.

    Raises:
        DataError: The fraction is out of range.
    """
    if not 0 <= fraction < 1:
        raise DataError(
            f"a fraction to carve out of a split is {fraction}; expected 0 to 1 (less than 1). "
            "Set task.validation_fraction and task.test_fraction"
        )
    carved: set[str] = set()
    for contents in _strata(texts).values():
        n = min(round(fraction * len(contents)), len(contents) - 1)
        carved.update(_hash_order(contents, seed)[:n])
    return (
        tuple(text for text in texts if text.content not in carved),
        tuple(text for text in texts if text.content in carved),
    )


def limit_texts(texts: Texts, limit: int | None, seed: int) -> Texts:
    """At most ``limit`` of the texts that have targets: every label first, in their order, the same every time.

    Raises:
        DataError: The limit is not positive.
    """
    if limit is None:
        return texts
    if limit < 1:
        raise DataError(
            f"a limit of texts is {limit}; expected at least 1, or null for all. Set task.limit_train_texts and "
            "task.limit_test_texts"
        )
    used = tuple(text for text in texts if text.targets)
    if limit >= len(used):
        return texts
    # a round over the strata takes one text of each: small limits still see every label
    queues = [_hash_order(contents, seed) for _, contents in sorted(_strata(used).items())]
    rounds = [queue[i] for i in range(max(map(len, queues))) for queue in queues if i < len(queue)]
    turn = {content: i for i, content in enumerate(rounds)}
    first = sorted(range(len(used)), key=lambda i: turn[used[i].content])[:limit]
    return tuple(used[i] for i in sorted(first))


def build_corpus(
    settings: TaskSettings,
    level: Level,
    splits: Mapping[str, Texts],
    checksums: Mapping[str, str],
    notes: Iterable[str] = (),
) -> Corpus:
    """A checked corpus from its splits: carves a validation split if there is none, then applies limits.

    Args:
        settings: The task's name, how much is carved out for validation, and the limits.
        level: What one example is.
        splits: The texts of ``train``, ``test`` and perhaps ``validation``.
        checksums: Checksum of every source file.
        notes: What the reader of the files found worth saying.

    Raises:
        DataError: A split without examples, a text id that stands twice, fewer than two labels in training, or
            as many labels as examples.
    """
    name, splits = settings.name, dict(splits)
    _require_examples(name, splits)
    _require_classes(name, splits["train"])
    if "validation" not in splits and settings.validation_fraction:
        splits["train"], splits["validation"] = carve(
            splits["train"], settings.validation_fraction, settings.split_seed
        )
        _require_examples(name, splits)
    for split, texts in splits.items():
        limit = settings.limit_train_texts if split == "train" else settings.limit_test_texts
        splits[split] = limit_texts(texts, limit, settings.split_seed)
    _require_unique_ids(name, splits)
    return Corpus(
        name, level, splits, tuple(sorted(_labels(splits["train"]))), dict(checksums), (*notes, *_remarks(splits))
    )


def contradictions(texts: Texts) -> dict[tuple[str, tuple[int, ...]], list[str]]:
    """Inputs that stand with more than one label: content and word positions -> ids of the examples.

    Their vectors are identical too, so that the labels cannot be linear in any layer of any encoder.
    """
    ids, labels = defaultdict(list), defaultdict(set)
    for text in texts:
        for index, target in enumerate(text.targets):
            ids[text.content, target.words].append(text.example_id(index))
            labels[text.content, target.words].add(target.label)
    return {key: found for key, found in ids.items() if len(labels[key]) > 1}


def _labels(texts: Texts) -> Counter[str]:
    return Counter(target.label for text in texts for target in text.targets)


def _hash_order(contents: Iterable[str], seed: int) -> list[str]:
    """The texts in an order that depends only on themselves and the seed."""
    return sorted(contents, key=lambda content: hashlib.sha256(f"{seed}\0{content}".encode()).digest())


def _strata(texts: Sequence[LabeledText]) -> dict[str, list[str]]:
    """The different contents by label; by "" where a text has several labels or none."""
    strata: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for text in texts:
        if text.content not in seen:
            seen.add(text.content)
            strata[text.targets[0].label if len(text.targets) == 1 else ""].append(text.content)
    return strata


def _remarks(splits: dict[str, Texts]) -> list[str]:
    """What a careful reader of the results should know about the splits."""
    remarks = []
    trained_on = {text.content for text in splits["train"] if text.targets}
    known = _labels(splits["train"])
    for split, texts in splits.items():
        shared = sum(text.content in trained_on for text in texts if text.targets)
        if split != "train" and shared:
            remarks.append(f"{shared} texts of the {split} split stand in the training split as well.")
        unseen = {label: n for label, n in _labels(texts).items() if label not in known}
        if unseen:
            names = ", ".join(sorted(unseen)[:5])
            remarks.append(f"{sum(unseen.values())} {split} examples have labels that training has not ({names}).")
    if found := contradictions(splits["train"]):
        remarks.append(f"{len(found)} inputs stand with different labels: no classifier can be right on all of them.")
    return remarks


def _require_classes(name: str, train: Texts) -> None:
    labels = _labels(train)
    if len(labels) < 2:
        raise DataError(
            f"task {name}: the training split has one label only ({next(iter(labels))!r}, {labels.total()} examples); "
            "expected at least two. Check that the label column is the right one (task.label_column)"
        )
    if len(labels) == labels.total() > 2:
        raise DataError(
            f"task {name}: every one of the {len(labels)} training examples has a label of its own; expected labels "
            "that repeat. Check that the label column is the right one (classes, not ids or numbers)"
        )


def _require_examples(name: str, splits: dict[str, Texts]) -> None:
    for split, texts in splits.items():
        if not any(text.targets for text in texts):
            raise DataError(
                f"task {name}: the {split} split has no examples ({len(texts)} texts, 0 labelled targets); "
                "expected at least one. Check the file, the column names and the fractions of the splits"
            )


def _require_unique_ids(name: str, splits: dict[str, Texts]) -> None:
    seen: dict[str, str] = {}
    for split, texts in splits.items():
        for text in texts:
            if text.text_id in seen:
                raise DataError(
                    f"task {name}: text id {text.text_id!r} stands twice "
                    f"(in {seen[text.text_id]} and {split}); expected every id once. Rename one of the two"
                )
            seen[text.text_id] = split
