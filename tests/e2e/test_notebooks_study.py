"""Notebooks 02 and 03 run as they are, hold no logic of their own, and have their outputs stripped."""

from __future__ import annotations

import ast
import csv
import shlex
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebooks`")
pytest.importorskip("nbclient", reason="needs the extra `notebooks`")
pytest.importorskip("ipykernel", reason="needs the extra `notebooks`")

pytestmark = pytest.mark.e2e
NAMES = ("02_the_paper", "03_your_own_data")
FIGURE = "application/vnd.plotly.v1+json"


def read(project: Path, name: str) -> Any:
    return nbformat.read(project / "notebooks" / f"{name}.ipynb", as_version=4)


def execute(notebook: Any, folder: Path) -> list[Any]:
    """Run a notebook in a folder of its own; returns its outputs."""
    from nbclient import NotebookClient

    run = nbformat.from_dict(notebook)
    NotebookClient(run, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in run.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return outputs


def text_of(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") or str(output.get("data", {}).get("text/html", "")) for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped_and_logic_is_the_librarys(project: Path, name: str) -> None:
    cells = [cell for cell in read(project, name).cells if cell.cell_type == "code"]
    assert len(cells) >= 8
    for cell in cells:
        assert cell.outputs == []
        assert cell.execution_count is None
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Lambda}, cell.source


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_the_paper_is_drawn_from_saved_results(
    project: Path, study_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSERLOOK_RUNS_DIR", str(study_runs))
    outputs = execute(read(project, "02_the_paper"), study_runs)
    figures = [output.data[FIGURE] for output in outputs if FIGURE in output.get("data", {})]
    assert len(figures) == 9  # E2, E3, twice E4, E5, E6, E7, E8, E9
    assert all(figure["data"] for figure in figures)
    text = text_of(outputs)
    assert "12 claims:" in text
    assert "bbc_topics" in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_own_texts_are_tuned_and_probed(
    project: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weather = ["rain", "snow", "wind", "fog", "hail", "frost", "storm", "sunshine", "clouds", "thunder"]
    with (tmp_path / "mine.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        writer.writerows([[f"Today {a} and {b} in the valley", "weather"] for a in weather for b in weather[:3]])
        writer.writerows([[f"The {a} {b} the ball", "sport"] for a in ("keeper", "striker", "coach")
                          for b in ("kicks", "throws", "holds", "drops", "takes", "passes", "misses")])  # fmt: skip
    settings = ["model=any", "model.name=tiny", f"model.source={tiny_bert}", "finetuning.epochs=1",
                "finetuning.batch_size=8", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]  # fmt: skip
    monkeypatch.setenv("CLOSERLOOK_CSV", str(tmp_path / "mine.csv"))
    monkeypatch.setenv("CLOSERLOOK_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("CLOSERLOOK_OVERRIDES", shlex.join(settings))
    outputs = execute(read(project, "03_your_own_data"), tmp_path)
    assert sum(FIGURE in output.get("data", {}) for output in outputs) == 3
    assert (tmp_path / "run" / "report.html").is_file()
    text = text_of(outputs)
    assert "weather" in text
    assert "A linear classifier on the frozen vectors of layer 2 is right on" in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_other_peoples_loops_store_the_same_vectors(
    project: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate", reason="Hugging Face's Trainer needs it")
    monkeypatch.setenv("CLOSERLOOK_MODEL", str(tiny_bert))
    monkeypatch.setenv("CLOSERLOOK_RUNS", str(tmp_path))
    notebook = read(project, "04_your_own_loop")
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")
    said = text_of(execute(notebook, tmp_path))
    assert "equal: True" in said
    assert sorted(path.parent.name for path in tmp_path.glob("*/run.json")) == ["lightning", "plain", "trainer"]
