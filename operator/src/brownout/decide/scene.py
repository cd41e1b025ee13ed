"""The snapshot as one picture: cells with their memory, what users have now, and what they ask for."""

from collections.abc import Mapping
from math import exp, sqrt

from msgspec import Struct, structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.carry import unreadable
from brownout.decide.cells import FIRST, Cell, build_cells, clamp
from brownout.decide.demand import NOISE_Z, RATE_WINDOW_SECONDS, rate_of
from brownout.decide.evidence import Missing, Sample
from brownout.decide.links import Links, link
from brownout.decide.memory import CellMemory, Memory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.overrides import in_force, served_level
from brownout.decide.recall import place_on_ladder
from brownout.decide.restore import remembered_rate
from brownout.decide.snapshot import Policy, Snapshot, StoredOverride

MEAN_SECONDS = 60.0
"""Time constant of a cell's mean rate."""

RATE_STALE_SECONDS = 60.0
"""A demand sample older than this is missing."""


class Scene(Struct, frozen=True, kw_only=True):
    """What the rules look at. By cell: `memory`; `before`, the level of the last tick, as its variants are named now;
    `served`, the level that users have (overrides included); `seen`, requests a second now; `asked`, what all of
    its users would ask for; `stale`, why its demand is not known. By namespace: `unreadable`, objects whose demand is not
    known because they cannot be read.
    """

    snapshot: Snapshot
    links: Links
    now: float
    cells: Mapping[CellKey, Cell]
    by_scaler: Mapping[Key, list[Cell]]
    policies: Mapping[Key, Policy]
    before: Mapping[CellKey, Level]
    memory: dict[CellKey, CellMemory]
    served: Mapping[CellKey, Level]
    seen: Mapping[CellKey, float | None]
    asked: Mapping[CellKey, float | None]
    stale: Mapping[CellKey, str]
    overridden: Mapping[CellKey, StoredOverride]
    unreadable: Mapping[str, tuple[str, ...]]

    def restore_rate(self, cell: Cell) -> float | None:
        """What a cell would bring, for the gate: its mean over a minute, its lower bound now, or what it asked before."""
        memory, seen = self.memory[cell.key], self.seen[cell.key]
        remember = self.policies[cell.key.policy].stored.spec.demand.remember_seconds
        rates = [remembered_rate(memory, None, now=self.now, remember_seconds=remember)]
        if seen is not None:
            rates += [memory.mean_rate, max(0.0, seen - NOISE_Z * sqrt(seen / RATE_WINDOW_SECONDS))]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known else None

    def now_at(self, levels: Mapping[CellKey, CellMemory]) -> "Scene":
        """The same moment after these cells have moved."""
        served = {
            key: served_level(self.cells[key], memory.level, self.overridden.get(key)) for key, memory in levels.items()
        }
        return structs.replace(self, memory={**self.memory, **levels}, served={**self.served, **served})


def look(snapshot: Snapshot, memory: Memory, *, now: float) -> Scene:
    """Tie the snapshot together with what is remembered of each cell."""
    links = link(snapshot)
    cells = build_cells(links)
    policies = {p.stored.key: p for p in links.usable_policies}
    elapsed = 0.0 if memory.at is None else max(0.0, now - memory.at)

    remembered: dict[CellKey, CellMemory] = {}
    seen: dict[CellKey, float | None] = {}
    asked: dict[CellKey, float | None] = {}
    stale: dict[CellKey, str] = {}
    by_scaler: dict[Key, list[Cell]] = {}
    for key, cell in cells.items():
        policy = policies[key.policy]
        found = rate_of(policy, cell, now=now, within_seconds=RATE_STALE_SECONDS)
        if isinstance(found, Missing):
            stale[key] = found.message
        seen[key] = found.value if isinstance(found, Sample) else None
        old = memory.cells.get(key) or _without_memory(cell, cells, memory, now)
        remembered[key] = _allowed(_mean(old, seen[key], elapsed=elapsed), cell, now)
        asked[key] = remembered_rate(
            remembered[key], seen[key], now=now, remember_seconds=policy.stored.spec.demand.remember_seconds
        )
        for scaler in cell.scalers:
            by_scaler.setdefault(scaler, []).append(cell)
    overridden = in_force(snapshot.overrides.values(), cells, now)
    return Scene(
        snapshot=snapshot,
        links=links,
        now=now,
        cells=cells,
        by_scaler=by_scaler,
        policies=policies,
        before={key: memory.cells[key].level if key in memory.cells else FIRST for key in cells},
        memory=remembered,
        served={key: served_level(cell, remembered[key].level, overridden.get(key)) for key, cell in cells.items()},
        seen=seen,
        asked=asked,
        stale=stale,
        overridden=overridden,
        unreadable=unreadable(snapshot, memory),
    )


def _without_memory(cell: Cell, cells: dict[CellKey, Cell], memory: Memory, now: float) -> CellMemory:
    """A new cell, or one that has lost its memory: the first variant, or its place on a ladder that is in use."""
    level = place_on_ladder(cell, cells, memory.cells)
    if level == FIRST:
        return CellMemory(since=now)
    return CellMemory(
        level=level,
        reason=Reason.RECOVERED_MEMORY,
        message="nothing was remembered of it while others are shed; it took its place on the ladder",
        since=now,
        last_shed_at=now,
        last_step_at=now,
        direction="Shed",
    )


def _allowed(memory: CellMemory, cell: Cell, now: float) -> CellMemory:
    """The memory on a level that the policy allows, which somebody may have edited since."""
    level = clamp(memory.level, cell)
    if level == memory.level:
        return memory
    if level == FIRST:
        return structs.replace(memory, level=level, reason=Reason.SERVED, message="", since=now, shed_rate=None)
    return structs.replace(memory, level=level, since=now)


def _mean(memory: CellMemory, seen: float | None, *, elapsed: float) -> CellMemory:
    if seen is None:
        return memory
    if memory.mean_rate is None:
        return structs.replace(memory, mean_rate=seen)
    weight = 1.0 - exp(-elapsed / MEAN_SECONDS)
    return structs.replace(memory, mean_rate=memory.mean_rate + weight * (seen - memory.mean_rate))
