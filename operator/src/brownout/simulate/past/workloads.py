"""How each workload of the past is taken to behave: what its metrics say, and what its manifest lets one guess."""

from math import ceil
from typing import Any

import numpy as np

from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.outcome import CellKey
from brownout.simulate.manifests import Manifests
from brownout.simulate.past.notes import Notes
from brownout.simulate.past.readings import Readings, filled

LEAST_MOMENTS = 10
WHOLE_SHARE = 0.98
"""Of what was offered: where at least this was let through, all users had the first variant as far as one can tell."""
COST_FACTORS = (1 / 3, 3.0)
TARGET_UTILISATION = 0.8
BATCH = 8
"""Requests that a replica is taken to serve at once."""


def workload(manifests: Manifests, key: Key, readings: Readings, notes: Notes) -> dict[str, Any]:
    """The fields of a workload in a scenario."""
    spec = manifests.scalers[key].spec
    costs = [c for cell in manifests.cells.values() if (c := cell.costs[0].get(key))]
    service = max(costs, default=1.0) * BATCH / (spec.gpus_per_replica or 1)
    objective = round(spec.queue.objective_seconds + 2 * service, 1)
    fields: dict[str, Any] = {
        "objectiveSeconds": objective,
        "coldStartSeconds": max(1, spec.cold_start.expected_seconds),
        "batch": BATCH,
        "order": spec.queue.order,
        "timeoutSeconds": max(60.0, 3 * objective),
        "startReplicas": _start(manifests, key, spec, readings, notes),
    }
    factor = _cost_factor(manifests, key, readings)
    if factor is None:
        notes.unknown.append(
            f"{key.name}: what a request truly costs: no work is exported (role: Busy), so costs are as declared."
        )
    else:
        notes.known.append(
            f"{key.name}: requests cost {factor:.2f} of what is declared, by work done while all were let through."
        )
        fields["costFactor"] = round(factor, 3)
    notes.unknown.append(
        f"{key.name}: an answer is taken to be in time within {objective:g} s: queue.objectiveSeconds and twice a full batch of {BATCH}."
    )
    return fields


def _start(manifests: Manifests, key: Key, spec: InferenceScalerSpec, readings: Readings, notes: Notes) -> int:
    """Replicas that were ready at first."""
    ready = readings.ready.get(key.name)
    if ready is not None:
        known = ready[~np.isnan(ready)]
        notes.known.append(
            f"{key.name}: {known[0]:.0f} replicas were ready at first, {known.min():.0f} to {known.max():.0f} later."
        )
        return int(known[0])
    first = sum(
        float(filled(values)[0][:LEAST_MOMENTS].mean()) * cell.costs[0].get(key, 0.0)
        for policy, by_audience in readings.offered.items()
        for audience, values in by_audience.items()
        if (cell := manifests.cells.get(CellKey(policy, audience)))
    )
    replicas = max(spec.min_replicas, ceil(first / TARGET_UTILISATION / (spec.gpus_per_replica or 1)))
    notes.unknown.append(
        f"{key.name}: how many replicas were ready: taken as {replicas}, what the first minutes needed."
    )
    return min(replicas, spec.max_replicas)


def _cost_factor(manifests: Manifests, key: Key, readings: Readings) -> float | None:
    """Work done over the declared cost of what was let through, while all of it was; None where that cannot be seen."""
    work = readings.work.get(key.name)
    cells = [cell for cell in manifests.cells.values() if key in cell.costs[0]]
    if work is None or any(cell.key.policy not in readings.admitted for cell in cells):
        return None
    zero = np.zeros(len(work))
    offered, admitted, declared = zero, zero, zero
    for cell in cells:
        asked = np.nan_to_num(readings.offered[cell.key.policy].get(cell.key.audience, zero))
        offered = offered + asked
        admitted = admitted + np.nan_to_num(readings.admitted[cell.key.policy].get(cell.key.audience, zero))
        declared = declared + asked * cell.costs[0][key]
    whole = (declared > 0) & (admitted >= WHOLE_SHARE * offered) & ~np.isnan(work)
    if whole.sum() < LEAST_MOMENTS:
        return None
    return float(np.clip(work[whole].sum() / declared[whole].sum(), *COST_FACTORS))
