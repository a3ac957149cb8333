"""The registry of measures: complete, consistent, and the same as the README's table."""

from __future__ import annotations

from pathlib import Path

from closerlook import measures as m

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_registry():
    text = README.read_text(encoding="utf-8")
    assert m.readme_table() in text, (
        'README.md: put the output of closerlook.measures.readme_table() under "What is measured"'
    )


def test_every_name_that_code_uses_is_registered():
    constants = {value for name, value in vars(m).items() if name.isupper() and isinstance(value, str)}
    assert len(constants) > 40
    assert constants <= set(m.MEASURES)


def test_every_measure_says_what_it_is():
    for name, measure in m.MEASURES.items():
        assert measure.name == name
        assert measure.title, name
        assert measure.unit, name
        assert measure.question.endswith("?"), name
        assert measure.low < measure.high, name
        assert measure.scope in ("space", "change", "label", "label pair", "layer pair", "examples"), name
        assert measure.split in ("", "train", "test", "train-test"), name
        assert measure.distrust or not measure.family, name
    assert len({measure.title for measure in m.MEASURES.values()}) == len(m.MEASURES)


def test_every_measure_of_a_family_is_in_its_row_once():
    table = m.readme_table()
    for name, measure in m.MEASURES.items():
        assert table.count(f"| `{name}`") + table.count(f", `{name}`") == bool(measure.family), name
    assert all(line.count("|") == 5 for line in table.splitlines())


RANGES = {
    "accuracy": "0 … 1",
    "rsa": "\N{MINUS SIGN}1 … 1",
    "min_distance": "≥ 0",
    "debiased_cka": "any",
    "procrustes_distance": "0 … π/2",
}


def test_ranges_are_written_for_people():
    assert {name: m.MEASURES[name].range for name in RANGES} == RANGES


def test_measures_are_found_by_their_probe():
    assert m.of_probe("selectivity") == ("selectivity",)
    assert {"cdnv", "rsa"} <= set(m.of_probe("geometry"))
    assert m.of_probe("nothing") == ()
