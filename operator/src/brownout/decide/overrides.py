"""A person's word above the loop: which override is in force for which cell, until when, and what users then have."""

from collections.abc import Iterable, Mapping

from brownout.api.override import ends_at
from brownout.api.resources import Key
from brownout.decide.cells import Cell
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import StoredOverride


def served_level(cell: Cell, level: Level, override: StoredOverride | None) -> Level:
    """What users of a cell have: an override's variant, else the loop's level."""
    return level if override is None else Level(cell.variants.index(override.spec.variant))


def covers(override: StoredOverride, key: CellKey) -> bool:
    """Whether an override speaks of a cell of its policy: without cells of all, without a cohort of all of the tier."""
    cells = override.spec.cells
    return not cells or any(
        c.tier == key.audience.tier and (c.cohort is None or c.cohort == key.audience.cohort) for c in cells
    )


def in_force(
    overrides: Iterable[StoredOverride], cells: Mapping[CellKey, Cell], now: float
) -> dict[CellKey, StoredOverride]:
    """The override of each cell: the newest of those that cover it and are not over.

    A tier that the policy gives no part in the feature (`Never`) has no cell that a person could speak of.
    """
    found: dict[CellKey, StoredOverride] = {}
    standing = [o for o in overrides if now < ends_at(o.spec, created_at=o.created_at)]
    if not standing:
        return found
    by_policy: dict[Key, list[Cell]] = {}
    for cell in cells.values():
        if cell.planned:
            by_policy.setdefault(cell.key.policy, []).append(cell)
    for override in sorted(standing, key=lambda o: (o.created_at, o.key)):
        for cell in by_policy.get(Key(override.key.namespace, override.spec.policy_ref.name), ()):
            if override.spec.variant in cell.variants and covers(override, cell.key):
                found[cell.key] = override
    return found
