"""Commands that are printed can be pasted: what a shell and Hydra make of them is what was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from closerlook.cli.command_line import as_hydra_takes, command, override
from closerlook.config import ProbeConfig, TrainConfig
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
        as_hydra_takes([f"run_dir={path}"], ProbeConfig)
    shown = str(caught.value).rpartition("Write ")[2].removesuffix(" if it is one text")
    (pasted,) = shlex.split(shown)
    assert as_hydra_takes([pasted], ProbeConfig) == [pasted]
    assert OverridesParser.create().parse_override(pasted).value() == path


def test_what_hydra_takes_is_left_as_it_is() -> None:
    plain = ["snapshot.layers=[0,6]", "seed=0", "+trainer.max_time=1", "~logger", "task.data_files={train: a.csv}"]
    assert as_hydra_takes(plain, TrainConfig) == plain
    plain = ["run_dir=runs/a b/seed-0", "layers=[0,6]", "study=quick", "hydra.verbose=true"]
    assert as_hydra_takes(plain, ProbeConfig) == plain
    assert as_hydra_takes(["-m", "seed=0,1"], TrainConfig) == ["-m", "seed=0,1"]
    assert as_hydra_takes(["--cfg", "job"], TrainConfig) == ["--cfg", "job"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("tsak=pos", r"tsak: there is no such setting; did you mean task\?"),
        ("+finetuning.epoch=1", r"did you mean finetuning\.epochs\?"),
        ("~loger", r"did you mean logger\?"),
        ("task=poss", r"no such choice as poss; did you mean pos\? There are bbc_topics, "),
        ("task=pos,dpe", r"no such choice as dpe; did you mean dep\?"),
        ("layers=last", r"layers: there is no such setting"),
    ],
)
def test_what_there_is_not_is_told_with_the_nearest(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_hydra_takes([argument], TrainConfig)


def test_choices_of_ones_own_files_are_left_to_hydra() -> None:
    arguments = ["--config-dir", "mine", "task=my_task"]
    assert as_hydra_takes(arguments, TrainConfig) == arguments
