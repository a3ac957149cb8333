"""Where a weight stands in an encoder, read from its name: its block, its kind, its role.

Layers of closerlook are hidden states: 0 = embeddings, L = output of block L. Blocks are counted the same way, so that
the change of the weights of block L stands beside the change of the space of layer L.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["attention", "mlp", "norms", "embeddings", "biases", "other"]
KINDS: tuple[Kind, ...] = ("attention", "mlp", "norms", "embeddings", "biases", "other")
"""Every kind, in the order of tables."""


@dataclass(frozen=True)
class WeightPlace:
    """Where a weight stands.

    Attributes:
        block: 0 = embeddings and all that stands before the blocks or is shared by them, L = block L, counted from 1.
        kind: What it is a part of. Norms have their biases with them; ``biases`` are those of linear maps.
        role: Its name within the block and kind: ``query``, ``up``, or what the model calls it.
        above: It stands after the last block (a final norm): ``block`` is the last one, whose layer it changes.
    """

    block: int
    kind: Kind
    role: str
    above: bool = False

    @property
    def label(self) -> str:
        """What stands in results: ``attention.query``; norms and biases of a block count as one."""
        return self.kind if self.kind in ("norms", "biases") else f"{self.kind}.{self.role}"


class _Part(NamedTuple):
    """A name taken apart: the blocks' stack (empty outside blocks), the block's indices in it, the rest."""

    stack: str
    indices: tuple[int, ...]
    rest: str


_IN_BLOCK = re.compile(
    r"^(?P<stack>(?:.*?\.)??(?:layers?|h|blocks?|albert_layer_groups))\.(?P<first>\d+)(?:\.(?P<second>\d+))?\.(?P<rest>.+)$"
)
_NORM = re.compile(r"norm|^ln_|\.ln_|^ln\.|\.ln\.", re.IGNORECASE)
_BIAS = re.compile(r"bias$", re.IGNORECASE)
_EMBEDDING = re.compile(r"emb|^wte\.|^wpe\.|\.wte\.|\.wpe\.|^shared\.|\.shared\.")
_ATTENTION = re.compile(r"att|(^|\.)(q|k|v|o)_proj\.|query|fourier", re.IGNORECASE)
_MLP = re.compile(
    r"mlp|ffn|(^|\.)ff\.|feed_?forward|intermediate|DenseReluDense|(^|\.)fc\d|experts|(^|\.)output\.(dense|conv1d)\.",
    re.IGNORECASE,
)
_NEEDLESS = re.compile(r"^((encoder|decoder|embeddings|attention|attn|self|self_attn|rel_attn|layer|\d+)\.)+")
"""What a role goes without: the kind says it."""
_ABOVE = re.compile(r"pooler|project_out|(^|\.)head\.")

_ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    "attention": (
        ("query+key+value", r"c_attn|Wqkv|query_key_value|qkv_proj|qkv|in_proj"),
        ("query", r"query|q_proj|q_lin|query_proj|q_head|q"),
        ("key", r"key|k_proj|k_lin|key_proj|k_head|k"),
        ("value", r"value|v_proj|v_lin|value_proj|v_head|v"),
        ("output", r"out_lin|o_proj|out_proj|c_proj|Wo|post_proj|post_attention\.conv1d|output\.dense|dense|o"),
    ),
    "mlp": (
        ("gate+up", r"Wi|gate_up_proj"),
        ("gate", r"gate_proj|wi_0"),
        (
            "up",
            r"intermediate\.(dense|conv1d)|lin1|fc1|up_proj|wi|wi_1|c_fc|dense_h_to_4h|ffn|layer_1|linear_1",
        ),
        (
            "down",
            r"output\.dense|output\.conv1d|lin2|fc2|down_proj|wo|Wo|c_proj|dense_4h_to_h|ffn_output|layer_2|linear_2",
        ),
    ),
}
"""By kind, the roles, and what models call them: the end of the name, without ``.weight``."""


def weight_places(names: Iterable[str]) -> dict[str, WeightPlace]:
    """The place of every weight of an encoder.

    Args:
        names: Names of all its parameters, as ``transformers`` has them. Of an encoder with a decoder, the decoder's
            blocks are counted on after the encoder's.

    Returns:
        By name, in the order given. No weight is left out: what no rule knows is ``other``, with the model's own name
        as its role. Within a block no two weights but norms and biases have one label.
    """
    parts = {name: _part(name) for name in names}
    numbers = _numbers(parts.values())
    last = max(numbers.values(), default=0)
    places = {name: _place(part, numbers, last) for name, part in parts.items()}
    return _distinct(places, parts)


def _part(name: str) -> _Part:
    found = _IN_BLOCK.match(name)
    if found is None:
        return _Part("", (), name)
    # T5's block.0.layer.1 numbers sublayers, which is in the rest; Funnel's blocks.0.1 and ALBERT's groups come in twos
    indices = tuple(int(one) for one in (found["first"], found["second"]) if one is not None)
    return _Part(found["stack"], indices, found["rest"])


def _numbers(parts: Iterable[_Part]) -> dict[tuple[str, tuple[int, ...]], int]:
    """Blocks counted from 1, stack after stack in order of appearance."""
    stacks: dict[str, set[tuple[int, ...]]] = {}
    for part in parts:
        if part.stack:
            stacks.setdefault(part.stack, set()).add(part.indices)
    blocks = [(stack, indices) for stack, found in stacks.items() for indices in sorted(found)]
    return {block: number for number, block in enumerate(blocks, start=1)}


def _place(part: _Part, numbers: dict[tuple[str, tuple[int, ...]], int], last: int) -> WeightPlace:
    kind = _kind(part)
    role = _role(kind, part.rest)
    if part.stack:
        return WeightPlace(numbers[part.stack, part.indices], kind, role)
    above = bool(_ABOVE.search(part.rest)) or (kind == "norms" and not _EMBEDDING.search(part.rest))
    return WeightPlace(last if above else 0, kind, role, above)


def _kind(part: _Part) -> Kind:
    name = part.rest
    if _NORM.search(name):
        return "norms"
    if _BIAS.search(name):
        return "biases"
    if _ABOVE.search(name) and not part.stack:
        return "other"
    if _ATTENTION.search(name):
        return "attention"
    if not part.stack and (_EMBEDDING.search(name) or "project_in" in name):
        return "embeddings"
    return "mlp" if _MLP.search(name) else "other"


def _role(kind: Kind, rest: str) -> str:
    short = rest.removesuffix(".weight")
    for role, pattern in _ROLES.get(kind, ()):
        if re.search(rf"(^|\.)({pattern})$", short):
            return role
    return _NEEDLESS.sub("", short)


def _distinct(places: dict[str, WeightPlace], parts: dict[str, _Part]) -> dict[str, WeightPlace]:
    """Where two weights of a block would have one label (Luke's four queries), the model's own names."""
    shared = ("norms", "biases")
    found = Counter((one.block, one.label) for one in places.values() if one.kind not in shared)
    return {
        name: replace(one, role=parts[name].rest.removesuffix(".weight")) if found[one.block, one.label] > 1 else one
        for name, one in places.items()
    }
