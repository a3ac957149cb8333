"""The layers hold: importing a lower one never pulls in what belongs above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import closerlook

SOURCE = Path(closerlook.__file__).parent
ORDER = {
    "results": 0, "representations": 1, "probing": 1, "geometry": 1, "data": 1, "figures": 1, "probes": 2,
    "models": 2, "callbacks": 3, "study": 2, "report": 3, "tracking": 3, "pipelines": 4, "cli": 5,
}  # fmt: skip
HEAVY = ("torch", "pytorch_lightning", "hydra", "wandb", "transformers", "datasets", "plotly")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules(package: str) -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


def test_every_package_has_a_place() -> None:
    packages = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name not in ("__pycache__", "conf")}
    assert packages == set(ORDER)


@pytest.mark.parametrize("package", sorted(ORDER))
def test_no_package_imports_one_above_it(package: str) -> None:
    for path in modules(package):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "closerlook" and len(parts) > 1 and parts[1] in ORDER:
                assert ORDER[parts[1]] <= ORDER[package], f"{path.relative_to(SOURCE)} imports {name}"


@pytest.mark.parametrize("package", sorted(set(ORDER) - {"pipelines", "cli"}))
def test_configurations_stay_in_pipelines(package: str) -> None:
    for path in modules(package):
        assert "DictConfig" not in path.read_text(encoding="utf-8"), path


def test_only_tracking_imports_wandb() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if any(name.split(".")[0] == "wandb" for name in imports(path)):
            assert path.relative_to(SOURCE).parts[0] == "tracking", path


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("closerlook.probing", HEAVY),
        ("closerlook.probing.direct_probe", HEAVY),
        ("closerlook.geometry.change_report", HEAVY),
        ("closerlook.results.run", HEAVY),
        ("closerlook.representations.reader", HEAVY),
        ("closerlook.probes.runner", HEAVY),
        ("closerlook.cli.train", ("torch", "pytorch_lightning", "wandb", "transformers", "pandas", "plotly")),
        ("closerlook.cli.probe", ("torch", "pytorch_lightning", "wandb", "transformers", "pandas", "plotly")),
    ],
)
def test_importing_stays_light(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
