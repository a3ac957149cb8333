"""Carving splits: by the hash of the content, so that files may be reordered and nothing leaks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from closerlook.data.corpus import Corpus, LabeledText, Level
from closerlook.data.data_errors import DataError

Texts = tuple[LabeledText, ...]


def content_key(text: LabeledText) -> str:
    """The input itself, with runs of white space made one: equal keys never part into two splits."""
    words = text.words if text.words is not None else (text.text or "").split()
    return " ".join(words)


def hash_order(keys: Iterable[str], seed: int) -> list[str]:
    """The distinct keys in an order that depends only on the keys and the seed."""
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest())


@dataclass(frozen=True)
class SplitOptions:
    """How every task's splits are carved and limited; see `TaskSettings` for the fields.

    Attributes:
        validation_fraction: Share of the training texts carved out for validation.
        split_seed: Which texts are carved.
        limit_train_texts: Most training texts to keep.
        limit_test_texts: The same for the other splits.
    """

    validation_fraction: float = 0.0
    split_seed: int = 0
    limit_train_texts: int | None = None
    limit_test_texts: int | None = None


def carve(texts: Sequence[LabeledText], fraction: float, seed: int) -> tuple[Texts, Texts]:
    """Divide texts into (kept, carved), stratified by label where a text has one label.

    Equal inputs stay together. Every stratum keeps at least one text.

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
    carved = {key for stratum in _strata(texts).values() for key in _share(stratum, fraction, seed)}
    return (
        tuple(text for text in texts if content_key(text) not in carved),
        tuple(text for text in texts if content_key(text) in carved),
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
    queues = [hash_order(keys, seed) for _, keys in sorted(_strata(used).items())]
    rounds = [queue[i] for i in range(max(map(len, queues))) for queue in queues if i < len(queue)]
    turn = {key: i for i, key in enumerate(rounds)}
    first = sorted(range(len(used)), key=lambda i: turn[content_key(used[i])])[:limit]
    return tuple(used[i] for i in sorted(first))


def build_corpus(
    name: str,
    level: Level,
    splits: dict[str, Texts],
    options: SplitOptions | None = None,
    checksums: dict[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Corpus:
    """A checked corpus from its splits: carves a validation split if there is none, then applies limits.

    Raises:
        DataError: A split without examples, a text id that stands twice, fewer than two labels in training, or
            as many labels as examples.
    """
    splits, o = dict(splits), options or SplitOptions()
    _require_examples(name, splits)
    _require_classes(name, splits["train"])
    if "validation" not in splits and o.validation_fraction:
        splits["train"], splits["validation"] = carve(splits["train"], o.validation_fraction, o.split_seed)
        _require_examples(name, splits)
    for split, texts in splits.items():
        limit = o.limit_train_texts if split == "train" else o.limit_test_texts
        splits[split] = limit_texts(texts, limit, o.split_seed)
    _require_unique_ids(name, splits)
    notes = [*notes, *_remarks(splits)]
    labels = {target.label for text in splits["train"] for target in text.targets}
    return Corpus(name, level, splits, tuple(sorted(labels)), dict(checksums or {}), tuple(notes))


def _strata(texts: Sequence[LabeledText]) -> dict[str, list[str]]:
    strata: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for text in texts:
        key = content_key(text)
        if key not in seen:
            seen.add(key)
            strata[text.targets[0].label if len(text.targets) == 1 else ""].append(key)
    return strata


def _share(keys: list[str], fraction: float, seed: int) -> list[str]:
    return hash_order(keys, seed)[: min(round(fraction * len(keys)), len(keys) - 1)]


def _remarks(splits: dict[str, Texts]) -> list[str]:
    """What a careful reader of the results should know about the splits."""
    remarks = []
    trained_on = {content_key(text) for text in splits["train"] if text.targets}
    labels = {target.label for text in splits["train"] for target in text.targets}
    for split, texts in splits.items():
        shared = sum(content_key(text) in trained_on for text in texts if text.targets)
        if split != "train" and shared:
            remarks.append(f"{shared} texts of the {split} split stand in the training split as well.")
        unseen = [t.label for text in texts for t in text.targets if t.label not in labels]
        if unseen:
            names = ", ".join(sorted(set(unseen))[:5])
            remarks.append(f"{len(unseen)} {split} examples have labels that training has not ({names}).")
    return remarks


def _require_classes(name: str, train: Texts) -> None:
    labels = [target.label for text in train for target in text.targets]
    n_labels = len(set(labels))
    if n_labels < 2:
        raise DataError(
            f"task {name}: the training split has one label only ({labels[0]!r}, {len(labels)} examples); "
            "expected at least two. Check that the label column is the right one (task.label_column)"
        )
    if n_labels == len(labels) and n_labels > 2:
        raise DataError(
            f"task {name}: every one of the {n_labels} training examples has a label of its own; expected labels "
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
