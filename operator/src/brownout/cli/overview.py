"""What `brownout status` prints: pools, the features taken from each audience and why, scalers. Pure, from typed objects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from brownout.api.policy import CellStatus, FeaturePolicySpec
from brownout.api.resources import InvalidObject, Stored

Objects = Mapping[str, Sequence[Stored[Any, Any] | InvalidObject]]
"""Objects by kind, as they are stored."""


def overview(objects: Objects) -> str:
    """Three tables, and a line for each object that is not ready."""
    ready = {kind: [o for o in found if isinstance(o, Stored)] for kind, found in objects.items()}
    parts = [
        _table(("POOL", "GPUS", "GRANTED", "FREE", "SATURATION", "LADDER", "NEXT TO GO"), map(_pool, ready["GPUPool"])),
        _table(
            ("FEATURE", "FOR", "HAS", "REASON", "SINCE", "WHY"),
            (row for policy in ready["FeaturePolicy"] for row in _policy(policy)),
        ),
        _table(
            ("SCALER", "READY", "COMING", "DESIRED", "DEMANDED", "SATURATION", "WHY"),
            map(_scaler, ready["InferenceScaler"]),
        ),
        "\n".join(_troubles(objects)),
    ]
    return "\n\n".join(part for part in parts if part)


def _pool(pool: Stored[Any, Any]) -> tuple[str, ...]:
    status = pool.status
    gpus = status.gpus
    saturation = f"{status.saturation.percent} %"
    return (
        str(pool.key),
        str(gpus.capacity),
        str(gpus.granted),
        str(gpus.free),
        saturation,
        status.ladder.position,
        status.ladder.next,
    )


def _policy(policy: Stored[Any, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each audience that has less than the first variant, or one that says that all have it."""
    spec, cells = policy.spec, policy.status.cells
    first = spec.variants[0].name
    taken = [cell for cell in cells if cell.overridden_to or (cell.variant, cell.percent) != (first, 100)]
    if not taken:
        served = "everybody it is for" if cells else "nobody yet: no decision has been made"
        yield (str(policy.key), served, spec.variants[0].name if cells else "", "", "", "")
    for cell in taken:
        audience = f"{cell.tier}/{cell.cohort}" if cell.cohort else cell.tier
        audience = f"user {cell.user} of {audience}" if cell.user else audience
        back = f"; back about {cell.expected_return}" if cell.expected_return else ""
        yield (str(policy.key), audience, _has(spec, cell), cell.reason, cell.since, cell.message + back)


def _has(spec: FeaturePolicySpec, cell: CellStatus) -> str:
    if cell.overridden_to:
        return f"{cell.overridden_to}, by override"
    names = [variant.name for variant in spec.variants]
    if cell.percent == 100 or cell.variant not in names[:-1]:
        return cell.variant
    lower = names[names.index(cell.variant) + 1]
    return f"{cell.variant} {cell.percent} %, {lower} {100 - cell.percent} %"


def _scaler(scaler: Stored[Any, Any]) -> tuple[str, ...]:
    status, replicas = scaler.status, scaler.status.replicas
    numbers = (replicas.ready, replicas.coming, replicas.desired, replicas.demanded)
    return (str(scaler.key), *map(str, numbers), f"{status.saturation_percent} %", status.summary)


def _troubles(objects: Objects) -> Iterator[str]:
    for kind, found in objects.items():
        for one in found:
            if isinstance(one, InvalidObject):
                yield one.message
                continue
            for condition in one.status.conditions:
                if (condition.type, condition.status) == ("Ready", "False"):
                    yield condition.message or f"{kind} {one.key} is not ready: {condition.reason}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = sorted(rows, key=lambda row: row[0])
    if not body:
        return ""
    widths = [max(len(row[column]) for row in (heads, *body)) for column in range(len(heads))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in (heads, *body))
    return "\n".join(line.rstrip() for line in lines)
