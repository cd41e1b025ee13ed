"""How slow a service is, as far as its metrics say: what the load shedders that watch latency are given.

They were published with response times measured at the server. Here there is the mean time in the queue of those who left it
within the rate window; the rest follows from Little's law and declared costs.
"""

from math import inf, log

from brownout.decide.outcome import CellKey
from brownout.simulate.controller import Observation, Setting, WorkloadSeen
from brownout.simulate.controllers.ladder import Group

P95_OF_MEAN = log(20)
"""Waits in a queue with several servers and random arrivals are exponentially distributed; 5 % are above ln 20 times the mean."""


def queueing(workload: WorkloadSeen, objective_seconds: float) -> float | None:
    """Mean time in the queue over the objective; infinite where more than a batch waits and none leaves; None where unknown."""
    if workload.queue_seconds is not None:
        return workload.queue_seconds / objective_seconds
    if workload.waiting is None:
        return None
    return inf if workload.waiting > workload.batch else 0.0


def worst_queueing(group: Group, setting: Setting, seen: Observation) -> float | None:
    """The same for the worst workload of a group that can be seen; None where none can."""
    ratios = [
        ratio
        for name in group.workloads
        if name in seen.workloads
        and (ratio := queueing(seen.workloads[name], setting.objective_seconds[name])) is not None
    ]
    return max(ratios, default=None)


class Responses:
    """The 95th percentile of response times of a group's workloads, estimated."""

    def __init__(self, group: Group, setting: Setting) -> None:
        self._setting = setting
        self._costs: dict[str, list[tuple[CellKey, float]]] = {name: [] for name in group.workloads}
        for cell in group.ladder.cells:
            for scaler in cell.scalers:
                best = next((costs[scaler] for costs in cell.costs if costs.get(scaler, 0.0) > 0.0), 0.0)
                self._costs[scaler.name].append((cell.key, best))

    def worst(self, seen: Observation) -> float | None:
        """95th percentile over the objective, of the worst workload that can be seen; None where none can."""
        worst: float | None = None
        for name, costs in self._costs.items():
            workload = seen.workloads.get(name)
            if workload is None:
                continue
            waited = queueing(workload, self._setting.objective_seconds[name])
            if waited is None:
                continue
            served = _served_seconds(workload, costs, seen) / self._setting.objective_seconds[name]
            ratio = served + P95_OF_MEAN * waited
            worst = ratio if worst is None else max(worst, ratio)
        return worst


def _served_seconds(workload: WorkloadSeen, costs: list[tuple[CellKey, float]], seen: Observation) -> float:
    """Mean time from queue to answer by Little's law: requests in service, over those that are done in a second."""
    if workload.concurrency is None or workload.waiting is None or not workload.work:
        return 0.0
    requests = load = 0.0
    for key, cost in costs:
        cell = seen.cells.get(key)
        if cell is not None and cell.admitted is not None:
            requests += cell.admitted
            load += cell.admitted * cost
    if requests <= 0.0:
        return 0.0
    return (workload.concurrency - workload.waiting) * load / requests / workload.work
