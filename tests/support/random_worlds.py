"""Random pools, scalers, policies and memories: what hypothesis draws for the laws of the decisions."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from brownout.api.pool import ReclaimSettings
from brownout.api.scaler import Behavior, ScalingRules
from brownout.decide.cells import FIRST, Cell, build_cells
from brownout.decide.evidence import Missing
from brownout.decide.links import link
from brownout.decide.memory import CellMemory, Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot
from support.build import GONE, NAMESPACE, NOW, override, policy, pool, scaler, snapshot

SCALERS = ("one", "two", "three")
AUDIENCES = ("pro", "plus", "free", "free/new-accounts")
small = st.floats(0.0, 12.0, allow_nan=False)
remembered_rates = st.integers(0, 1200).map(lambda hundredths: hundredths / 100)
"""As status holds them: what is less than that is forgotten by a restart."""


@st.composite
def scalers(draw: st.DrawFn, name: str, *, seen: bool = False) -> Scaler:
    replicas = draw(st.integers(0, 6))
    evidence: st.SearchStrategy[Any] = (
        st.one_of(st.none(), st.floats(0.0, 80.0))
        if seen
        else st.one_of(st.none(), st.just(GONE), st.floats(0.0, 80.0))
    )
    behavior = Behavior(scale_down=ScalingRules(stabilization_window_seconds=draw(st.sampled_from([0, 0, 300]))))
    return scaler(
        name,
        replicas=replicas,
        ready=draw(st.integers(0, replicas)),
        gpus=draw(st.sampled_from([1, 1, 2])),
        priority=draw(st.integers(0, 3)) * 10,
        least=draw(st.integers(0, 2)),
        most=draw(st.integers(2, 10)),
        mode=draw(st.sampled_from(["Auto", "Auto", "Auto", "Advise", "Paused"])),
        pool_name=draw(st.sampled_from(["gpus", "gpus", "others"])),
        backlog=draw(evidence),
        objective=draw(evidence),
        load=draw(evidence),
        behavior=behavior,
        order=draw(st.sampled_from(["Tiered", "FIFO"])),
    )


@st.composite
def policies(draw: st.DrawFn, name: str, *, seen: bool = False, on: tuple[str, ...] = SCALERS) -> Policy:
    names = draw(st.sampled_from([("full", "denied"), ("full", "lite", "denied"), ("full", "lite", "least", "denied")]))
    cost = st.floats(0.05, 4.0)
    variants = {
        variant: draw(st.dictionaries(st.sampled_from(on), cost, min_size=1, max_size=2)) for variant in names[:-1]
    } | {names[-1]: {}}
    rates: Mapping[str, float] | Missing = draw(st.dictionaries(st.sampled_from(AUDIENCES), small, min_size=1))
    if not seen and draw(st.integers(0, 5)) == 0:
        rates = GONE
    return policy(
        name,
        variants=variants,
        tiers={
            tier: draw(st.sampled_from(["Always", "Auto", "Auto", "Auto", "Never", *names]))
            for tier in ("pro", "plus", "free")
        },
        offered=rates,
        shed_order=draw(st.integers(0, 3)),
        mode=draw(st.sampled_from(["Auto", "Auto", "Auto", "Auto", "Advise", "Paused"])),
        at=NOW - draw(st.sampled_from([0.0, 0.0, 0.0, 90.0])) if not seen else NOW,
    )


@st.composite
def pools(draw: st.DrawFn, name: str, *, seen: bool = False) -> Pool:
    """Of a number, of nodes, of quotas, or of what is least of them; others use some; what was to be read may be missing."""
    gone = [] if seen else [GONE]
    found = pool(
        draw(st.integers(0, 14)),
        name=name,
        nodes=draw(st.one_of(st.none(), st.lists(st.integers(1, 6), max_size=4), *map(st.just, gone))),
        quotas=draw(st.one_of(st.none(), st.fixed_dictionaries({NAMESPACE: st.integers(0, 14)}), *map(st.just, gone))),
        step_seconds=0,
        reclaim=ReclaimSettings(after_seconds=draw(st.sampled_from([0, 60]))),
    )
    others = draw(st.sampled_from([0, 0, 1, 3]))
    nodes, quotas = found.nodes, found.quotas
    if isinstance(nodes, tuple):
        nodes = tuple(structs.replace(node, gpus_of_others=others) for node in nodes)
    if isinstance(quotas, tuple):
        quotas = tuple(structs.replace(quota, gpus_of_others=others) for quota in quotas)
    return structs.replace(found, nodes=nodes, quotas=quotas)


@st.composite
def snapshots(draw: st.DrawFn, *, seen: bool | None = None, on: tuple[str, ...] = SCALERS) -> Snapshot:
    """Two pools, up to three scalers, up to three policies; some of it missing in every other one, unless all is `seen`."""
    seen = draw(st.booleans()) if seen is None else seen
    things: list[Any] = [draw(pools("gpus", seen=seen)), draw(pools("others", seen=seen))]
    things += [draw(scalers(name, seen=seen)) for name in on]
    things += [draw(policies(name, seen=seen, on=on)) for name in ("a", "b", "c")[: draw(st.integers(1, 3))]]
    if draw(st.booleans()):
        things.append(override(of="a", variant="denied", cells=draw(st.sampled_from([[], ["free"], ["plus"]]))))
    return snapshot(*things)


@st.composite
def memories(draw: st.DrawFn, seen: Snapshot) -> Memory:
    """What may be remembered of this snapshot: any level that a policy allows, at any age; or allowed before it was edited."""
    cells = {}
    for key, cell in build_cells(link(seen)).items():
        if draw(st.integers(0, 3)) == 0:
            continue
        last = len(cell.variants) - 1
        lowest = last if draw(st.integers(0, 7)) == 0 else cell.lowest
        level = Level(draw(st.integers(0, lowest)), draw(st.sampled_from([100, 100, 5, 40, 95])))
        if level.variant == lowest:
            level = Level(lowest)
        ago = draw(st.sampled_from([1.0, 100.0, 1000.0, 5000.0]))
        cells[key] = CellMemory(
            level=level if cell.mode != "Advise" and cell.planned else FIRST,
            since=NOW - ago,
            last_shed_at=NOW - ago if level != FIRST else None,
            last_step_at=NOW - ago,
            direction=draw(st.sampled_from(["", "Shed", "Restore"])),
            shed_rate=draw(st.none() | remembered_rates),
            shed_rate_at=NOW - ago,
        )
    full = ScalerMemory(saturated=True, saturated_since=NOW - 60, excess=3.0, deficit_since=NOW - 100)
    return Memory(
        at=NOW - 2,
        cells=cells,
        served={key: memory.level for key, memory in cells.items()},
        scalers={key: draw(st.sampled_from([ScalerMemory(), full])) for key in seen.scalers},
        pools={key: PoolMemory() for key in seen.pools},
    )


worlds = st.shared(snapshots(), key="world")
with_memories = worlds.flatmap(memories)
seen_worlds = st.shared(snapshots(seen=True), key="seen")
with_seen_memories = seen_worlds.flatmap(memories)


def cells_of(seen: Snapshot) -> dict[CellKey, Cell]:
    """Every cell that the policies of a snapshot have."""
    return build_cells(link(seen))
