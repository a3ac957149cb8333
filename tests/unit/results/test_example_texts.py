from closerlook.results.example_texts import Piece, marked, one_line

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


def test_one_line_keeps_the_marked_word_in_sight() -> None:
    pieces = marked("s/30", "s", "word", " ".join(["a"] * 30 + ["word"] + ["b"] * 30))
    line = one_line(pieces, length=40)
    assert len(line) == 40
    assert "[word]" in line
    assert line[0] == line[-1] == "…"
    assert one_line(marked("s/3", "s", "from", SENTENCE), length=60).count("[from]") == 1
    assert one_line([Piece("short", False)], length=40) == "short"
