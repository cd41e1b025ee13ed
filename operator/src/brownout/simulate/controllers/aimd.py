"""Aperture's AIMD load scheduler: a load multiplier that falls with the gradient of latency and ramps back up.

Source: fluxninja/aperture 2.34, `flowcontrol/load-scheduler/aimd-load-scheduler.go`, `controller/gradient.go`,
`components/integrator.go`, `load-scheduler/actuator.go`, and the blueprints' defaults: slope -1, min_gradient 0.1, max_gradient
1.0, load_multiplier_linear_increment 0.025, max_load_multiplier 2.0.

- Overload: signal > setpoint. Then multiplier = observed x clamp((signal / setpoint) ^ slope, 0.1, 1); the integrator restarts.
- Else multiplier = observed + integrator, which grows by 0.025 at each evaluation, up to 2; from 2 on everything passes.
- Observed: what is accepted over what comes in. An invalid signal, such as one that cannot be had, lets everything pass.
- The circuit is evaluated as its metrics are scraped: here once for each new measurement.

Signal: mean time in the queue over the objective (the blueprint `load-scheduling/promql`; the one on average latency compares with
a mean of 30 minutes, which an overload of an hour becomes). Tokens are declared GPU-seconds; its scheduler serves
priorities in order, so a multiplier of 0.7 is the place on the ladder that lets 70 % of the offered load through.
"""

from math import inf

from msgspec import Struct

from brownout.simulate.controller import Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.combined import OnLadder
from brownout.simulate.controllers.ladder import Group, Scope
from brownout.simulate.controllers.signals import worst_queueing

MIN_GRADIENT = 0.1
MAX_GRADIENT = 1.0
MAX_MULTIPLIER = 2.0


class Parameters(Struct, frozen=True, kw_only=True):
    """`setpoint`: mean time in the queue that is overload, as a share of the objective."""

    scaling: hpa.Parameters = hpa.Parameters()
    setpoint: float = 0.25
    slope: float = -1.0
    increment: float = 0.025
    scope: Scope = "service"


GRID = (
    Parameters(),
    Parameters(scaling=hpa.LATE),
    Parameters(scaling=hpa.LATE, setpoint=0.1),
    Parameters(scaling=hpa.LATE, setpoint=0.1, increment=0.0025),
    Parameters(scaling=hpa.LATE, setpoint=0.1, slope=-0.5, increment=0.01),
    Parameters(scaling=hpa.LATE, slope=-0.25, scope="pool"),
)


class AIMD(OnLadder):
    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        super().__init__(setting, parameters.scope, lambda group: LoadScheduler(group, setting, parameters))


class Multiplier:
    """The circuit: observed multiplier and signal in, desired multiplier out; None lets everything pass."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._sum = MAX_MULTIPLIER

    def update(self, signal: float | None, observed: float) -> float | None:
        given = self._parameters
        if signal is not None and signal > given.setpoint:
            self._sum = 0.0
            gradient = 0.0 if signal == inf else (signal / given.setpoint) ** given.slope
            return observed * min(MAX_GRADIENT, max(MIN_GRADIENT, gradient))
        self._sum = min(MAX_MULTIPLIER, self._sum + given.increment)
        desired = observed + self._sum
        return None if signal is None or desired >= MAX_MULTIPLIER else desired


class LoadScheduler:
    def __init__(self, group: Group, setting: Setting, parameters: Parameters) -> None:
        self._group, self._setting, self._parameters = group, setting, parameters
        self.restart()

    def restart(self) -> None:
        self._multiplier = Multiplier(self._parameters)
        self._measured_at = -1.0
        self._position = 0.0

    def position(self, seen: Observation) -> float:
        if seen.measured_at <= self._measured_at:
            return self._position
        self._measured_at = seen.measured_at
        signal, demand = worst_queueing(self._group, self._setting, seen), self._group.ladder.demand(seen)
        offered = demand.offered if demand is not None else 0.0
        observed = 1.0 - demand.saved(self._position) / offered if demand is not None and offered else 1.0
        desired = self._multiplier.update(signal, observed)
        if demand is None or desired is None:
            self._position = 0.0
        else:
            self._position = demand.position_saving((1.0 - desired) * offered)
        return self._position
