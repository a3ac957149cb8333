"""Commands that are printed can be pasted: what a shell and Hydra make of them is what was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from closerlook.cli.command_line import command, override


@pytest.mark.parametrize(
    "value",
    [
        "runs/pos/seed-0",
        "my runs/ü",
        "a=b",
        "a,b",
        "[x]",
        "{a: b}",
        "it's",
        'say "x"',
        "back\\slash",
        "end\\",
        "$HOME",
        "${x",
        "a'\\'b",
        "#x",
        "tab\tx",
        "*",
        "1e3",
        "null",
        "(x)",
        "a b=c,[d]'",
    ],
)
def test_pasted_value_is_the_value(value: str) -> None:
    words = shlex.split(command("probe", [override("run_dir", value)]))
    (parsed,) = OverridesParser.create().parse_overrides([words[-1]])
    assert str(parsed.value()) == value
