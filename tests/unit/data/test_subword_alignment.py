from __future__ import annotations

from typing import Any

import pytest

from closerlook.data.corpus import LabeledText, Target
from closerlook.data.data_errors import AlignmentError
from closerlook.data.subword_alignment import EncodedText, encode_texts


def words(text_id: str, sentence: str, *targets: tuple[int, ...]) -> LabeledText:
    return LabeledText(text_id, tuple(Target(t, "x") for t in targets), words=tuple(sentence.split(" ")))


def raw(text_id: str, text: str) -> LabeledText:
    return LabeledText(text_id, (Target((), "x"),), text=text)


def pieces(tokenizer: Any, encoded: EncodedText, number: int) -> list[list[str]]:
    tokens = tokenizer.convert_ids_to_tokens(list(encoded.input_ids))
    return [tokens[start:stop] for start, stop in encoded.target_spans[number]]


def test_spans_point_at_the_letters_of_each_word(tiny_tokenizer: Any) -> None:
    texts = [words("a", "the cat sat.", (1,), (2,)), words("b", "go on", (1, 0))]
    (a, b), report = encode_texts(texts, tiny_tokenizer)
    assert pieces(tiny_tokenizer, a, 0) == [["c", "##a", "##t"]]
    assert pieces(tiny_tokenizer, a, 1) == [["s", "##a", "##t", "."]]
    assert pieces(tiny_tokenizer, b, 0) == [["o", "##n"], ["g", "##o"]]  # head first, then modifier
    assert (a.input_ids[0], a.input_ids[-1]) == (2, 3)  # [CLS] and [SEP] stay
    assert (report.n_texts, report.n_examples, report.n_subwords, report.longest) == (2, 3, 12 + 6, 12)
    assert report.max_length is None


def test_unknown_words_have_one_subword(tiny_tokenizer: Any) -> None:
    ((encoded,), report) = encode_texts([words("a", "in 1984", (1,))], tiny_tokenizer)
    assert pieces(tiny_tokenizer, encoded, 0) == [["[UNK]"]]
    assert report.n_dropped_words == 0


def test_texts_without_targets_are_not_read(tiny_tokenizer: Any) -> None:
    encoded, report = encode_texts([words("a", "the cat"), words("b", "sat", (0,))], tiny_tokenizer)
    assert [e.text_id for e in encoded] == ["b"]
    assert (report.n_texts, report.n_examples) == (1, 1)


def test_real_tokenizer_gives_the_subwords_of_each_word_alone(minilm_tokenizer: Any) -> None:
    sentence = "Kori Schulman 's blog-post wasn't unprecedented , naïvely . 東京"
    n = len(sentence.split())
    ((encoded,), _) = encode_texts([words("a", sentence, *((i,) for i in range(n)))], minilm_tokenizer)
    for i, word in enumerate(sentence.split()):
        assert [minilm_tokenizer.tokenize(word)] == pieces(minilm_tokenizer, encoded, i)


def test_a_truncation_inside_the_tokenizer_file_is_not_obeyed(minilm_tokenizer: Any) -> None:
    minilm_tokenizer.backend_tokenizer.enable_truncation(16)
    minilm_tokenizer.backend_tokenizer.enable_padding(length=64)
    encoded, report = encode_texts(
        [words("a", " ".join(["cat"] * 300), (299,)), words("b", "on", (0,))], minilm_tokenizer
    )
    assert [len(e.input_ids) for e in encoded] == [302, 3]
    assert report.n_truncated_texts == 0


def test_too_long_is_an_error_that_counts(tiny_tokenizer: Any) -> None:
    texts = [words("a", "one two six", (0,), (2,)), words("b", "on", (0,))]
    with pytest.raises(AlignmentError) as caught:
        encode_texts(texts, tiny_tokenizer, max_length=8)
    message = str(caught.value)
    assert "1 of 2 texts are longer than 8 subwords (the longest has 11)" in message
    assert "3 subwords, 1 words and 1 examples would be lost (word 2 ('six', over the limit) in a)" in message
    assert "task.max_length" in message
    assert "task.allow_truncation=true" in message


def test_allowed_truncation_leaves_out_cut_words_and_counts_them(tiny_tokenizer: Any) -> None:
    # 8 subwords: [CLS] o n e t w o [SEP]; with 7 the word "two" is cut in its middle and counts as lost
    text = words("a", "one two six", (0,), (1,), (2,), (0, 2))
    ((eight,), report8) = encode_texts([text], tiny_tokenizer, max_length=8, allow_truncation=True)
    assert eight.target_indices == (0, 1)
    assert eight.input_ids[-1] == 3
    assert (report8.n_truncated_words, report8.n_truncated_examples, report8.n_truncated_subwords) == (1, 2, 3)
    ((seven,), report7) = encode_texts([text], tiny_tokenizer, max_length=7, allow_truncation=True)
    assert seven.target_indices == (0,)
    assert (report7.n_truncated_words, report7.n_truncated_examples) == (2, 3)
    assert report7.n_kept_examples == 1
    assert "truncated: 1 texts, 2 words, 3 examples" in report7.summary()


def test_a_text_that_loses_all_targets_is_left_out(tiny_tokenizer: Any) -> None:
    encoded, report = encode_texts([words("a", "one two", (1,))], tiny_tokenizer, max_length=5, allow_truncation=True)
    assert encoded == ()
    assert report.n_kept_examples == 0


def test_words_without_subwords(tiny_tokenizer: Any) -> None:
    text = words("a", "on \u200b up", (0,), (1,), (2,))
    with pytest.raises(AlignmentError, match=r"1 of 3 examples give no subword \(word 1 .*allow_dropped_words=true"):
        encode_texts([text], tiny_tokenizer)
    ((encoded,), report) = encode_texts([text], tiny_tokenizer, allow_dropped_words=True)
    assert encoded.target_indices == (0, 2)
    assert pieces(tiny_tokenizer, encoded, 1) == [["u", "##p"]]
    assert (report.n_dropped_words, report.n_dropped_examples) == (1, 1)
    # without a label nothing is lost: counted, not refused
    _, report = encode_texts([words("a", "on \u200b up", (0,))], tiny_tokenizer)
    assert (report.n_dropped_words, report.n_dropped_examples) == (1, 0)


def test_raw_texts(tiny_tokenizer: Any) -> None:
    (a, _), report = encode_texts([raw("a", "the cat"), raw("b", "on")], tiny_tokenizer)
    assert (a.target_spans, a.target_indices) == (((),), (0,))
    assert len(a.input_ids) == 8
    with pytest.raises(AlignmentError, match=r"1 of 2 texts are longer than 5 subwords \(the longest has 8"):
        encode_texts([raw("a", "the cat"), raw("b", "on")], tiny_tokenizer, max_length=5)
    (a, _), report = encode_texts(
        [raw("a", "the cat"), raw("b", "on")], tiny_tokenizer, max_length=5, allow_truncation=True
    )
    assert (len(a.input_ids), report.n_truncated_texts, report.n_kept_examples) == (5, 1, 2)
    with pytest.raises(AlignmentError, match="1 of 1 examples give no subword"):
        encode_texts([raw("a", "\u200b")], tiny_tokenizer)
    _, report = encode_texts([raw("a", "\u200b")], tiny_tokenizer, allow_dropped_words=True)
    assert report.n_kept_examples == 0


def test_batches_of_texts_do_not_change_the_result(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [words(str(i), "a bc def"[: 1 + i % 8].strip(), (0,)) for i in range(25)]
    whole = encode_texts(texts, tiny_tokenizer)
    monkeypatch.setattr("closerlook.data.subword_alignment._BATCH_SIZE", 4)
    assert encode_texts(texts, tiny_tokenizer) == whole


def byte_level(add_prefix_space: bool) -> Any:
    """A byte-level BPE of single bytes, as RoBERTa's without its merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64)


@pytest.mark.parametrize("prefix", [False, True])
def test_words_are_read_as_their_text_whatever_the_tokenizer_says(prefix: bool) -> None:
    tokenizer = byte_level(prefix)
    ((encoded,), _) = encode_texts([words("a", "the cat 's", (0,), (1,), (2,))], tokenizer)
    assert list(encoded.input_ids) == tokenizer("the cat 's").input_ids
    assert pieces(tokenizer, encoded, 0)[0][-3:] == ["t", "h", "e"]
    assert pieces(tokenizer, encoded, 1) == [["Ġ", "c", "a", "t"]]
    assert pieces(tokenizer, encoded, 2) == [["Ġ", "'", "s"]]


def test_sentences_are_what_the_tokenizer_alone_makes_of_them() -> None:
    ((encoded,), _) = encode_texts([raw("a", "the cat")], byte_level(False))
    assert list(encoded.input_ids) == byte_level(False)("the cat").input_ids


def test_words_with_blanks_in_them_keep_all_their_pieces(tiny_tokenizer: Any) -> None:
    text = LabeledText("a", (Target((1,), "x"), Target((2,), "x")), words=("in", "new york", "on"))
    ((encoded,), _) = encode_texts([text], tiny_tokenizer)
    assert pieces(tiny_tokenizer, encoded, 0) == [["n", "##e", "##w", "y", "##o", "##r", "##k"]]
    assert pieces(tiny_tokenizer, encoded, 1) == [["o", "##n"]]


def test_words_that_share_a_subword_are_lost_and_counted() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {c: i for i, c in enumerate(["a", "b", "Ġ", "Ġb", "aĠb", "c", "Ġc"])}
    tokenizer = Tokenizer(models.BPE(vocab, [("Ġ", "b"), ("a", "Ġb"), ("Ġ", "c")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    text = words("a", "a b c", (0,), (1,), (2,))
    with pytest.raises(AlignmentError, match=r"2 of 3 examples give no subword \(word 0 \('a'"):
        encode_texts([text], fast)
    ((encoded,), report) = encode_texts([text], fast, allow_dropped_words=True)
    assert encoded.target_indices == (2,)
    assert report.n_dropped_examples == 2


def test_unknown_subwords_are_counted_said_and_refused(tiny_tokenizer: Any) -> None:
    _, report = encode_texts([words("a", "on 1 up", (0,)), words("b", "up up up", (0,))], tiny_tokenizer)
    assert (report.n_content, report.n_unknown) == (5 + 6, 1)
    assert "unknown" not in report.summary()
    _, report = encode_texts([words("a", "on 1 2", (0,))], tiny_tokenizer)
    assert "warning: 50% of the subwords are unknown to the tokenizer" in report.summary()
    with pytest.raises(AlignmentError, match=r"does not know 3 of the 3 subwords.*model\.tokenizer"):
        encode_texts([words("a", "東 京 9", (0,))], tiny_tokenizer)


def test_an_id_without_a_vector_is_one_error(tiny_tokenizer: Any) -> None:
    with pytest.raises(AlignmentError, match=r"text a holds the token '##p', id 47; the encoder has vectors for ids"):
        encode_texts([words("a", "up", (0,))], tiny_tokenizer, n_embeddings=40)


def test_texts_and_words_may_stand_in_one_task(tiny_tokenizer: Any) -> None:
    encoded, _ = encode_texts([words("a", "b", (0,)), raw("b", "c")], tiny_tokenizer)
    assert [e.text_id for e in encoded] == ["a", "b"]


def test_two_texts_are_read_as_the_tokenizer_reads_them(minilm_tokenizer: Any) -> None:
    pairs = [("A dog sleeps.", "An animal rests, it seems."), ("Yes.", "No.")]
    texts = [LabeledText(a, (Target((), "x"),), text=a, second_text=b) for a, b in pairs]
    encoded, report = encode_texts(texts, minilm_tokenizer)
    for (a, b), one in zip(pairs, encoded, strict=True):
        plain = minilm_tokenizer(a, b, truncation=False, padding=False)
        assert list(one.input_ids) == plain.input_ids
        assert list(one.token_type_ids) == plain.token_type_ids
    with pytest.raises(AlignmentError, match=r"1 of 2 texts are longer than 10 subwords"):
        encode_texts(texts, minilm_tokenizer, max_length=10)
    (cut, _), report = encode_texts(texts, minilm_tokenizer, max_length=10, allow_truncation=True)
    assert (len(cut.input_ids), len(cut.token_type_ids), report.n_truncated_texts) == (10, 10, 1)
    assert sum(cut.token_type_ids) > 0
