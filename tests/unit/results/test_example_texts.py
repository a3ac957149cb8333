from closerlook.results.example_texts import Piece, marked, shortened

SENTENCE = "It was sent from New\u00a0York to Rome"


def test_a_word_is_marked_in_its_sentence() -> None:
    pieces = marked("s/1/3", "s/1", "from", SENTENCE)
    assert pieces == [
        Piece("It was sent ", False), Piece("from", True), Piece(" ", False), Piece("New\u00a0York to Rome", False),
    ]  # fmt: skip
    assert "".join(piece.text for piece in pieces) == SENTENCE


def test_both_words_of_a_pair_are_marked_whatever_their_order_and_the_ends_too() -> None:
    pieces = marked("s/6-0", "s", "Rome It", SENTENCE)
    assert [piece.text for piece in pieces if piece.is_target] == ["It", "Rome"]
    assert "".join(piece.text for piece in pieces) == SENTENCE


def test_without_a_sentence_the_form_stands_for_the_example() -> None:
    assert marked("s/3", "s", "from", "") == [Piece("from", True)]
    assert marked("s/30", "s", "from", SENTENCE) == [Piece("from", True)]  # not of this sentence
    assert marked("business/001", "business/001", "Ad sales boost", "") == [Piece("Ad sales boost", False)]
    assert marked("s/x", "s", "whole", "") == [Piece("whole", False)]


def test_a_long_text_is_cut_around_the_marked_word() -> None:
    pieces = marked("s/30", "s", "word", " ".join(["a"] * 30 + ["word"] + ["b"] * 30))
    cut = shortened(pieces, 40)
    text = "".join(piece.text for piece in cut)
    assert len(text) == 40
    assert Piece("word", True) in cut
    assert text[0] == text[-1] == "…"
    assert shortened(pieces, 1000) == pieces
    assert shortened([Piece("abcdef", False)], 4) == [Piece("abc…", False)]
