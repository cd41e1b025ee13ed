"""Buckets of 10 s: whether users were served in time, judged on enough requests to mean something.

Of three requests one late one says little, so a bucket with fewer than 20 is joined to those that follow it until there are
20. What is left over at the end joins the last bucket, so that no request is left out of the judgement.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from brownout.simulate.record import Floats, Ints, Record
from brownout.simulate.scenario import Scenario

BUCKET_SECONDS = 10.0
LEAST_REQUESTS = 20
SERVED_PERCENT = 95
"""Fewer than this share of requests within their objective is a breach."""


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """B buckets, one after the other, each from tick `starts[b]` up to `ends[b]`; `asked` and `good` requests in each."""

    starts: Ints
    ends: Ints
    asked: Floats
    good: Floats

    @property
    def breached(self) -> npt.NDArray[np.bool_]:
        """[B]: fewer than 95 % within the objective. Where nobody asked there is no breach."""
        return self.good * 100 < SERVED_PERCENT * self.asked

    @property
    def lengths(self) -> Ints:
        """[B], in ticks."""
        return self.ends - self.starts


def bucket(asked: Floats, good: Floats, *, first: int, last: int, tick_seconds: float) -> Buckets:
    """The buckets of ticks `first` to `last` (exclusive), of series with the shape [T]; a tick over 10 s is a bucket."""
    width = max(1, round(BUCKET_SECONDS / tick_seconds))
    edges = np.arange(first, last, width)
    if not len(edges):
        none = np.zeros(0, dtype=np.int64)
        return Buckets(starts=none, ends=none, asked=np.zeros(0), good=np.zeros(0))
    starts, waiting = [first], 0.0
    for edge, count in zip(edges.tolist(), np.add.reduceat(asked[:last], edges).tolist(), strict=True):
        if waiting >= LEAST_REQUESTS:
            starts.append(edge)
            waiting = 0.0
        waiting += count
    if waiting < LEAST_REQUESTS and len(starts) > 1:
        starts.pop()
    at = np.array(starts, dtype=np.int64)
    return Buckets(
        starts=at,
        ends=np.append(at[1:], last),
        asked=np.add.reduceat(asked[:last], at),
        good=np.add.reduceat(good[:last], at),
    )


def judged_ticks(record: Record, scenario: Scenario) -> int:
    """How many ticks can be judged: the answers to what was asked in the last seconds of a run could still have come in time."""
    return max(0, len(record.asked) - late_ticks(scenario))


def late_ticks(scenario: Scenario) -> int:
    """The last ticks of a run, of which nobody can say whether what was asked in them would have been served in time."""
    longest = max((workload.objective_seconds for workload in scenario.workloads.values()), default=0.0)
    return ceil(longest / scenario.tick_seconds)
