"""The chart's examples as objects to change: what is wrong with the result is then the one thing that was changed."""

import copy
import re
from pathlib import Path
from typing import Any

from brownout.cli.validation.manifests import read

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "charts" / "brownout" / "examples"
ENGINES = sorted((EXAMPLES / "engines").glob("*.yaml"))
SAMPLES = sorted([*EXAMPLES.glob("*.yaml"), *ENGINES, *(REPOSITORY / "demo" / "policies").glob("*.yaml")])
"""Every sample that the repository shows anybody."""


class _Absent:
    """A value of its own whose words are the same in every process: tests are named after it."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""As a value in `changed`: the field is not written."""


def objects_in(file: Path) -> list[dict[str, Any]]:
    """The objects of a manifest file."""
    return [manifest.body for manifest in read(str(file), file.read_text())]


def example(kind: str, name: str, /, **changes: Any) -> dict[str, Any]:
    """An object of the full example, changed by `changed`."""
    found = [o for o in objects_in(EXAMPLES / "full.yaml") if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return changed(found[0], changes)


def changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with fields set, by path: {"spec.tiers[0].lowest": "lite"}. An index one past the end appends."""
    body = copy.deepcopy(body)
    for path, value in changes.items():
        parts: list[Any] = [int(i) if i else name for i, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)]
        *above, last = parts
        inside: Any = body
        for part in above:
            inside = inside[part] if isinstance(part, int) else inside.setdefault(part, {})
        if value is ABSENT:
            del inside[last]
        elif isinstance(inside, list) and last == len(inside):
            inside.append(value)
        else:
            inside[last] = value
    return body
