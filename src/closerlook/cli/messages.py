"""What the commands say when they are done."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import rich.console
from rich import box
from rich.markup import escape
from rich.table import Table

from closerlook import measures as m
from closerlook.cli.command_line import command, override
from closerlook.cli.console import Console

if TYPE_CHECKING:
    from closerlook.pipelines.fine_tune import TrainOutcome
    from closerlook.pipelines.probe_run import ProbeRunOutcome
    from closerlook.pipelines.probe_vectors import VectorsOutcome
    from closerlook.results.run import RunInfo

_SUMMARY = (
    ("accuracy", "linear", m.ACCURACY, "test", "{:.3f}"),
    ("clusters", "direct", m.N_CLUSTERS, "train", "{:.0f}"),
    ("min. distance", "direct", m.MEAN_MIN_DISTANCE, "train", "{:.3f}"),
    ("train~test", "similarity", m.TRAIN_TEST_SIMILARITY, "train-test", "{:.2f}"),
    ("~first", "similarity", m.SIMILARITY_TO_FIRST, "train", "{:.2f}"),
    ("moved", "centroids", m.MEAN_DISPLACEMENT, "train", "{:.2f}"),
)
_STACKED = {
    "accuracy": "accu-\nracy",
    "clusters": "clus-\nters",
    "min. distance": "min.\ndist.",
    "train~test": "train\n~test",
}
_ANY_WIDTH = 1000


def print_training(outcome: TrainOutcome) -> None:
    """Say how training went, and what to do next."""
    console = Console(highlight=False)
    run_dir = _short(outcome.run_dir)
    if outcome.skipped:
        console.print(
            f"\nfinished before with the same settings: {escape(str(run_dir))}  (overwrite=true trains again)"
        )
    else:
        title = escape(outcome.info.title)
        scores = "  ".join(f"{key} {value:.4f}" for key, value in sorted(outcome.metrics.items()))
        console.print(
            f"\n[bold]{title}[/bold] tuned in {outcome.seconds:.0f} s, "
            f"{outcome.snapshot_seconds:.0f} s of them for {outcome.n_snapshots} snapshots\n  {scores}",
            soft_wrap=True,
        )
        if (trained := trained_share(outcome.info)) is not None:
            console.print(f"  method:        {trained}")
        console.print(f"  run directory: {escape(str(run_dir))}", soft_wrap=True)
    if outcome.model is not None:
        console.print(f"  model:         {escape(str(_short(outcome.model)))}", soft_wrap=True)
    following = command("probe", [override("run_dir", run_dir)])
    console.print(f"  next:          [bold]{escape(following)}[/bold]", soft_wrap=True)


def trained_share(info: RunInfo) -> str | None:
    """``lora-r8, 38,789 of 22,752,005 weights trained (0.17 %)``; None where an earlier version did not count them."""
    if info.n_trained is None or not info.n_parameters:
        return None
    share = 100 * info.n_trained / info.n_parameters
    return f"{info.method}, {info.n_trained:,} of {info.n_parameters:,} weights trained ({share:.3g} %)"


def _short(path: Path) -> Path:
    """The path as seen from the working directory, when it is below it."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def print_probing(outcome: ProbeRunOutcome) -> None:
    """The before/after table, and where everything is."""
    from closerlook.cli.weight_tables import print_weights
    from closerlook.pipelines.probe_run import failures

    console = Console(highlight=False)
    console.print()
    title, models = outcome.results.info.title, outcome.results.info.checkpoints
    if not outcome.table["probe"].isin(["weights"]).all():
        change = f"{models[0].name} → {models[-1].name}" if models else "before → after tuning"
        print_summary(outcome.table, escape(f"{title}: {change}"), console)
    print_weights(console, outcome.table, title)
    for line in _flips(outcome):
        console.print(f"  {escape(line)}")
    found = outcome.probes
    kept = f", {found.n_kept} kept from before" if found.n_kept else ""
    console.print(f"  {found.n_computed} cells computed in {found.seconds:.1f} s{kept}")
    for failure in failures(found.failed)[:5]:
        console.print(f"  [red]failed[/red] {escape(failure)}")
    console.print(f"  results: {escape(str(outcome.table_file))}", soft_wrap=True)
    if outcome.report is not None:
        console.print(f"  report:  [bold]{escape(str(outcome.report))}[/bold]  (open it in a browser)", soft_wrap=True)
    if outcome.space is not None:
        console.print(f"  film:    [bold]{escape(str(outcome.space))}[/bold]  (every example)", soft_wrap=True)
    _print_dashboards(console, outcome.run.root)


def _flips(outcome: ProbeRunOutcome) -> Iterator[str]:
    """How many predictions flipped from the first tuned head to the last, a line a split, where heads were compared."""
    rows = outcome.table[(outcome.table.measure == m.PREDICTION_AGREEMENT) & outcome.table.value.notna()]
    for split, found in rows.groupby("split"):
        last = found.sort_values("step").iloc[-1]
        n = int(last["n"])
        flipped = round((1 - float(last["value"])) * n)
        yield f"{split}: {flipped:,} of {n:,} predictions flipped (show=flipped splits=[{split}] lists them)"


def _print_dashboards(console: Console, run_dir: Path) -> None:
    """Where the W&B runs of a run directory are, and how to look at them."""
    from closerlook.tracking.wandb_record import read_record

    for job, record in read_record(run_dir).items():
        if record.get("url"):
            console.print(f"  W&B {escape(job)}: {escape(record['url'])}", soft_wrap=True)
        elif record.get("folder"):
            folder = escape(shlex.quote(str(run_dir / record["folder"])))
            console.print(f"  W&B {job}: wandb leet {folder}  (here)  or  wandb sync {folder}  (send)", soft_wrap=True)


def print_vectors(outcome: VectorsOutcome) -> None:
    """What DirectProbe found in one set of vectors."""
    console = Console(highlight=False)
    found = outcome.found
    kind = "linear: one cluster per label" if found.is_linear else "not linear"
    console.print(
        f"\n[bold]{escape(outcome.name)}[/bold]: {found.n_clusters} clusters of {len(found.classes)} labels ({kind})"
    )
    if found.n_contradictions:
        console.print(f"  {found.n_contradictions} groups of identical vectors carry different labels")
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (("label", "left"), ("examples", "right"), ("min. distance", "right"), ("nearest", "left")):
        grid.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    order = sorted(
        range(len(found.classes)), key=lambda i: (math.isnan(found.min_distances[i]), found.min_distances[i])
    )
    for i in order:
        distance = _number(float(found.min_distances[i]), "{:.4f}")
        grid.add_row(escape(found.classes[i]), str(outcome.counts[i]), distance, escape(outcome.nearest[i] or "-"))
    console.print(grid)
    for message in found.warnings:
        console.print(f"  [yellow]{escape(message)}[/yellow]")
    console.print(f"  results: {escape(str(outcome.table_file))}", soft_wrap=True)
    console.print(f"  files of the released code: {escape(str(outcome.released_files))}", soft_wrap=True)


def print_summary(table: pd.DataFrame, title: str, console: rich.console.Console) -> None:
    """Print before and after, a line a layer; after below before where the terminal is narrow."""
    wide = summary_table(table, title)
    fits = console.measure(wide, options=console.options.update(width=_ANY_WIDTH)).maximum <= console.width
    console.print(wide if fits else summary_table(table, title, stacked=True))


def summary_table(table: pd.DataFrame, title: str, *, stacked: bool = False) -> Table:
    """Before and after, a line a layer.

    Args:
        table: Tidy results.
        title: Heading of the table.
        stacked: After below before, for a narrow terminal.
    """
    n_labels = table.loc[(table.measure == m.N_LABELS) & (table.split == "train"), "value"]
    caption = (
        f"{n_labels.iloc[0]:.0f} labels; as many clusters = linear. min. distance: to the nearest label, mean over "
        "labels (train). train~test, ~first: Pearson r of label distances. moved: mean shift of the centroids (train)."
        if len(n_labels)
        else None
    )
    shown = [column for column in _SUMMARY if ((table.probe == column[1]) & (table.measure == column[2])).any()]
    style = {
        "title_justify": "left",
        "caption_justify": "left",
        "box": box.SIMPLE_HEAD,
        "pad_edge": False,
        "padding": 0 if stacked else (0, 1),
    }
    grid = Table(title=title, caption=caption, **style)  # type: ignore[arg-type]
    grid.add_column("layer", justify="right", no_wrap=True)
    for name, *_ in shown:
        grid.add_column(_STACKED.get(name, name) if stacked else name, justify="right", no_wrap=True)
    for layer in sorted(table.layer.unique()):
        cells = [_before_after(table[table.layer == layer], *column[1:]) for column in shown]
        grid.add_row(str(layer), *(cell.replace("→", "\n→") for cell in cells) if stacked else cells)
    return grid


def _before_after(table: pd.DataFrame, probe: str, measure: str, split: str, form: str) -> str:
    rows = table[(table.probe == probe) & (table.measure == measure) & (table.split == split) & (table.label == "")]
    if rows.empty:
        return "-"
    ordered = rows.sort_values("step")
    first, last = (_number(v, form) for v in (ordered.value.iloc[0], ordered.value.iloc[-1]))
    if m.MEASURES[measure].scope == "change" or len(ordered) == 1:
        return last
    return f"{first}→{last}"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)
