"""What of an encoder is trained: settings of a tuning method, also the schema of the command line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from closerlook.models.model_error import ModelError

_OWN: dict[str, tuple[str, ...]] = {
    "full": (),
    "head": (),
    "bitfit": (),
    "lora": ("rank", "alpha", "dropout", "targets"),
    "lp_ft": ("head_epochs", "head_updates"),
    "top_layers": ("n_layers",),
}
"""The methods, and the settings that each of them reads beside ``rate_factor``."""

METHODS = tuple(_OWN)


@dataclass
class MethodSettings:
    """What of the encoder is trained beside its linear head; settings that the method does not read stay None.

    Attributes:
        name: ``full`` (all weights), ``head`` (the encoder is frozen), ``bitfit`` (biases; 2106.10199), ``lora``
            (low-rank updates of matrices; 2106.09685), ``lp_ft`` (first the head alone, then all weights; 2202.10054)
            or ``top_layers`` (the upper blocks).
        rate_factor: Peak learning rate over ``finetuning.learning_rate``; of ``lp_ft``: while the head is alone.
        rank: Rank of the updates.
        alpha: The updates are multiplied by ``alpha / rank``.
        dropout: Dropout before the updates, in [0, 1).
        targets: Names of the modules that get updates, or ``all-linear``; None = what peft knows for the
            architecture, else ``all-linear``.
        head_epochs: Epochs with the head alone.
        head_updates: The same in updates, in place of ``head_epochs``.
        n_layers: Blocks that are trained, from the top, with the norm above them.
    """

    name: str = "full"
    rate_factor: float = 1.0
    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    targets: Any = None
    head_epochs: int | None = None
    head_updates: int | None = None
    n_layers: int | None = None

    @property
    def label(self) -> str:
        """The method in names and tables: ``full``, ``lora-r8``, ``top_layers-2``."""
        size = {"lora": f"-r{self.rank}", "top_layers": f"-{self.n_layers}"}
        return self.name + size.get(self.name, "")


def check_method(method: MethodSettings) -> None:
    """Refuse a method that there is not, and settings that are out of range, missing or of another method.

    Raises:
        ModelError: There is one.
    """
    if method.name not in _OWN:
        near = difflib.get_close_matches(method.name, METHODS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ModelError(f"method.name={method.name}: {hint}Expected one of {', '.join(METHODS)}")
    for key in dict.fromkeys(key for keys in _OWN.values() for key in keys):
        if getattr(method, key) is not None and key not in _OWN[method.name]:
            readers = [name for name, keys in _OWN.items() if key in keys]
            raise ModelError(
                f"method.{key}={getattr(method, key)}: method={method.name} does not read it; expected "
                f"method={readers[0]}, or method.{key}=null"
            )
    _check_ranges(method)


def _check_ranges(method: MethodSettings) -> None:
    needed = {"lora": ("rank", "alpha", "dropout"), "top_layers": ("n_layers",)}.get(method.name, ())
    for key in needed:
        if getattr(method, key) is None:
            raise ModelError(f"method.{key} is missing; method={method.name} needs a number")
    if method.name == "lp_ft" and method.head_epochs is None and method.head_updates is None:
        raise ModelError("method=lp_ft needs method.head_epochs or method.head_updates: how long the head is alone")
    least = {"rank": 1, "head_epochs": 1, "head_updates": 1, "n_layers": 1}
    for key, low in least.items():
        value = getattr(method, key)
        if value is not None and value < low:
            raise ModelError(f"method.{key}={value}: expected at least {low}")
    for key in ("rate_factor", "alpha"):
        value = getattr(method, key)
        if value is not None and not value > 0:
            raise ModelError(f"method.{key}={value}: expected a number above 0")
    if method.dropout is not None and not 0 <= method.dropout < 1:
        raise ModelError(f"method.dropout={method.dropout}: expected 0 to 1, without 1")
    if not (
        method.targets is None
        or (isinstance(method.targets, str) and method.targets)
        or (isinstance(method.targets, list) and method.targets and all(isinstance(one, str) for one in method.targets))
    ):
        raise ModelError(
            f"method.targets={method.targets}: expected names of modules, e.g. [query,value], all-linear, or null"
        )
