"""How much company the most important have in a step: what is less important may slow them by `slack` at most, 5 % where nothing else is said.

Batching makes the device cheap for all, and every step long for each: on a device whose full steps take longer than its small ones, a flood of free users would slow every step of a
paying one. So places beside the highest priority in the batch are filled only as far as a step with them is expected to take at most (1 + slack) times what it takes without
them. What is not known yet is found out: a step with too few measurements of its own is made by the most important alone, one that would be larger than all that was measured is made.
Throughput is what this costs, where somebody important is in the batch; where all are of one tier nothing changes.

Whoever was let through for their age takes part whatever it costs, so nobody is kept out for ever.
"""

import math
from typing import Protocol

SLACK = 0.05
"""What who is important may notice of an overload is not their company alone, but also the step that is under way when they come, and the processor time of those who are refused. With the shipped image
model on a CPU others are served nearly as many beside somebody important as at three times this: each picture more makes a step longer than either allows. A GPU that is not busy makes full steps within it."""


class Times(Protocol):
    """What is known of the seconds of a step by its slots."""

    def seconds(self, slots: float) -> float | None: ...


class Company:
    """Says who may join whom. A `slack` that is negative or infinite lets everybody in; `may_pause`: who runs already and is too much is left out."""

    def __init__(self, times: Times, slack: float = SLACK, *, may_pause: bool = True) -> None:
        self.may_pause = may_pause
        self._times = times
        self._slack = slack if slack >= 0 else math.inf

    def allows(self, slots: float, *, beside: float) -> bool:
        """Whether a step of `slots` in all is short enough for the most important, who have `beside` of them."""
        if math.isinf(self._slack):
            return True
        alone = self._times.seconds(beside)
        if alone is None:
            return False
        together = self._times.seconds(slots)
        return together is None or together <= (1 + self._slack) * alone
