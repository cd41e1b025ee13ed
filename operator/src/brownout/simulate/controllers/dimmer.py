"""The brownout dimmer: one number between 0 and 1, held by feedback where the 95th percentile of response times meets its setpoint.

Source: Klein, Maggio, Årzén, Hernández-Rodriguez: "Brownout: Building More Robust Cloud Applications", ICSE 2014
(10.1145/2568225.2568227), and the authors' released simulator (`cf_mm.py`: pole 0.9, forgetting factor 0.95, initial covariance
1000, initial alpha 1, 95th percentile).

- Model: t(k+1) = alpha(k) x theta(k). alpha is estimated by recursive least squares with forgetting.
- Control: theta(k+1) = theta(k) + (1 - pole) / alpha x (setpoint - t), limited to [0, 1].

Theta is the share of the ladder that is left: position = (1 - theta) x top, so that "optional content" is what the manifests
allow to be shed, in their order. Times are in units of each workload's objective; the worst workload counts, as one application
is as slow as its slowest part. Percentiles are estimated (`signals`). It runs once for each new measurement, not each second.
Theta starts at 1, not the authors' 0.5: nothing is shed before there is load. Without data it keeps theta; a restart forgets it.
"""

from msgspec import Struct

from brownout.simulate.controller import Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.combined import OnLadder
from brownout.simulate.controllers.ladder import Group, Scope
from brownout.simulate.controllers.signals import Responses

FORGETTING = 0.95
INITIAL_COVARIANCE = 1000.0
INITIAL_ALPHA = 1.0
LEAST_ALPHA = 1e-3
SLOWEST = 10.0
"""Response times beyond ten objectives say no more, and one infinite sample would spoil the estimate for ever."""


class Parameters(Struct, frozen=True, kw_only=True):
    """`setpoint`: the 95th percentile that is aimed at, as a share of the objective."""

    scaling: hpa.Parameters = hpa.Parameters()
    pole: float = 0.9
    setpoint: float = 0.8
    scope: Scope = "service"


GRID = (
    Parameters(),
    Parameters(scaling=hpa.LATE),
    Parameters(scaling=hpa.LATE, setpoint=0.5),
    Parameters(scaling=hpa.LATE, setpoint=0.5, pole=0.97),
    Parameters(scaling=hpa.LATE, setpoint=0.3, pole=0.97),
    Parameters(scaling=hpa.LATE, setpoint=0.5, pole=0.97, scope="pool"),
)


class Dimmer(OnLadder):
    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        super().__init__(setting, parameters.scope, lambda group: DimmerLoop(group, setting, parameters))


class Theta:
    """The control law, free of what it is applied to."""

    def __init__(self, *, pole: float, setpoint: float) -> None:
        self._pole, self._setpoint = pole, setpoint
        self.value = 1.0
        self.alpha = INITIAL_ALPHA
        self._covariance = INITIAL_COVARIANCE

    def update(self, response: float) -> float:
        """Theta after one measured response time."""
        gain_input = self._covariance * self.value
        gain = gain_input / (FORGETTING + self.value * gain_input)
        self.alpha = max(LEAST_ALPHA, self.alpha + gain * (response - self.alpha * self.value))
        # While theta is 0 nothing is learned and the covariance would grow without bound.
        self._covariance = min(INITIAL_COVARIANCE, (self._covariance - gain * gain_input) / FORGETTING)
        step = (1.0 - self._pole) / self.alpha * (self._setpoint - response)
        self.value = min(1.0, max(0.0, self.value + step))
        return self.value


class DimmerLoop:
    def __init__(self, group: Group, setting: Setting, parameters: Parameters) -> None:
        self._top = group.ladder.top
        self._parameters = parameters
        self._responses = Responses(group, setting)
        self._measured_at = -1.0
        self.restart()

    def restart(self) -> None:
        self._theta = Theta(pole=self._parameters.pole, setpoint=self._parameters.setpoint)

    def position(self, seen: Observation) -> float:
        if seen.measured_at > self._measured_at:
            response = self._responses.worst(seen)
            if response is not None:
                self._measured_at = seen.measured_at
                self._theta.update(min(response, SLOWEST))
        return (1.0 - self._theta.value) * self._top
