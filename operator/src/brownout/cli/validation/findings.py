"""What was found wrong: where, and what to write instead."""

import difflib
import json
from collections.abc import Iterable
from typing import Literal, NamedTuple

Path = tuple[str | int, ...]
"""A field within an object: ("spec", "tiers", 0, "lowest")."""


class Problem(NamedTuple):
    """Something wrong in one object; `path` is where, `message` what was found and what to write.

    `reason`: of a warning, the name of what was looked for, by which it can be looked up.
    """

    path: Path
    message: str
    severity: Literal["error", "warning"] = "error"
    reason: str = ""


def dotted(path: Path) -> str:
    """A path as Kubernetes writes it: spec.tiers[0].lowest."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value as it stands in a sentence: JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """What to write instead of a name that is not there: the nearest, or all of them."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"write {close[0]}"
    folded = {other.casefold(): other for other in names}
    if name.casefold() in folded:
        return f"write {folded[name.casefold()]}"
    return f"write one of {', '.join(names)}" if names else "remove it"
