"""The stored objects tied together as the operator ties them: cells, their place on the ladder, and the workloads they load."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from brownout.api.policy import CellStatus, FeaturePolicySpec, FeaturePolicyStatus
from brownout.api.pool import Capacity, GPUPoolSpec, GPUPoolStatus, LabelSelector
from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus
from brownout.api.schema import Conditions
from brownout.cli.overview import Objects
from brownout.cli.standing import as_it_stands
from brownout.decide.cells import Cell, build_cells, ladder, taken
from brownout.decide.evidence import Missing
from brownout.decide.links import link
from brownout.decide.memory import CellMemory
from brownout.decide.outcome import CellKey
from brownout.decide.recall import moment, recall_cell
from brownout.decide.snapshot import Audience, Policy, Pool, Rates, Scaler, Snapshot, Workload
from brownout.flags.cells import Override, in_force

StoredPool = Stored[GPUPoolSpec, GPUPoolStatus]
StoredScaler = Stored[InferenceScalerSpec, InferenceScalerStatus]
StoredPolicy = Stored[FeaturePolicySpec, FeaturePolicyStatus]


class CellSeen(Struct, frozen=True, kw_only=True):
    """A line of a policy's status as it stands under the overrides, the cell that it speaks of, and what the operator would
    recall from what it wrote.

    `cell` is None where the line speaks of a tier or cohort that is no more. `place` is that of the cell's last rung taken on
    the ladder of all cells, cheapest first.
    """

    policy: StoredPolicy
    line: CellStatus
    memory: CellMemory
    cell: Cell | None
    place: int = 0

    @property
    def audience(self) -> Audience:
        return Audience(self.line.tier, self.line.cohort, self.line.user)

    @property
    def whole(self) -> bool:
        """Its users have the first variant, all of them."""
        line = self.line
        return not line.overridden_to and (line.variant, line.percent) == (self.policy.spec.variants[0].name, 100)


class Seen(Struct, frozen=True, kw_only=True):
    """All that status tells. `now` in Unix seconds: the moment at which it is judged what is over."""

    pools: dict[Key, StoredPool]
    scalers: dict[Key, StoredScaler]
    policies: dict[Key, StoredPolicy]
    cells: tuple[CellSeen, ...]
    unreadable: tuple[str, ...]
    now: float

    def pool_of(self, scaler: Key) -> StoredPool | None:
        """The pool whose GPUs a scaler gets."""
        stored = self.scalers.get(scaler)
        return None if stored is None else self.pools.get(Key("", stored.spec.pool_ref.name))

    def scalers_of(self, pool: Key) -> list[StoredScaler]:
        """A pool's scalers, the most important first."""
        own = [scaler for scaler in self.scalers.values() if scaler.spec.pool_ref.name == pool.name]
        return sorted(own, key=lambda scaler: (-scaler.spec.priority, scaler.key))

    def cells_of(self, pool: Key) -> list[CellSeen]:
        """The cells that a pool's scalers carry."""
        own = {scaler.key for scaler in self.scalers_of(pool)}
        return [seen for seen in self.cells if seen.cell is not None and seen.cell.scalers & own]


def see(objects: Objects, *, now: float | None = None) -> Seen:
    """Tie objects together; `now` in Unix seconds, None for the last moment that they tell of."""
    stored = {kind: {o.key: o for o in found if isinstance(o, Stored)} for kind, found in objects.items()}
    policies: dict[Key, StoredPolicy] = stored.get("FeaturePolicy", {})
    at = _last_moment(stored) if now is None else now
    words = in_force(stored["FeatureOverride"].values(), at) if "FeatureOverride" in stored else None
    cells = _with_users(build_cells(link(assumed(stored))), policies.values())
    places = {(rung.cell.key, rung.step): place for place, rung in enumerate(ladder(cells.values()), start=1)}
    return Seen(
        pools=stored.get("GPUPool", {}),
        scalers=stored.get("InferenceScaler", {}),
        policies=policies,
        cells=tuple(
            _cell(policy, line, cells, places, words, at)
            for policy in policies.values()
            for line in policy.status.cells
        ),
        unreadable=tuple(o.message for found in objects.values() for o in found if isinstance(o, InvalidObject)),
        now=at,
    )


def condition(conditions: Conditions, kind: str) -> tuple[str, str, str]:
    """A condition's status ("" where there is none), its message, and since when."""
    found = next((c for c in conditions if c.type == kind), None)
    return ("", "", "") if found is None else (found.status, found.message or found.reason, found.last_transition_time)


def troubles(conditions: Conditions) -> tuple[str, ...]:
    """What somebody has to look at: the object is not in use, or evidence about it is missing."""
    wrong = {("Ready", "False"), ("MetricsAvailable", "False"), ("Held", "True"), ("Saturated", "Unknown")}
    found = [c.message or c.reason for c in conditions if (c.type, c.status) in wrong]
    return tuple(dict.fromkeys(found))


def assumed(
    stored: Mapping[str, dict[Key, Stored[Any, Any]]],
    *,
    demand: Mapping[Key, tuple[Rates | Missing, Rates | Missing]] = {},
) -> Snapshot:
    """The objects, with one replica of each workload, and what is asked for and let through of each policy where it is known.

    Whether a pool admits a namespace its scalers' own status says; a pool that is not among the objects is taken to be there.
    """
    everybody, some = LabelSelector(), GPUPoolSpec(capacity=Capacity(gpus=1))
    pools = dict(stored.get("GPUPool", {}))
    for scaler in stored.get("InferenceScaler", {}).values():
        key = Key("", scaler.spec.pool_ref.name)
        if "GPUPool" not in stored:
            absent = Stored(key=key, uid=key.name, generation=1, created_at=0.0, spec=some, status=GPUPoolStatus())
            pools.setdefault(key, absent)
    return Snapshot(
        pools={
            key: Pool(stored=structs.replace(pool, spec=structs.replace(pool.spec, namespace_selector=everybody)))
            for key, pool in pools.items()
        },
        scalers={
            key: Scaler(stored=scaler, workload=Workload(replicas=1, gpus_per_replica=1))
            for key, scaler in stored.get("InferenceScaler", {}).items()
        },
        tiers=dict(stored.get("UserTier", {})),
        policies={
            key: Policy(stored=policy, offered=offered, admitted=admitted)
            for key, policy in stored.get("FeaturePolicy", {}).items()
            for offered, admitted in (demand.get(key, ({}, {})),)
        },
        overrides=dict(stored.get("FeatureOverride", {})),
    )


def _with_users(cells: Mapping[CellKey, Cell], policies: Iterable[StoredPolicy]) -> dict[CellKey, Cell]:
    """The cells, and beside each those users of it of whom status has a line of their own."""
    found = dict(cells)
    for policy in policies:
        for line in policy.status.cells:
            whole = cells.get(CellKey(policy.key, Audience(line.tier, line.cohort)))
            if line.user and whole is not None:
                key = CellKey(policy.key, Audience(line.tier, line.cohort, line.user))
                found[key] = structs.replace(whole, key=key, alone=True)
    return found


def _cell(
    policy: StoredPolicy,
    line: CellStatus,
    cells: Mapping[CellKey, Cell],
    places: Mapping[tuple[CellKey, int], int],
    words: Sequence[Override] | None,
    now: float,
) -> CellSeen:
    memory = recall_cell(line, [variant.name for variant in policy.spec.variants], now=now)
    line = as_it_stands(policy, line, words)
    cell = cells.get(CellKey(policy.key, Audience(line.tier, line.cohort, line.user)))
    if cell is None:
        return CellSeen(policy=policy, line=line, memory=memory, cell=None)
    down = [places[rung.cell.key, rung.step] for rung in ladder([cell]) if taken(rung, memory.level)]
    return CellSeen(policy=policy, line=line, memory=memory, cell=cell, place=max(down, default=0))


def _last_moment(stored: Mapping[str, Mapping[Key, Stored[Any, Any]]]) -> float:
    """The last moment at which something happened, as far as these statuses say. Unix seconds."""
    times: list[str] = []
    for objects in stored.values():
        for one in objects.values():
            times += [c.last_transition_time for c in one.status.conditions]
    for policy in stored.get("FeaturePolicy", {}).values():
        times += [time for line in policy.status.cells for time in (line.since, line.last_shed_at)]
    for scaler in stored.get("InferenceScaler", {}).values():
        times += [decision.at for decision in scaler.status.decisions]
    return max((at for text in times if (at := moment(text, now=float("inf"))) is not None), default=0.0)
