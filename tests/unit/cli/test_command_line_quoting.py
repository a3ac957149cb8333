"""Commands that are printed can be pasted: what a shell and Hydra make of them is what was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from closerlook.cli.command_line import as_hydra_takes, command, override
from closerlook.errors import UserError


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


@pytest.mark.parametrize("path", ["runs/a=b/seed-0", "runs/[old] x", "runs/ä=ö", "it's so", "{x}/y", "a:(b)"])
def test_a_path_that_hydra_cannot_take_is_shown_in_the_form_that_works(path: str) -> None:
    with pytest.raises(UserError, match=r"run_dir=.* Write .* if it is one text") as caught:
        as_hydra_takes([f"run_dir={path}"])
    shown = str(caught.value).rpartition("Write ")[2].removesuffix(" if it is one text")
    (pasted,) = shlex.split(shown)
    assert as_hydra_takes([pasted]) == [pasted]
    assert OverridesParser.create().parse_override(pasted).value() == path


def test_what_hydra_takes_is_left_as_it_is() -> None:
    plain = ["run_dir=runs/a b/seed-0", "layers=[0,6]", "seed=0", "+x=1", "~logger", "task.data_files={train: a.csv}"]
    assert as_hydra_takes(plain) == plain
    assert as_hydra_takes(["-m", "seed=0,1"]) == ["-m", "seed=0,1"]
    assert as_hydra_takes(["--cfg", "job"]) == ["--cfg", "job"]
