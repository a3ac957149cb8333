"""The compiled code loads where numba has no folder of its own to write to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import closerlook.probing

CODE = """
from closerlook.probing import _compiling
import numba
print(_compiling.__file__, _compiling.CACHE, numba.config.CACHE_DIR, sep="|")
"""


@pytest.fixture
def blocked(tmp_path):
    """A copy of the package whose __pycache__ cannot be made, and no home (root may write to read-only folders)."""
    home = Path(closerlook.probing.__file__).parent
    copy = tmp_path / "site" / "closerlook" / "probing"
    copy.mkdir(parents=True)
    (copy.parent / "__init__.py").touch()
    for name in ("__init__.py", "_compiling.py"):
        shutil.copy(home / name, copy / name)
    (copy / "__pycache__").touch()
    (tmp_path / "home").touch()
    return tmp_path


def loaded(tmp_path: Path, temporary: Path) -> list[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "XDG"))}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path / "site"), "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    file, *answer = done.stdout.strip().split("|")
    assert file.startswith(str(tmp_path))
    return answer


def test_without_a_place_of_its_own_it_caches_in_a_temporary_folder(blocked):
    temporary = blocked / "tmp"
    temporary.mkdir()
    cached, folder = loaded(blocked, temporary)
    assert cached == "True"
    assert Path(folder).parent == temporary
    assert Path(folder).stat().st_mode & 0o077 == 0


def test_a_folder_that_others_can_write_to_is_not_used(blocked):
    temporary = blocked / "tmp"
    trap = temporary / f"closerlook-numba-{os.getuid()}"
    trap.mkdir(parents=True)
    trap.chmod(0o777)
    assert loaded(blocked, temporary) == ["False", ""]
