"""Build ``space.html``: every stored example in its space, snapshot by snapshot, in one file that opens offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from closerlook.figures.theme import PALETTE
from closerlook.files import write_text
from closerlook.number_text import counted
from closerlook.probes.film import NO_LABEL, NOT_MEASURED, PICTURES
from closerlook.report.film_data import (
    Film,
    hits_of,
    meta_of,
    packed,
    read_film,
    texts,
    told,
    witnesses_of,
)
from closerlook.report.page import in_script, render_page
from closerlook.report.sections import asset
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

_SCRIPTS = ("film_tools.js", "film_data.js", "film_points.js", "film_pane.js", "film_page.js")


def build_space_page(run: RunDir, path: Path) -> Path | None:
    """Write the page of a run's examples.

    Args:
        run: The run, probed with ``probe=[film]``, its snapshots still there: the texts are beside them.
        path: The file to write, all or nothing; an older page is replaced.

    Returns:
        ``path``; None when the run has no pictures of its examples, and nothing is written.

    Raises:
        UserError: A stored file is damaged.
    """
    store = run.store()
    film = read_film(store)
    if film is None or not run.snapshots.is_dir():
        return None
    reader, table = SnapshotReader(run.snapshots), store.table()
    meta = meta_of(film, reader, table) | {"palette": PALETTE}
    blocks: dict[str, str] = {}
    told_of = {}
    for layer in film.layers:
        hits, witness = hits_of(store.cells(), film, reader, layer), witnesses_of(table, film, reader, layer)
        told_of[layer] = (hits < NOT_MEASURED).any(), witness.any()
        blocks |= {f"{name}-{layer}": packed(film.of(layer, name)) for name in PICTURES}
        blocks[f"told-{layer}"] = told(film, layer, hits, witness)
    blocks["texts"] = texts(film, reader)
    asked = [layer for layer in film.layers if (film.of(layer, "predicted") != NO_LABEL).any()]
    meta |= {
        "head": asked[-1] if asked else None,
        "answers": bool(asked),
        "hits": any(bool(hits) for hits, _ in told_of.values()),
        "witnesses": any(bool(witness) for _, witness in told_of.values()),
        "words": run.info().level != "sentence",
    }
    write_text(path, _render(run, film, meta, blocks, len(reader.steps)))
    return path


def _render(run: RunDir, film: Film, meta: dict[str, Any], blocks: dict[str, str], n_snapshots: int) -> str:
    return render_page(
        "space.html.j2",
        {"script": "\n".join(map(asset, _SCRIPTS))},
        style=asset("page.css") + asset("space.css"),
        info=run.info(),
        meta=in_script(json.dumps(meta, separators=(",", ":"), ensure_ascii=False, allow_nan=False)),
        blocks=blocks,
        remarks=_left_out(film, meta, n_snapshots),
        asked=_asked(meta),
    )


def _left_out(film: Film, meta: dict[str, Any], n_snapshots: int) -> list[str]:
    """What the page does not show."""
    remarks = [
        f"Of {counted(split['stored'], 'example')} of {split['name']}, {split['drawn']:,} are shown, drawn by label in "
        "proportion: the page would be too large (probe.film.max_positions)."
        for split in meta["splits"]
        if split["drawn"] < split["stored"]
    ]
    if film.left_out:
        layers = ", ".join(map(str, film.left_out))
        remarks.append(
            f"Layers {layers} have pictures of other snapshots, and are not shown: run probe.py on all layers."
        )
    if (shown := len(meta["snapshots"])) < n_snapshots:
        remarks.append(
            f"Of {counted(n_snapshots, 'snapshot')}, {shown} are shown, evenly chosen (probe.film.max_snapshots), "
            "or those that were there when it was probed."
        )
    return remarks


def _asked(meta: dict[str, Any]) -> int:
    """The number of examples in the largest sample whose neighbours were counted."""
    counts = [
        row[4]
        for pictures in meta["shown"].values()
        for splits in pictures.values()
        for series in splits.values()
        for row in series["neighbours"]
    ]
    return int(max((count for count in counts if count is not None), default=0))
