"""``show=witnesses``, ``suspects``, ``moved``, ``flipped``: single examples with their texts, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from closerlook import measures as m
from closerlook.cli.console import Console, printable
from closerlook.number_text import counted, number_text
from closerlook.results.example_tables import distance_text, labels_with_nearest, nearest_pair, partner_of, same_pair
from closerlook.results.example_texts import marked, shortened
from closerlook.results.movement import FORGOTTEN, LEARNED, NEVER

if TYPE_CHECKING:
    from closerlook.config import ProbeConfig
    from closerlook.pipelines.show import Chosen

_SHORT = {LEARNED: "learned", FORGOTTEN: "forgot", NEVER: "never"}
_N_OTHERS = 8
_NAME, _WIDE = 14, 100
_MOVED = (
    ("Moved most, without their label's shift", "", "own_displacement"),
    ("Learned last", LEARNED, "learned_at"),
    ("Forgotten: right once, wrong at the end", FORGOTTEN, "forgotten_at"),
    ("Never learned: wrong at every snapshot", NEVER, "confidence"),
)


def print_examples(config: ProbeConfig) -> None:
    """Print what ``show=`` asks for."""
    from closerlook.pipelines.show import choose

    chosen, console = choose(config), Console(highlight=False)
    {"witnesses": _witnesses, "suspects": _suspects, "moved": _moved, "flipped": _flipped}[str(config.show)](
        console, chosen
    )


def _witnesses(console: Console, chosen: Chosen) -> None:
    for layer in chosen.layers:
        split = chosen.split
        before, now = (chosen.examples.witnesses(layer=layer, split=split, step=step) for step in chosen.steps)
        _title(console, chosen, f"who holds labels apart, layer {layer}, {_moments(chosen)}")
        if now.empty:
            console.print("  not measured at this snapshot")
        elif chosen.label is None:
            console.print(_overview(before, now))
            console.print("  label=<name> shows all witnesses of a label", style="dim")
        else:
            _witnesses_of(console, chosen, before, now)
        _apart(console, chosen, chosen.examples.apart(layer=layer, split=split, step=chosen.steps[1]))


def _moments(chosen: Chosen) -> str:
    first, last = chosen.steps
    return f"update {last}" if first == last else f"update {first} → {last}"


def _overview(before: pd.DataFrame, now: pd.DataFrame) -> Table:
    grid = _grid("label", "nearest", ">distance", ">witnesses", ">weight", "the heaviest of its own")
    for label in labels_with_nearest(now):
        old, new = nearest_pair(before, label), nearest_pair(now, label)
        own = new[new["label"] == label]
        partner = partner_of(new, label)
        was = partner_of(old, label) if len(old) else partner
        grid.add_row(
            _cell(label),
            _cell(partner if was == partner else f"{partner} (was {was})"),
            f"{distance_text(old)}→{distance_text(new)}",
            "+".join(
                str(new[name].iloc[0])
                for name in ("n_first", "n_other")[:: 1 if new["pair_label"].iloc[0] == label else -1]
            ),
            f"{own['weight'].iloc[0]:.2f}",
            _text(own.iloc[0]),
        )
    return grid


def _witnesses_of(console: Console, chosen: Chosen, before: pd.DataFrame, now: pd.DataFrame) -> None:
    label = str(chosen.label)
    pair = nearest_pair(now, label)
    if pair.empty:
        console.print(f"  {escape(label)} has no nearest label here: no distance of it is defined")
        return
    partner = partner_of(pair, label)
    old = same_pair(before, pair)
    verb = "meets" if pair["meets"].iloc[0] else f"is {distance_text(pair)} from"
    console.print(f"  {escape(label)} {verb} its nearest label {escape(partner)}; before: {distance_text(old)}")
    weights = pd.concat(
        [old.set_index("row")["weight"].rename("before"), pair.set_index("row")["weight"].rename("now")], axis=1
    )
    texts = pd.concat([pair, old]).drop_duplicates("row").set_index("row")
    both = weights.join(texts).fillna({"before": 0.0, "now": 0.0})
    for side in (label, partner):
        rows = both[both["label"] == side].sort_values(["now", "before"], ascending=False)
        grid = _grid(
            ">before", ">now", f"{side}: {counted((rows['now'] > 0).sum(), 'witness')}".replace("witnesss", "witnesses")
        )
        for _, row in rows.head(chosen.n_rows).iterrows():
            grid.add_row(*(f"{row[name]:.3f}" if row[name] > 0 else "-" for name in ("before", "now")), _text(row))
        console.print(grid)
        _left_out(console, len(rows), chosen.n_rows)
    _other_pairs(console, now, label, partner)


def _other_pairs(console: Console, now: pd.DataFrame, label: str, nearest: str) -> None:
    of_label = now[(now["pair_label"] == label) | (now["pair_other"] == label)]
    told = []
    for _, pair in of_label.groupby(["pair_label", "pair_other"], sort=False):
        other = partner_of(pair, label)
        if other != nearest:
            n = pair[["n_first", "n_other"]].iloc[0].sum()
            told.append(f"{escape(other)} {distance_text(pair)} ({n} witnesses)")
    if told:
        console.print(f"  other labels: {', '.join(told[:_N_OTHERS])}")


def _apart(console: Console, chosen: Chosen, table: pd.DataFrame) -> None:
    if table.empty:
        return
    rows = table if chosen.label is None else table[table["label"] == chosen.label]
    if rows.empty:
        return
    console.print("  Why labels have more than one cluster: a joint hull would meet another label's examples")
    grid = _grid("label", ">size", "in the cluster", "in the way")
    for _, row in rows.head(chosen.n_rows).iterrows():
        grid.add_row(
            _cell(row["label"]),
            str(row["size"]),
            _cell(row["members"], 60),
            _cell(f"{row['other']}: {row['in_the_way']}", 80),
        )
    console.print(grid)
    _left_out(console, len(rows), chosen.n_rows)


def _suspects(console: Console, chosen: Chosen) -> None:
    table = chosen.examples.suspects(chosen.split)
    if table is None:
        return
    rows = table if chosen.label is None else table[table["label"] == chosen.label]
    doubted = int((table["log_odds"] < 0).sum())
    everywhere = int(((table["misread"] == table["readings"]) & (table["readings"] > 0)).sum())
    _title(console, chosen, "labels to look at again")
    console.print(
        f"  {counted(doubted, 'example')} of {len(table):,} read as another label on the whole, {everywhere} of them "
        "by every classifier"
    )
    with_witnesses = bool(rows["against"].notna().any()) and console.width >= _WIDE
    extra = (">witness", ">cluster") if with_witnesses else ()
    grid = _grid(">rank", "label", "rather", ">odds", ">misread", *extra, "example")
    for _, row in rows.head(chosen.n_rows).iterrows():
        more = (f"{row['against']:.0f}", f"{row['extra']:.0f}" if row["extra"] else "main") if with_witnesses else ()
        grid.add_row(
            str(row["rank"]),
            _cell(row["label"], _NAME),
            _cell(row["suggested"], _NAME),
            f"{row['log_odds']:.1f}",
            f"{row['misread']}/{row['readings']}",
            *more,
            _text(row),
        )
    console.print(grid)
    _left_out(console, len(rows), chosen.n_rows)
    console.print("  odds: log odds of the label against the best other one, mean over layers and", style="dim")
    console.print("  snapshots, by classifiers that did not train on the example.", style="dim")
    if with_witnesses:
        told = (
            "witness: pairs of labels it holds apart; cluster: how many stand with it apart from the label's main one"
        )
        console.print(f"  {told}.", style="dim")


def _moved(console: Console, chosen: Chosen) -> None:
    for layer in chosen.layers:
        table = chosen.examples.moved(layer=layer, split=chosen.split)
        if table is None:
            continue
        _title(console, chosen, f"who moved, layer {layer}")
        console.print(_by_label(table))
        rows = table if chosen.label is None else table[table["label"] == chosen.label]
        for title, fate, by in _MOVED:
            _moved_most(console, chosen, rows, title, fate, by)
        read_by = table["read_by"].iloc[0]
        console.print(
            f"  right or wrong: read by {read_by} at each snapshot"
            if read_by
            else "  when examples were learned is not known here: add probe=[suspects], or look at the last layer",
            style="dim",
        )


def _flipped(console: Console, chosen: Chosen) -> None:
    table = chosen.examples.flipped(chosen.split, chosen.steps[1])
    if table is None:
        return
    rows = table if chosen.label is None else table[table["label"] == chosen.label]
    names = {one.step: one.name for one in chosen.info.checkpoints}
    way = " → ".join(names.get(step, f"update {step}") for step in table.attrs["steps"])
    _title(console, chosen, f"{len(rows):,} of {table.attrs['n']:,} predictions flipped, {way}")
    grid = _grid("label", "before", "after", ">KL", "example")
    for _, row in rows.head(chosen.n_rows).iterrows():
        grid.add_row(
            *(_cell(row[name], _NAME) for name in ("label", "before", "after")), f"{row['kl']:.2f}", _text(row)
        )
    console.print(grid)
    _left_out(console, len(rows), chosen.n_rows)


def _by_label(table: pd.DataFrame) -> Table:
    fates = (LEARNED, FORGOTTEN, NEVER) if "fate" in table else ()
    grid = _grid("label", ">n", ">moved", ">own", ">path", ">kept", *(f">{_SHORT[fate]}" for fate in fates))
    for label, rows in table.groupby("label"):
        means = (
            number_text(m.CENTROID_DISPLACEMENT, rows[name].mean())
            for name in ("displacement", "own_displacement", "own_path")
        )
        kept = number_text(m.KNN_OVERLAP, rows["kept_neighbours"].mean())
        grid.add_row(_cell(label), str(len(rows)), *means, kept, *(str((rows["fate"] == fate).sum()) for fate in fates))
    return grid


def _moved_most(console: Console, chosen: Chosen, table: pd.DataFrame, title: str, fate: str, by: str) -> None:
    if by not in table:
        return
    rows = table[table["fate"] == fate] if fate else table
    if rows.empty:
        return
    rows = rows.sort_values(by, ascending=by == "confidence")
    update = fate in (LEARNED, FORGOTTEN)
    grid = _grid(
        "label", ">own", ">kept", *((">update",) if update else ()), f"{title} ({len(rows):,})" if fate else title
    )
    for _, row in rows.head(chosen.n_rows).iterrows():
        moment = (f"{row[by]:.0f}",) if update else ()
        kept = number_text(m.KNN_OVERLAP, row["kept_neighbours"])
        own = number_text(m.CENTROID_DISPLACEMENT, row["own_displacement"])
        grid.add_row(_cell(row["label"]), own, kept, *moment, _text(row))
    console.print(grid)
    _left_out(console, len(rows), chosen.n_rows)


def _title(console: Console, chosen: Chosen, what: str) -> None:
    of = "" if chosen.label is None else f", {chosen.label}"
    console.print(f"\n[bold]{escape(chosen.info.title)}[/bold]: {escape(what)} ({chosen.split}{escape(of)})")


def _left_out(console: Console, n: int, shown: int) -> None:
    if n > shown:
        console.print(f"  {n - shown:,} more: show_rows={min(n, 10 * shown)} shows them", style="dim")


def _grid(*columns: str) -> Table:
    """A table whose last column takes what is left and breaks its lines; ``>`` before a name puts it to the right."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in columns[:-1]:
        grid.add_column(_cell(name.lstrip(">")), justify="right" if name.startswith(">") else "left", no_wrap=True)
    grid.add_column(_cell(columns[-1].lstrip(">")), justify="right" if columns[-1].startswith(">") else "left")
    return grid


def _cell(value: Any, length: int = 200) -> Text:
    text = str(value)
    return Text(printable(text if len(text) <= length else text[: length - 1] + "…"))


def _text(row: pd.Series, length: int = 160) -> Text:
    """An example's text, its word in bold in the sentence around it."""
    pieces = marked(row["example_id"], row["text_id"], row["form"], row["context"])
    shown = Text()
    for piece in shortened(pieces, length):
        is_marked = piece.is_target and len(pieces) > 1
        shown.append(printable(f"*{piece.text}*" if is_marked else piece.text), style="bold" if is_marked else "")
    return shown
