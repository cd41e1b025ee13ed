"""Two thresholds with a dwell: an alert that throws the next switch, and another that takes it back.

Source: the step scaling of cloud alarms and the usual runbook made automatic (as in AWS CloudWatch alarms: a metric beyond a
threshold for so many periods); there is no paper. The busy share of the ready replicas above `high` for `dwell_seconds` takes one
rung of the ladder, below `low` for as long gives one back; each step starts a new dwell. The worst workload counts; all must be
below `low`. Without data neither time runs on: missing data is ignored. Switches live in the flag service and outlast a restart.
"""

from msgspec import Struct

from brownout.simulate.controller import Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.combined import OnLadder
from brownout.simulate.controllers.ladder import Group, Scope


class Parameters(Struct, frozen=True, kw_only=True):
    scaling: hpa.Parameters = hpa.Parameters()
    high: float = 0.95
    low: float = 0.7
    dwell_seconds: float = 60.0
    scope: Scope = "service"


GRID = (
    Parameters(),
    Parameters(dwell_seconds=15.0),
    Parameters(scaling=hpa.LATE),
    Parameters(scaling=hpa.LATE, dwell_seconds=30.0),
    Parameters(scaling=hpa.LATE, dwell_seconds=30.0, high=0.9),
    Parameters(scaling=hpa.LATE, dwell_seconds=15.0, low=0.8, scope="pool"),
)


class Thresholds(OnLadder):
    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        super().__init__(setting, parameters.scope, lambda group: Steps(group, parameters))


class Steps:
    """One rung at a time."""

    def __init__(self, group: Group, parameters: Parameters) -> None:
        self._group, self._parameters = group, parameters
        self._position = 0.0
        self._high_since: float | None = None
        self._low_since: float | None = None

    def restart(self) -> None:
        self._high_since = self._low_since = None

    def position(self, seen: Observation) -> float:
        given = self._parameters
        known = [seen.workloads[name].busy for name in self._group.workloads if name in seen.workloads]
        busy = [share for share in known if share is not None]
        if not busy:
            self._high_since = self._low_since = None
            return self._position
        high = max(busy) > given.high
        low = max(busy) < given.low and len(busy) == len(known)
        self._high_since = (seen.at if self._high_since is None else self._high_since) if high else None
        self._low_since = (seen.at if self._low_since is None else self._low_since) if low else None
        if self._high_since is not None and seen.at - self._high_since >= given.dwell_seconds:
            self._position = min(self._position + 1.0, self._group.ladder.top)
            self._high_since = seen.at
        elif self._low_since is not None and seen.at - self._low_since >= given.dwell_seconds:
            self._position = max(self._position - 1.0, 0.0)
            self._low_since = seen.at
        return self._position
