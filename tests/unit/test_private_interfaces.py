"""What closerlook uses of other packages without their promise is still there."""

import re
from pathlib import Path

import pytest

import closerlook
from closerlook.private_interfaces import USES, Use, missing

SOURCE = Path(closerlook.__file__).parent


def test_installed_versions_have_everything_that_is_used_of_them() -> None:
    assert missing() == []


def test_what_a_version_has_moved_is_named_with_package_version_and_reason() -> None:
    gone = [Use("hydra-core", "hydra.core.plugins", "Plugins.gone.deeper", "why"), USES[0]]
    (line,) = missing(gone)
    assert re.fullmatch(
        r"hydra-core [\d.]+ has no hydra\.core\.plugins\.Plugins\.gone\.deeper any more; needed since why", line
    )
    assert missing([Use("hydra-core", "hydra.nowhere", "x", "why")])


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_other_file_reaches_into_lightning_or_hydra(path: Path) -> None:
    if path.name in ("private_interfaces.py", "progress_bar.py"):  # the bar overrides a listed method
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\btrainer\._|hydra\._internal|launchers import _|GlobalHydra|wandb\.sdk|\._to_model\(", text)
