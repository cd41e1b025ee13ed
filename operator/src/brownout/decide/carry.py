"""What of the memory outlives a change of the objects: an edited policy, and an object that cannot be read for a while.

A level counts variants, so where a policy's variants are edited it is found again by name. What is remembered of an object
that cannot be read is kept until it can be: the shed cell that comes back with it is still shed.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import structs

from brownout.api.resources import Key
from brownout.decide.cells import FIRST
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Policy, Snapshot

K = TypeVar("K")
V = TypeVar("V")


def by_name(memory: Memory, policies: Mapping[Key, Policy]) -> Memory:
    """The memory with every level on the variant of the same name as before; on the last one where that is gone and was not the best."""
    edited: dict[Key, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for key, policy in policies.items():
        names = variant_names(policy)
        before = memory.variants.get(key, names)
        if before != names:
            edited[key] = (before, names)
    if not edited:
        return memory

    def found(key: CellKey, level: Level) -> Level:
        return moved(level, *edited[key.policy]) if key.policy in edited else level

    return structs.replace(
        memory,
        cells={key: structs.replace(cell, level=found(key, cell.level)) for key, cell in memory.cells.items()},
        served={key: found(key, level) for key, level in memory.served.items()},
    )


def variant_names(policy: Policy) -> tuple[str, ...]:
    return tuple([variant.name for variant in policy.stored.spec.variants])


def moved(level: Level, before: tuple[str, ...], names: tuple[str, ...]) -> Level:
    """A level of the variants `before` among `names`: what is not known is not given away, and a new name takes nothing."""
    name = before[level.variant] if level.variant < len(before) else ""
    last = len(names) - 1
    if name not in names:
        return level if level == FIRST else Level(last)
    variant = names.index(name)
    return Level(variant, 100 if variant == last else level.percent)


def unreadable(snapshot: Snapshot, memory: Memory) -> dict[str, tuple[str, ...]]:
    """By namespace: objects that had cells and cannot be read now. What they ask for is not known, and is not nothing."""
    if not snapshot.invalid:
        return {}
    policies = {key.policy for key in memory.cells}
    tiers = {Key(key.policy.namespace, key.audience.tier) for key in memory.cells}
    known = {"FeaturePolicy": policies, "UserTier": tiers}
    found: dict[str, list[str]] = {}
    for kind, invalid in snapshot.invalid:
        if invalid.key in known.get(kind, ()):
            found.setdefault(invalid.key.namespace, []).append(invalid.message)
    return {namespace: tuple(sorted(messages)) for namespace, messages in found.items()}


def kept(new: Memory, old: Memory, snapshot: Snapshot) -> Memory:
    """`new` with what `old` held of objects that are still there, and of which this tick could say nothing."""
    invalid = {(kind, one.key) for kind, one in snapshot.invalid}

    def policy(key: Key) -> bool:
        return ("FeaturePolicy", key) in invalid

    def cell(key: CellKey) -> bool:
        return policy(key.policy) or ("UserTier", Key(key.policy.namespace, key.audience.tier)) in invalid

    def scaler(key: Key) -> bool:
        return key in snapshot.scalers or ("InferenceScaler", key) in invalid

    cells = _with(new.cells, old.cells, cell)
    with_cells = {key.policy for key in cells}  # a level says nothing without the names that it counts
    return structs.replace(
        new,
        cells=cells,
        served=_with(new.served, old.served, cell),
        scalers=_with(new.scalers, old.scalers, scaler),
        pools=_with(new.pools, old.pools, lambda key: ("GPUPool", key) in invalid),
        versions=_with(new.versions, old.versions, policy),
        variants=_with(new.variants, old.variants, with_cells.__contains__),
    )


def _with(new: Mapping[K, V], old: Mapping[K, V], stays: Callable[[K], bool]) -> dict[K, V]:
    if old.keys() <= new.keys():
        return dict(new)
    lost = {key: value for key, value in old.items() if key not in new and stays(key)}
    return {**lost, **new}
