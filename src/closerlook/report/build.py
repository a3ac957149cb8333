"""Build one self-contained HTML page from a run's results."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from closerlook import measures as m
from closerlook.files import write_text
from closerlook.number_text import counted
from closerlook.redaction import redact
from closerlook.report.examples import example_sections, examples_of
from closerlook.report.findings import label_rows, sentences, summary_rows
from closerlook.report.page import render
from closerlook.report.sections import choices, sections
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
    table, examples = results.table, examples_of(results)
    layers, splits = choices(results)
    labels = {f"{layer}|{split}": label_rows(table, layer=layer, split=split) for split in splits for layer in layers}
    return render(
        "report.html.j2",
        sections(results, examples),
        info=results.info,
        sentences=sentences(table, what=_what(results)),
        remarks=_remarks(results),
        n_snapshots=len(snapshots_of(table)),
        film=bool((table["probe"] == "film").any()),
        measures=SUMMARY_MEASURES,
        summaries={split: summary_rows(table, split) for split in splits or ["train"]},
        labels={choice: rows for choice, rows in labels.items() if rows},
        layers=layers,
        splits=splits,
        examples=example_sections(examples),
        config=OmegaConf.to_yaml(redact(results.config)) if results.config else "",
    )


def _what(results: RunResults) -> str:
    """What lies between before and after: fine-tuning, or the way from one model to another."""
    models = results.info.checkpoints
    return f"Going from {models[0].name} to {models[-1].name}" if models else "Fine-tuning"


def _remarks(results: RunResults) -> list[str]:
    """What a reader should know about the data and the numbers, the data's own notes first."""
    remarks = [str(redact(note)) for note in results.info.notes]
    for split in ("train", "test"):
        found = rows_of(results.table, m.N_CONTRADICTIONS, split=split)["value"].dropna()
        if len(found) and found.max() > 0:
            remarks.append(
                f"{counted(found.max(), 'group')} of identical vectors in {split} carry different labels (at the layer "
                "and snapshot with most of them). No classifier can tell them apart: such a space cannot be linear."
            )
    missing = results.table[results.table["value"].isna()]
    if len(missing):
        share = len(missing) / len(results.table)
        reasons = missing["note"].replace("", "no reason given").value_counts().index[:3]
        remarks.append(
            f"{len(missing):,} of {counted(len(results.table), 'number')} ({share:.1%}) undefined, shown as missing: "
            f"{'; '.join(map(str, reasons))}."
        )
    return remarks
