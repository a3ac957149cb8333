"""What a study draws, prints and sends, on hand-made results."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import numpy as np
import plotly.graph_objects as go
import pytest
from rich.console import Console

from closerlook.cli.study_tables import print_study
from closerlook.report.study_page import render_study_page
from closerlook.study import paper_figures as draw
from closerlook.study.claims import claims_of
from closerlook.study.conditions import conditions_of
from closerlook.study.frames import claims_frame, findings_frame, main_frame
from closerlook.study.join import Study, load_study
from closerlook.study.main_table import summarise
from closerlook.study.wording import number
from closerlook.tracking.study_run import claims_markdown, summary_values


@pytest.fixture
def study(tables: ModuleType, tmp_path: Path) -> Study:
    """Two tasks, one of them hostile in name, and one look across tasks."""
    for task in ("pos", "<script>alert('x')</script>"):
        rows = [*tables.accuracy(0.6, 0.9), *tables.clusters(60, 6), *tables.displacements({1: 1.0, 4: 3.0}),
                *tables.minimum_distances([1.0] * 6, [2.0, 3.0, 4.0, 5.0, 6.0, None])]  # fmt: skip
        folder = tmp_path / ("pos" if task == "pos" else "other") / "minilm_l6" / "seed-0"
        tables.save_run(folder, rows, tables.info(task))
    folder = tables.run_dir(tmp_path, "pos", cross="ps_fxn")
    down = tables.minimum_distances([5.0] * 6, [4.0, 3.0, 4.0, 3.0, 4.0, 3.0])
    tables.save_run(folder, down, tables.info("ps_fxn"), tuned_on="pos")
    return load_study(tmp_path)


def test_page_is_one_file_that_shows_claims_and_runs_nothing_from_data(study: Study) -> None:
    conditions = conditions_of(study)
    page = render_study_page(study, conditions, summarise(study, conditions), claims_of(conditions))
    assert page.count("<script>") == 2  # plotly and the page's own
    assert "<script>alert" not in page
    assert 'src="http' not in page
    for text in ("Do the paper&#39;s claims hold here?", "linear", "Tuning raises the accuracy", "not testable",
                 'data-choice="condition"', "E9"):  # fmt: skip
        assert text in page or text.replace("&#39;", "'") in page, text


def test_terminal_shows_verdicts_and_gaps(study: Study) -> None:
    conditions = conditions_of(study)
    out = io.StringIO()
    print_study(summarise(study, conditions), claims_of(conditions), Console(file=out, width=170))
    text = out.getvalue()
    assert "0.600 → 0.900" in text
    assert "60 → 6" in text
    assert "+0.3 [+0.264, +0.335]" in text
    assert "not testable" in text


def test_terminal_shows_the_matrix_and_stacks_when_narrow(study: Study) -> None:
    conditions = conditions_of(study)
    summary = summarise(study, conditions)
    (matrix,) = summary.matrices
    assert matrix.tuned_on[-1:] == ("pos",)
    assert matrix.probed[-2:] == ("pos", "ps_fxn")
    texts = {}
    for width in (80, 170):
        out = io.StringIO()
        print_study(summary, claims_of(conditions), Console(file=out, width=width))
        texts[width] = " ".join(out.getvalue().split())
    assert "pos ps_fxn" in texts[80]
    assert "0 up, 6 down" in texts[80]
    assert "60 → 6" in texts[170]
    assert "60 → 6" not in texts[80]  # after stands below before
    assert "→ 6" in texts[80]


def test_matrix_compares_accuracies_of_one_classifier(tables: ModuleType, tmp_path: Path) -> None:
    """The own task has the grid and one perceptron, the other task the perceptron only."""
    own = [*tables.accuracy(0.6, 0.9, probe="mlp_grid"), *tables.accuracy(0.5, 0.8, probe="mlp")]
    tables.save_run(tables.run_dir(tmp_path, "pos"), own, tables.info("pos"))
    folder = tables.run_dir(tmp_path, "pos", cross="ps_fxn")
    rows = [*tables.accuracy(0.7, 0.6, probe="mlp"), *tables.minimum_distances([5.0] * 6, [4.0] * 6)]
    tables.save_run(folder, rows, tables.info("ps_fxn"), tuned_on="pos")
    study = load_study(tmp_path)
    (matrix,) = summarise(study, conditions_of(study)).matrices
    assert matrix.classifier == "mlp"
    assert matrix.accuracy_before[0].tolist() == [0.5, 0.7]
    assert matrix.accuracy_after[0].tolist() == [0.8, 0.6]


def test_a_variant_is_a_sweep_of_its_own(tables: ModuleType, tmp_path: Path) -> None:
    """Runs of another experiment do not make the rest of the grid missing."""
    for task, name in (("pos", "seed-0"), ("dep", "seed-0"), ("pos", "seed-0__experiment-e3")):
        tables.save_run(tmp_path / task / "minilm_l6" / name, tables.accuracy(0.6, 0.9), tables.info(task))
    study = load_study(tmp_path)
    summary = summarise(study, conditions_of(study))
    assert [(row.task, row.model) for row in summary.rows] == [
        ("dep", "minilm_l6"), ("pos", "minilm_l6"), ("pos", "minilm_l6 [experiment-e3]")
    ]  # fmt: skip
    assert not [line for line in summary.missing if line.startswith("No run yet")]
    assert {run.path for run in load_study(tmp_path, "experiment-e3").runs} == {"pos/minilm_l6/seed-0__experiment-e3"}
    assert {run.path for run in load_study(tmp_path, "dep/*seed").runs} == {"dep/minilm_l6/seed-0"}


def test_names_in_square_brackets_are_shown_as_they_are(tables: ModuleType, tmp_path: Path) -> None:
    for name in ("seed-0", "seed-0__bold"):
        tables.save_run(tmp_path / "pos" / "minilm_l6" / name, tables.accuracy(0.6, 0.9), tables.info())
    study = load_study(tmp_path)
    out = io.StringIO()
    print_study(summarise(study, conditions_of(study)), claims_of(conditions_of(study)), Console(file=out, width=170))
    assert "minilm_l6 [bold]" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "+0.0123"), (-3.0, "-3"), (1234.5, "+1,234"), (np.nan, "\u2013")]
)
def test_numbers_are_signed_and_missing_ones_are_a_dash(value: float, text: str) -> None:
    assert number(value) == text


def test_tables_and_summary_values_hold_what_was_measured(study: Study) -> None:
    conditions = conditions_of(study)
    summary, claims = summarise(study, conditions), claims_of(conditions)
    assert claims_frame(claims)["verdict"].tolist() == [str(claim.verdict) for claim in claims]
    found = findings_frame(claims).set_index(["claim", "where"])
    assert found.loc[("accuracy", "pos, minilm_l6"), "effect"] == pytest.approx(0.3)
    assert np.isnan(found.loc[("memorisation", "pos, minilm_l6"), "effect"])
    main = main_frame(summary).set_index("task")
    assert main.loc["pos", "accuracy, after"] == pytest.approx(0.9)
    assert main.loc["pos", "n_clusters, before"] == 60
    values = dict(summary_values(summary, claims))
    assert values["claims/accuracy/verdict"] == "supported"
    assert values["claims/accuracy/effect"] == pytest.approx(0.3)
    assert values["study/pos/minilm_l6/after/accuracy"] == pytest.approx(0.9)
    assert all(np.isfinite(value) for value in values.values() if isinstance(value, float))
    lines = claims_markdown(claims).splitlines()
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)


def test_every_figure_of_the_paper_has_a_value_or_a_reason(study: Study) -> None:
    conditions = conditions_of(study)
    summary = summarise(study, conditions)
    per_cell = (draw.e3_minimum_distances, draw.e4_closest_paths, draw.e6_similarity, draw.e7_arrows, draw.e8_lengths,
                draw.e9_memorisation)  # fmt: skip
    figures = [draw.e2_clusters(summary), *(draw.e5_matrix(x) for x in summary.matrices)]
    figures += [make(condition) for make in per_cell for condition in draw.own_conditions(conditions)]
    assert len(figures) == 1 + 1 + 6 * 2
    for figure in figures:
        assert isinstance(figure, go.Figure)
        drawn = [trace for trace in figure.data if trace.x is not None and len(trace.x)]
        assert drawn or figure.layout.annotations[0].text
