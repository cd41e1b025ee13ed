"""DAGOR, WeChat's overload control: an admission level over priorities, moved by the mean time in the queue.

Source: Zhou et al.: "Overload Control for Scaling WeChat Microservices", SoCC 2018 (10.1145/3267809.3267823; arXiv 1806.04075v3),
sections 4.1 and 4.2, Algorithm 1.

- Overload: the mean queueing time of a window is above 20 ms, where tasks time out after 500 ms.
- After a window with overload the level goes to where (1 - alpha) of what was admitted would be: alpha = 5 %. After one without,
  to where beta of all that came would be admitted more: beta = 1 %. The level is found by a prefix sum over a histogram of
  requests by priority, cheapest first. Users within a business priority have 128 priorities: parts of a rung.

Scaled: 20 ms of 500 ms is 4 % of the time a task has; here a share of the workload's objective, tuned from there. A window is
1 s (or 2000 requests); metrics come more rarely, so that a measurement counts for the windows since the last one, as many as
`window_seconds` says. Requests are weighted with their declared cost, as a rung may make them cheaper instead of refusing them.
Priorities are the rungs of the ladder; admission at upstream servers is the flag that clients ask. Each service has a level.
Servers measure their own queues: without data they keep the level. A restart admits everything.
"""

import math

from msgspec import Struct

from brownout.simulate.controller import Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.combined import OnLadder
from brownout.simulate.controllers.ladder import Group, Scope
from brownout.simulate.controllers.signals import worst_queueing

ALPHA = 0.05
BETA = 0.01


class Parameters(Struct, frozen=True, kw_only=True):
    """`threshold`: mean time in the queue that is overload, as a share of the objective."""

    scaling: hpa.Parameters = hpa.Parameters()
    threshold: float = 0.04
    window_seconds: float = 1.0
    scope: Scope = "service"


GRID = (
    Parameters(),
    Parameters(scaling=hpa.LATE),
    Parameters(scaling=hpa.LATE, window_seconds=5.0),
    Parameters(scaling=hpa.LATE, threshold=0.1, window_seconds=5.0),
    Parameters(scaling=hpa.LATE, threshold=0.2, window_seconds=5.0),
    Parameters(scaling=hpa.LATE, threshold=0.2, window_seconds=5.0, scope="pool"),
)


class DAGOR(OnLadder):
    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        super().__init__(setting, parameters.scope, lambda group: AdmissionLevel(group, setting, parameters))


def expected_load(admitted: float, offered: float, *, overloaded: bool, windows: float) -> float:
    """What is to be admitted after so many windows of one kind."""
    if overloaded:
        return admitted * math.pow(1.0 - ALPHA, windows)
    return min(offered, admitted + BETA * offered * windows)


class AdmissionLevel:
    """One service's level, as a position on its ladder."""

    def __init__(self, group: Group, setting: Setting, parameters: Parameters) -> None:
        self._group, self._setting, self._parameters = group, setting, parameters
        self._measured_at: float | None = None
        self._position = 0.0

    def restart(self) -> None:
        self._measured_at, self._position = None, 0.0

    def position(self, seen: Observation) -> float:
        waited = worst_queueing(self._group, self._setting, seen)
        if waited is None or seen.measured_at == self._measured_at:
            return self._position
        overloaded = waited > self._parameters.threshold
        windows = self._windows(seen.measured_at)
        if not overloaded and self._position == 0.0:
            return 0.0
        demand = self._group.ladder.demand(seen)
        if demand is not None:
            admitted = demand.offered - demand.saved(self._position)
            expected = expected_load(admitted, demand.offered, overloaded=overloaded, windows=windows)
            self._position = demand.position_saving(demand.offered - expected)
        return self._position

    def _windows(self, measured_at: float) -> float:
        tick = self._setting.tick_seconds
        since = tick if self._measured_at is None else min(measured_at - self._measured_at, tick)
        self._measured_at = measured_at
        return max(1.0, since / self._parameters.window_seconds)
