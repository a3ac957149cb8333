"""The notebook runs on a saved run, draws every figure, and holds neither outputs nor logic of its own."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebooks`")
pytest.importorskip("nbclient", reason="needs the extra `notebooks`")
pytest.importorskip("ipykernel", reason="needs the extra `notebooks`")

pytestmark = pytest.mark.e2e
N_FIGURES = 10


@pytest.fixture(scope="module")
def notebook(project: Path) -> Any:
    return nbformat.read(project / "notebooks" / "01_first_look.ipynb", as_version=4)


def test_outputs_are_stripped(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 10
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


def test_it_has_no_logic_of_its_own(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
            assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Lambda}, cell.source


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_it_draws_every_figure_of_a_run(notebook, digits_run: Path, project: Path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("CLOSERLOOK_RUN_DIR", str(digits_run))
    run = nbformat.from_dict(notebook)
    resources = {"metadata": {"path": str(project / "notebooks")}}
    NotebookClient(run, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in run.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    figures = [
        o.data["application/vnd.plotly.v1+json"]
        for o in outputs
        if "application/vnd.plotly.v1+json" in o.get("data", {})
    ]
    assert len(figures) == N_FIGURES
    assert all(figure["data"] for figure in figures), "none of them is empty"
    said = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert said.startswith("Fine-tuning moved the labels apart")
