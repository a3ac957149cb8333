from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from closerlook.data.batching import IGNORED_LABEL, EncodedSplit, encode_split
from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.data_errors import DataError
from closerlook.data.samplers import LengthBucketSampler, OrderedSampler, batches_by_length
from closerlook.data.stratified import stratified_subset


def corpus(level: str = "word") -> Corpus:
    targets = {
        "word": [((0,), "N"), ((2,), "V")],
        "pair": [((2, 0), "N"), ((1, 2), "V")],
        "sentence": [((), "N")],
    }[level]
    texts = []
    for i in range(37):
        sentence = tuple("abcdefgh"[: 1 + (i * 5 + j * 3) % 8] for j in range(3))
        labels = [Target(where, label if i % 5 else "X") for where, label in targets]
        if level == "sentence":
            texts.append(LabeledText(f"t{i}", tuple(labels), text=" ".join(sentence)))
        else:
            texts.append(LabeledText(f"t{i}", tuple(labels) if i % 3 else tuple(labels[:1]), words=sentence))
    unused = LabeledText("none", (), words=("a",)) if level != "sentence" else LabeledText("none", (), text="a")
    return Corpus("t", level, {"train": (unused, *texts)}, ("N", "V"))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["word", "pair", "sentence"])
def split(request: pytest.FixtureRequest, tiny_tokenizer: Any) -> EncodedSplit:
    return encode_split(corpus(request.param), "train", tiny_tokenizer)


def test_examples_keep_the_order_of_the_corpus(split: EncodedSplit) -> None:
    source = corpus(split.level)
    expected = [
        (text.example_id(i), target.label, text.form(i), text.text_id, text.context(i))
        for text in source.splits["train"]
        for i, target in enumerate(text.targets)
    ]
    table = split.examples
    assert (
        list(zip(table.example_ids, table.labels, table.forms, table.text_ids, table.contexts, strict=True)) == expected
    )
    names = [*source.label_names]
    assert split.labels.tolist() == [names.index(e[1]) if e[1] in names else IGNORED_LABEL for e in expected]
    assert int((split.labels == IGNORED_LABEL).sum()) == sum(e[1] == "X" for e in expected) > 0
    assert split.n_examples == len(table) == len(expected)


def test_a_batch_holds_the_letters_of_every_target(split: EncodedSplit, tiny_tokenizer: Any) -> None:
    forms = split.examples.forms
    batch = split.collate([5, 0, 11])
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert batch.input_ids.dtype == batch.labels.dtype == batch.target_subwords.dtype == torch.int64
    assert batch.target_mask.dtype == torch.bool
    assert (batch.input_ids[batch.attention_mask == 0] == 0).all()
    for row, text in enumerate((5, 0, 11)):
        assert batch.attention_mask[row].sum() == split.lengths[text] == len(split.texts[text].input_ids)
    width = {"word": 1, "pair": 2, "sentence": 0}[split.level]
    assert batch.target_subwords.shape[:2] == batch.target_mask.shape[:2] == (len(batch), width)
    for n in range(len(batch)):
        ids = batch.input_ids[batch.target_rows[n]]
        found = []
        for w in range(width):
            kept = ids[batch.target_subwords[n, w][batch.target_mask[n, w]]]
            found.append("".join(tiny_tokenizer.convert_ids_to_tokens(kept.tolist())).replace("##", ""))
        if width:
            assert " ".join(found) == forms[batch.example_index[n]]
        assert batch.labels[n] == split.labels[batch.example_index[n]]
    moved = batch.to("cpu")
    assert torch.equal(moved.input_ids, batch.input_ids)


def test_ordered_batches_give_every_example_once_over_the_ranks(split: EncodedSplit) -> None:
    for world_size in (1, 2, 3):
        seen = [
            int(i)
            for rank in range(world_size)
            for batch in split.ordered_batches(4, rank, world_size)
            for i in batch.example_index
        ]
        assert sorted(seen) == list(range(split.n_examples))
    widths = [batch.input_ids.shape[1] for batch in split.ordered_batches(4)]
    assert widths == sorted(widths, reverse=True)


def test_ordered_batches_of_a_subset(split: EncodedSplit) -> None:
    subset = np.array([1, 7, 8, 20])
    batches = list(split.ordered_batches(2, example_subset=subset))
    seen = torch.cat([batch.example_index for batch in batches])
    assert sorted(seen.tolist()) == subset.tolist()
    assert sum(len(batch.input_ids) for batch in batches) == len({split.examples.text_ids[i] for i in subset})


def test_ordered_batches_neither_read_nor_move_random_states(split: EncodedSplit) -> None:
    def run(seed: int) -> tuple[list[torch.Tensor], Any]:
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)  # noqa: NPY002
        before = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
        batches = [batch.input_ids for batch in split.ordered_batches(4)]
        after = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
        assert before == after
        return batches, after

    (first, state), (second, other_state) = run(1), run(2)
    assert state != other_state
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


LENGTHS = np.random.default_rng(0).integers(3, 60, size=1_003)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_training_batches_hold_every_text_and_ranks_agree_in_number(world_size: int) -> None:
    samplers = [LengthBucketSampler(LENGTHS, 8, 7, rank, world_size) for rank in range(world_size)]
    ranks = [sampler.epoch_batches(0) for sampler in samplers]
    assert {len(batches) for batches in ranks} == {len(samplers[0])}
    seen = [i for batches in ranks for batch in batches for i in batch]
    assert set(seen) == set(range(1_003))
    n_batches = -(-1_003 // 8)
    repeated = -(-n_batches // world_size) * world_size - n_batches  # filled up with whole batches
    assert len(seen) - 1_003 <= repeated * 8
    if world_size > 1:  # ranks read texts of like length in the same step
        gaps = [abs(LENGTHS[a].max() - LENGTHS[b].max()) for a, b in zip(*ranks[:2], strict=True)]
        assert np.mean(gaps) < 3


def test_training_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthBucketSampler(LENGTHS, 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(0)
    first = order(7, 3)
    torch.manual_seed(1)
    assert order(7, 3) == first
    assert order(7, 4) != first
    assert order(8, 3) != first


def test_bucketing_saves_padding() -> None:
    def padded(batches: list[list[int]]) -> int:
        return int(sum(LENGTHS[batch].max() * len(batch) for batch in batches))

    shuffled = np.random.default_rng(1).permutation(1_003)
    at_random = padded([shuffled[i : i + 8].tolist() for i in range(0, 1_003, 8)])
    bucketed = padded(LengthBucketSampler(LENGTHS, 8, 0).epoch_batches(0))
    assert LENGTHS.sum() < bucketed < 1.05 * LENGTHS.sum()
    assert at_random > 1.4 * LENGTHS.sum()


def test_evaluation_order_is_fixed_and_complete() -> None:
    for world_size in (1, 2, 4, 5):
        ranks = [list(OrderedSampler(LENGTHS, 8, rank, world_size)) for rank in range(world_size)]
        assert sorted(i for batches in ranks for batch in batches for i in batch) == list(range(1_003))
        assert len({len(batches) for batches in ranks}) == 1  # else the ranks of DDP wait for each other
        assert max(len(batch) for batches in ranks for batch in batches) == 8
    lengths = [LENGTHS[batch].max() for batch in batches_by_length(LENGTHS, 8)]
    assert lengths == sorted(lengths, reverse=True)


def test_stratified_subset_keeps_proportions_and_rare_labels() -> None:
    labels = ["a"] * 700 + ["b"] * 290 + ["c"] * 10
    subset = stratified_subset(labels, 100)
    counts = {name: sum(labels[i] == name for i in subset) for name in "abc"}
    assert subset.tolist() == sorted(set(subset.tolist()))
    assert sum(counts.values()) == 100
    assert abs(counts["a"] - 70) <= 1
    assert abs(counts["b"] - 29) <= 1
    assert counts["c"] >= 1
    assert {labels[i] for i in stratified_subset(labels, 3)} == {"a", "b", "c"}
    assert stratified_subset(labels, None).tolist() == list(range(1000))
    assert stratified_subset(labels, 50).tolist() == stratified_subset(labels, 50).tolist()
    assert stratified_subset(labels, 50).tolist() != stratified_subset(labels, 50, seed=1).tolist()
    with pytest.raises(DataError, match="max_examples is 0; expected at least 1"):
        stratified_subset(labels, 0)
