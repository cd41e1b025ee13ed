"""Several calls of one network made as one, row by row.

Calls go together that differ in nothing but the rows of their tensors: same shapes, same other arguments. A number that one call gives for all its rows (its
timestep) becomes a row of numbers, so that every picture stands at a time of its own. A tensor with no row for each picture (positions, say) must be equal in all.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from brownout_inference.engine.strand import Call

ALONE = ("generator",)
"""Arguments that a network may use up: a call with one is still put together with others, without it."""


@dataclass(frozen=True)
class Rows:
    """A call taken apart: `rows` of a batch, its tensors by row, and all else in `key`, which is equal for calls that go together."""

    call: Call
    rows: int
    leaves: list[Any]
    structure: Any
    key: Hashable


def take_apart(call: Call) -> Rows:
    """Looks at a call. The first tensor among its arguments has the rows, and lies where the others belong."""
    kwargs = {name: value for name, value in call.kwargs.items() if name not in ALONE}
    leaves, structure = pytree.tree_flatten((call.args, kwargs))
    first = next(leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.ndim)
    rows = first.shape[0]
    leaves = [leaf.to(first.device) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    key = (call.model, call.method, str(structure), tuple(_kind(leaf, rows) for leaf in leaves))
    return Rows(call, rows, leaves, structure, key)


def gather(calls: Sequence[Rows]) -> list[Any]:
    """The arguments of all of them, one after the other."""
    return [_gather_one(leaves, calls) for leaves in zip(*(call.leaves for call in calls), strict=True)]


def fill_up(leaves: Sequence[Any], rows: int, wanted: int) -> list[Any]:
    """Repeats the last row until there are as many as wanted."""
    return [
        torch.cat([leaf, leaf[-1:].expand(wanted - rows, *leaf.shape[1:])]) if _by_row(leaf, rows) else leaf
        for leaf in leaves
    ]


def part(leaves: Sequence[Any], rows: int, start: int, end: int) -> list[Any]:
    """Some of the rows."""
    return [leaf[start:end] if _by_row(leaf, rows) else leaf for leaf in leaves]


def put_together(leaves: Sequence[Any], structure: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments as a function takes them."""
    args, kwargs = pytree.tree_unflatten(list(leaves), structure)
    return args, kwargs


def join_answers(answers: Sequence[Any]) -> Any:
    """What several calls returned, as one that had all their rows would have."""
    flat = [pytree.tree_flatten(answer) for answer in answers]
    joined = [torch.cat(parts) for parts in zip(*(leaves for leaves, _ in flat), strict=True)]
    return pytree.tree_unflatten(joined, flat[0][1])


def share_out(answer: Any, calls: Sequence[Rows]) -> list[Any]:
    """What was returned, each call's part; rows that only filled up are nobody's."""
    leaves, structure = pytree.tree_flatten(answer)
    parts, start = [], 0
    for call in calls:
        own = [leaf[start : start + call.rows].clone() for leaf in leaves]
        parts.append(pytree.tree_unflatten(own, structure))
        start += call.rows
    return parts


def _by_row(leaf: Any, rows: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and leaf.shape[0] == rows


def _kind(leaf: Any, rows: int) -> Hashable:
    if not isinstance(leaf, Tensor):
        return leaf if isinstance(leaf, Hashable) else id(leaf)
    if leaf.ndim == 0:
        return "number", leaf.dtype
    if leaf.shape[0] == rows:
        return "rows", leaf.shape[1:], leaf.dtype
    return "shared", leaf.shape, leaf.dtype, leaf.double().cpu().numpy().tobytes()


def _gather_one(leaves: Sequence[Any], calls: Sequence[Rows]) -> Any:
    first = leaves[0]
    if not isinstance(first, Tensor) or not (first.ndim == 0 or _by_row(first, calls[0].rows)):
        return first
    spread = [leaf.expand(call.rows) if leaf.ndim == 0 else leaf for leaf, call in zip(leaves, calls, strict=True)]
    return torch.cat(spread) if len(spread) > 1 else spread[0]
