"""Build one self-contained HTML page from a run's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from closerlook import measures as m
from closerlook.figures.theme import name_of
from closerlook.files import write_text
from closerlook.number_text import number_text
from closerlook.redaction import redact
from closerlook.report.page import render
from closerlook.report.sections import choices, sections
from closerlook.report.summary import label_rows, sentences, summary_rows
from closerlook.results.run import RunResults
from closerlook.results.tables import SUMMARY_MEASURES, rows_of, snapshots_of


def build_report(results: RunResults, path: Path) -> Path:
    """Write a run's report: one HTML file that opens offline, with its figures' JavaScript inside.

    Args:
        results: The run, see :func:`closerlook.results.run.load_run`. It may still be training or probing:
            what is missing is left out or shown as missing.
        path: The file to write, all or nothing; an older report is replaced.

    Returns:
        ``path``.
    """
    write_text(path, render_report(results))
    return path


def render_report(results: RunResults) -> str:
    """The report as HTML text; see :func:`build_report`."""
    layers, splits = choices(results)
    return render(
        "page.html.j2",
        sections(results),
        tools={"number": _shown, "name_of": name_of},
        info=results.info,
        sentences=sentences(results.table),
        remarks=_remarks(results),
        n_snapshots=len(snapshots_of(results.table)),
        measures=SUMMARY_MEASURES,
        from_first=(m.SIMILARITY_TO_FIRST, m.MEAN_DISPLACEMENT),  # before is 1 or 0 by definition
        summaries={split: summary_rows(results.table, split) for split in splits or ["train"]},
        labels=_label_tables(results, layers, splits),
        layers=layers,
        splits=splits,
        config=_yaml(redact(results.config)),
    )


def _yaml(config: dict[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(config)) if config else ""


def _shown(value: float, measure: str) -> str:
    return number_text(measure, value)


def _label_tables(results: RunResults, layers: list[int], splits: list[str]) -> dict[str, list[Any]]:
    tables = {
        f"{layer}|{split}": label_rows(results.table, layer=layer, split=split) for split in splits for layer in layers
    }
    return {choice: rows for choice, rows in tables.items() if rows}


def _remarks(results: RunResults) -> list[str]:
    """What a reader should know about the data and the numbers, the data's own notes first."""
    told = list(results.info.notes)
    for split in ("train", "test"):
        found = rows_of(results.table, m.N_CONTRADICTIONS, split=split)["value"].dropna()
        if len(found) and found.max() > 0:
            told.append(
                f"{int(found.max())} groups of identical vectors in {split} carry different labels (at the layer and "
                "snapshot with most of them). No classifier can tell them apart: such a space cannot be linear."
            )
    missing = results.table[results.table["value"].isna()]
    if len(missing):
        share = len(missing) / len(results.table)
        reasons = missing["note"].replace("", "no reason given").value_counts().index[:3]
        told.append(
            f"{len(missing):,} of {len(results.table):,} numbers ({share:.1%}) are undefined and shown as missing: "
            + "; ".join(str(reason) for reason in reasons)
            + "."
        )
    return told
