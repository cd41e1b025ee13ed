"""The scenario that readings make: what they say of the world, and what has to be assumed where they are silent.

Every assumption is a sentence that goes into the scenario's file, so that whoever reads a result can doubt it, and mend it there.
"""

from typing import Any

import numpy as np
from msgspec import Struct

from brownout.api.resources import Key
from brownout.decide.cells import Cell
from brownout.decide.outcome import CellKey
from brownout.decide.snapshot import Audience
from brownout.simulate.manifests import Manifests
from brownout.simulate.past.history import Span
from brownout.simulate.past.notes import Notes
from brownout.simulate.past.readings import Readings, filled
from brownout.simulate.past.workloads import WHOLE_SHARE, workload
from brownout.simulate.record import Floats
from brownout.simulate.scenario import ScenarioError

WORTH_OF_NEXT_TIER = 3.0
ASKS_OF_A_USER = 5
NODE_GPUS = 8

Body = dict[str, Any]


class World(Struct, frozen=True, kw_only=True):
    """The scenario's fields as they are written, rates by the name of the CSV file, and sentences about where it comes from."""

    fields: Body
    rates: dict[str, Floats]
    known: tuple[str, ...]
    unknown: tuple[str, ...]


def world(manifests: Manifests, readings: Readings, span: Span, *, name: str, summary: str) -> World:
    """What is to be simulated. ScenarioError where nobody asked for anything, or the size of the pool is nowhere to be had."""
    notes = Notes()
    rates, demand = _demand(manifests, readings, span, notes)
    workloads = {key.name: workload(manifests, key, readings, notes) for key in sorted(manifests.scalers)}
    pool = _pool(manifests, readings, notes)
    tiers = sorted(manifests.tiers.values(), key=lambda tier: (tier.spec.priority, tier.key.name))
    lowest = tiers[0].spec.priority
    paying = [tier.key.name for tier in reversed(tiers) if tier.spec.priority > lowest] or [tiers[-1].key.name]
    worth = sorted({tier.spec.priority for tier in tiers})
    fields: Body = {
        "name": name,
        "summary": summary,
        "manifests": "manifests",
        "namespace": next(iter(manifests.namespaces)),
        "seconds": span.seconds,
        "tickSeconds": 5 if span.seconds <= 6 * 3600 else 10 if span.seconds <= 86400 else 15,
        "pool": pool,
        "workloads": workloads,
        "demand": demand,
        "weights": {
            "tiers": {t.key.name: WORTH_OF_NEXT_TIER ** worth.index(t.spec.priority) for t in reversed(tiers)},
            "features": {key.name: _first_cost(manifests, key) for key in sorted(manifests.policies)},
        },
        "paying": paying,
    }
    notes.unknown += _always_unknown(paying)
    return World(fields=fields, rates=rates, known=tuple(notes.known), unknown=tuple(notes.unknown))


def _demand(manifests: Manifests, readings: Readings, span: Span, notes: Notes) -> tuple[dict[str, Floats], list[Body]]:
    """A stream for each cell of which a rate is known."""
    rates: dict[str, Floats] = {}
    streams: list[Body] = []
    moments = gaps = 0
    for policy, by_audience in sorted(readings.offered.items()):
        for audience, values in sorted(by_audience.items()):
            if CellKey(policy, audience) not in manifests.cells:
                if np.nan_to_num(values).any():
                    notes.unknown.append(
                        f"{policy.name}: {_who(audience)} is no tier or cohort of the manifests: left out."
                    )
                continue
            whole, gap = filled(values)
            moments, gaps = moments + span.count, gaps + gap
            file = "-".join(filter(None, (policy.name, audience.tier, audience.cohort))) + ".csv"
            rates[file] = whole
            asks = float(whole.mean()) * span.seconds
            stream: Body = {"feature": policy.name, "tier": audience.tier, "cohort": audience.cohort}
            stream |= {"users": int(min(1e5, max(10, asks / ASKS_OF_A_USER)))}
            stream["rate"] = {"trace": {"file": file, "secondsColumn": "seconds", "rateColumn": "requests_per_second"}}
            streams.append({field: value for field, value in stream.items() if value != ""})
        silent = [
            _who(key.audience)
            for key in sorted(manifests.cells)
            if key.policy == policy and key.audience not in by_audience
        ]
        if silent:
            notes.unknown.append(f"{policy.name}: there is no series of {', '.join(silent)}: taken as nobody asking.")
    if not any(values.any() for values in rates.values()):
        raise ScenarioError(
            "nobody asked for anything in this time: all offered rates are 0; look at another with --last"
        )
    notes.known.append(
        f"What was offered: {len(rates)} series, every {span.step:g} s; {100 * gaps / max(1, moments):.1f} % of their "
        "moments had no data, and are drawn straight between the others."
    )
    notes.unknown.append(_hidden(readings))
    return rates, streams


def _who(audience: Audience) -> str:
    return f"{audience.tier}/{audience.cohort}" if audience.cohort else audience.tier


def _hidden(readings: Readings) -> str:
    """What shedding hid: only its shadow can be seen."""
    offered = sum(float(np.nansum(v)) for rates in readings.offered.values() for v in rates.values())
    admitted = sum(float(np.nansum(v)) for rates in readings.admitted.values() for v in rates.values())
    if any(policy not in readings.admitted for policy in readings.offered):
        return "Hidden demand: whose button was hidden did not ask; what was let through is not exported, so how much is missing cannot be said."
    if admitted < WHOLE_SHARE * offered:
        return (
            f"Hidden demand: {100 * (1 - admitted / offered):.1f} % of what was offered was not let through. Users who were "
            "refused asked less, or again: what all would have asked for on a quiet day is more, or less, than this."
        )
    return "Hidden demand: almost all that was offered was let through, but whose button was hidden did not ask."


def _pool(manifests: Manifests, readings: Readings, notes: Notes) -> Body:
    """Nodes and GPUs of each."""
    least = max((spec.gpus_per_replica or 1 for spec in (s.spec for s in manifests.scalers.values())), default=1)
    declared = manifests.pool.spec.capacity.gpus
    if readings.gpus is not None:
        gpus, how = int(np.nanmedian(readings.gpus)), "as the operator had it, in the median"
    elif readings.nodes:
        gpus, how = sum(readings.nodes), "of all nodes that have any, by kube-state-metrics"
    elif declared is not None:
        gpus, how = declared, "as its spec.capacity.gpus has it"
    else:
        raise ScenarioError(
            f"GPUPool {manifests.pool.key.name}: how many GPUs there were is not known: neither brownout_pool_gpus nor "
            "kube_node_status_allocatable came back; write capacity.gpus into its manifest under --manifests"
        )
    if declared is not None:
        gpus = min(gpus, declared)
    size = max(readings.nodes, default=NODE_GPUS)
    while size > least and gpus % size:
        size -= 1
    size = max(size, least)
    notes.known.append(f"The pool: {gpus} GPUs, {how}.")
    notes.unknown.append(
        f"Nodes: taken as {max(1, gpus // size)} of {size} GPUs; that some were lost or came meanwhile is not replayed."
    )
    return {"nodes": max(1, gpus // size), "gpusPerNode": size}


def _first_cost(manifests: Manifests, policy: Key) -> float:
    """GPU-seconds of the best variant: so that a GPU-second is worth as much in one feature as in another."""
    cell: Cell | None = next((c for c in manifests.cells.values() if c.key.policy == policy), None)
    return round(sum(cell.costs[0].values()), 4) or 1.0 if cell else 1.0


def _always_unknown(paying: list[str]) -> list[str]:
    return [
        "Users: how many there are, how patient, and whether a refused ask comes again. What was offered counts retries as asks, "
        "and the simulated users retry once more; set users.retryShare to 0 if yours retried a lot.",
        f"Worth: taken as three times that of the tier below, and the same for a GPU-second in every feature; {', '.join(paying)} "
        "as paying. Write your own into weights and paying.",
        "Sizes of requests, batches and how servers order them are the simulator's, as are cold starts but for the declared mean.",
    ]
