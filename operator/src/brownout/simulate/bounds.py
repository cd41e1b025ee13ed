"""What the oracles are told of a scenario, and what they say of it.

They are given the mean demand, not one seed's users: their bounds belong to a scenario, and are the same for all of its seeds.
"""

import numpy as np
from msgspec import Struct

from brownout.decide.cells import ladder
from brownout.decide.outcome import CellKey
from brownout.simulate.buckets import late_ticks
from brownout.simulate.oracles import Truth, fluid, foresight, on_the_ladder
from brownout.simulate.record import Ints
from brownout.simulate.run import Prepared
from brownout.simulate.worth import weight

FLUID, FORESIGHT, ON_THE_LADDER = "o1", "o2", "o2l"


class Bounds(Struct, frozen=True, kw_only=True):
    """V of O1, O2 and O2L by name, and in how many episodes O2 sheds each cell."""

    values: dict[str, float]
    sheds: dict[CellKey, int]


def bounds_of(prepared: Prepared) -> Bounds:
    """All three oracles of a scenario; ScenarioError where a tier has no weight."""
    truth = truth_of(prepared)
    best = foresight(truth)
    return Bounds(
        values={
            FLUID: fluid(truth).value,
            FORESIGHT: best.value,
            ON_THE_LADDER: on_the_ladder(truth).value,
        },
        sheds=dict(zip(prepared.layout.keys, best.episodes.tolist(), strict=True)),
    )


def truth_of(prepared: Prepared) -> Truth:
    """A scenario as the oracles know it. Cells that a policy never gives are worth nothing to them, as to everybody.

    It ends where the last request can be judged, as V does.
    """
    scenario, layout, manifests = prepared.scenario, prepared.layout, prepared.manifests
    weights = np.array([weight(scenario, cell) if cell.planned else 0.0 for cell in layout.cells])
    specs = [manifests.scaler(name).spec for name in layout.workloads]
    worlds = [scenario.workloads[name] for name in layout.workloads]
    starts = [
        spec.min_replicas if world.start_replicas is None else world.start_replicas
        for spec, world in zip(specs, worlds, strict=True)
    ]
    judged = max(1, len(prepared.demand) - late_ticks(scenario))
    return Truth(
        tick_seconds=scenario.tick_seconds,
        demand=prepared.demand[:judged],
        cost=layout.costs,
        worth=layout.quality * weights[:, None],
        lowest=layout.floor,
        always=np.array([cell.always for cell in layout.cells]),
        ladder=tuple((layout.index[rung.cell.key], rung.step) for rung in ladder(layout.cells)),
        gpus=gpus_by_tick(prepared)[:judged],
        gpus_per_replica=layout.gpus,
        min_replicas=np.array([spec.min_replicas for spec in specs], dtype=np.int64),
        max_replicas=np.array([spec.max_replicas for spec in specs], dtype=np.int64),
        start_replicas=np.array(starts, dtype=np.int64),
        cold_start_seconds=np.array([world.cold_start_seconds for world in worlds]),
    )


def gpus_by_tick(prepared: Prepared) -> Ints:
    """GPUs of the pool in each tick, as nodes are lost and come."""
    scenario, layout = prepared.scenario, prepared.layout
    nodes = np.full(layout.ticks, scenario.pool.nodes, dtype=np.int64)
    for event in scenario.events:
        nodes[int(event.at / scenario.tick_seconds + 0.999999) :] += event.nodes
    return np.maximum(0, nodes) * scenario.pool.gpus_per_node
