"""Commands as a shell and Hydra take them."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from closerlook.config import config_dir, refuse_unknown_name
from closerlook.errors import UserError

_PLAIN = re.compile(r"[A-Za-z0-9_./:+%@-]+")
"""Values that neither Hydra nor a shell reads as anything else."""

_NO_TEXT = re.compile(r"null|true|false|[+-]?([\d_.]+(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)
"""Values that Hydra reads as something else than a text."""


def as_hydra_takes(arguments: Sequence[str], schema: type) -> list[str]:
    """The command line with ``<group>=null`` as the group's empty choice, which Hydra takes, unlike null.

    Args:
        arguments: The command line.
        schema: The dataclass of the command's settings.

    Raises:
        UserError: A setting that there is not, a choice that a group does not have, or a value that Hydra cannot read;
            the message names the nearest, lists the choices, or shows the form that works.
    """
    for argument in arguments:
        _refuse_unreadable(argument)
        _refuse_unknown(argument, schema)
    if any(argument.startswith(_OTHER_FILES) for argument in arguments):  # they may have choices of their own
        return list(arguments)
    return [_choice(argument) for argument in arguments]


_OTHER_FILES = ("--config-dir", "-cd", "--config-path", "-cp", "hydra.searchpath")


def shows_help(name: str, arguments: Sequence[str]) -> bool:
    """Print the help of a command if it is asked for.

    Hydra's own way to the same text also lists every folder of ``conf/``, for a second, though it shows none of it.
    """
    if not {"-h", "--help"} & set(arguments):
        return False
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        print(compose(name, return_hydra_config=True).hydra.help.template)
    return True


def _refuse_unreadable(argument: str) -> None:
    """Values with ``=``, brackets or letters such as ü need quotes of Hydra's within those of the shell."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-"):
        return
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        shown = shlex.quote(override(key, value))
        raise UserError(f"{argument}: Hydra cannot read it ({reason}). Write {shown} if it is one text") from error


def _refuse_unknown(argument: str, schema: type) -> None:
    """Hydra's own answer to a typo advises ``+key=value``, which then trains with the default."""
    key, equals, _ = argument.partition("=")
    parts = key.lstrip("+~").split("@")[0].split(".")
    if (equals or key.startswith("~")) and "/" not in key and not key.startswith("-"):
        refuse_unknown_name(parts if parts[0] not in _OF_HYDRA else [], schema)


_OF_HYDRA = ("hydra", "experiment", "debug", "study")
"""Names that stand beside the settings on a command line: Hydra's own, and groups that set others."""


def _choice(argument: str) -> str:
    group, equals, value = argument.partition("=")
    folder = config_dir() / group
    if not equals or not re.fullmatch(r"[a-z_]+", group) or not folder.is_dir():
        return argument
    choices = sorted(path.stem for path in folder.glob("*.yaml"))
    if value == "null":
        if "none" in choices:
            return f"{group}=none"
        if group not in ("experiment", "debug", "study"):  # those are null unless they are chosen
            raise UserError(f"{group}=null: expected one of {', '.join(choices)}")
    for name in value.strip("[]").split(","):  # a list of choices, a sweep over them, or one
        if re.fullmatch(r"\w+", name.strip()) and name.strip() not in (*choices, "null"):
            near = difflib.get_close_matches(name.strip(), choices, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"{group}={value}: no such choice as {name.strip()}; {hint}There are {', '.join(choices)}")
    return argument


def program(name: str) -> str:
    """How to start a command in the way that this process was started.

    Args:
        name: ``train`` or ``probe``.

    Returns:
        ``python train.py`` for a script of a checkout, ``closerlook-train`` otherwise.
    """
    script = Path(sys.argv[0]).with_name(f"{name}.py")
    is_checkout = script.is_file() and script.parent.resolve() != Path(__file__).resolve().parent
    return f"python {shlex.quote(str(script))}" if is_checkout else f"closerlook-{name}"


def override(key: str, value: object) -> str:
    """``key=value`` as Hydra takes it: in quotes where it would read blanks, ``=``, commas or brackets otherwise."""
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return f"{key}={text}"
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + r"\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"{key}='{escaped}{chr(92) * trailing}'"


def command(name: str, overrides: Iterable[str]) -> str:
    """A command to paste into a shell."""
    return f"{program(name)} {shlex.join(overrides)}"
