"""Whether those who pay were kept safe: how soon, for how long not, and while others still had what could have helped.

All of it is judged on requests, by the tick in which a user first asked: refusing payers does not keep them safe, and neither
does answering them late.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from brownout.decide.cells import Cell
from brownout.simulate.buckets import Buckets, bucket, judged_ticks
from brownout.simulate.record import Floats, Record
from brownout.simulate.scenario import Episode, Scenario
from brownout.simulate.shortage import needed_gpus, replica_gpus

PROTECT_WITHIN_SECONDS = 600.0
GRACE_SECONDS = 30.0
"""The first part of an episode, in which a breach is not yet held against anybody's priorities."""


def seconds_to_protect(record: Record, scenario: Scenario, spans: Sequence[Episode]) -> tuple[float, ...]:
    """For each episode: from its onset to the end of the last breach among paying requests within 10 minutes.

    600 where the breach does not end within them, or before the run does; 0 where there was none, or where no payer asked.
    """
    asked, good = _paid(record, scenario)
    return tuple(_protected_after(record, scenario, span.start, asked=asked, good=good) for span in spans)


def _protected_after(record: Record, scenario: Scenario, onset: float, *, asked: Floats, good: Floats) -> float:
    tick = record.tick_seconds
    first = int(onset / tick)
    last = min(round((onset + PROTECT_WITHIN_SECONDS) / tick), judged_ticks(record, scenario))
    buckets = bucket(asked, good, first=first, last=last, tick_seconds=tick)
    failing = np.flatnonzero(buckets.breached)
    if not len(failing):
        return 0.0
    if failing[-1] == len(buckets.starts) - 1:
        return PROTECT_WITHIN_SECONDS
    return float(buckets.ends[failing[-1]]) * tick - onset


def paid_breach_minutes(record: Record, scenario: Scenario) -> float:
    """Minutes of the run in which fewer than 95 % of the paying requests were served within their objective."""
    asked, good = _paid(record, scenario)
    last = judged_ticks(record, scenario)
    buckets = bucket(asked, good, first=0, last=last, tick_seconds=record.tick_seconds)
    return float(buckets.lengths[buckets.breached].sum()) * record.tick_seconds / 60


def priority_inversion_minutes(record: Record, scenario: Scenario, spans: Sequence[Episode]) -> float:
    """Minutes of paid breach at any workload while somebody who comes later still had something to give.

    That is a rung of a lower tier that is not taken, or only in part, anywhere in the pool, of a cell for which somebody asks;
    or a whole replica beyond another workload's protected floor. From 30 s after each onset on, up to the next one: what an
    episode leaves behind counts as well.
    """
    above: npt.NDArray[np.bool_] = record.held - needed_gpus(record, record.floor) >= replica_gpus(record)
    inverted = np.zeros(len(record.asked), dtype=np.bool_)
    for w, name in enumerate(record.workloads):
        elsewhere: npt.NDArray[np.bool_] = np.any(np.delete(above, w, axis=1), axis=1)
        carried = _carried(record, name)
        for priority in {cell.tier_priority for cell in record.cells if _pays(cell, scenario)}:
            cells = [_pays(cell, scenario) and cell.tier_priority == priority for cell in record.cells]
            asked = (record.asked * carried)[:, cells].sum(axis=1)
            good = (record.good * carried)[:, cells].sum(axis=1)
            lower = _given(record, below=priority)
            for first, last in _after_grace(record, scenario, spans):
                buckets = bucket(asked, good, first=first, last=last, tick_seconds=record.tick_seconds)
                breach = _by_tick(buckets, buckets.breached)
                untaken = (lower[first:last] & _asked_for(record, buckets)).any(axis=1)
                inverted[first:last] |= breach & (untaken | elsewhere[first:last])
    return float(inverted.sum()) * record.tick_seconds / 60


def _pays(cell: Cell, scenario: Scenario) -> bool:
    return cell.key.audience.tier in scenario.paying


def _paid(record: Record, scenario: Scenario) -> tuple[Floats, Floats]:
    """[T]: paying requests, and those of them that were served within their objective."""
    cells = [_pays(cell, scenario) for cell in record.cells]
    return record.asked[:, cells].sum(axis=1), record.good[:, cells].sum(axis=1)


def _carried(record: Record, workload: str) -> npt.NDArray[np.bool_]:
    """[T, C]: whether a cell's users are served at this workload. Those of a denied cell count where they would be best served."""
    carried = np.zeros(record.asked.shape, dtype=np.bool_)
    for c, cell in enumerate(record.cells):
        serves = [any(key.name == workload for key in costs or cell.costs[0]) for costs in cell.costs]
        carried[:, c] = np.array(serves)[record.variant[:, c]]
    return carried


def _given(record: Record, *, below: int) -> npt.NDArray[np.bool_]:
    """[T, C]: whether a cell of a tier below this priority still has something that its policy would let go."""
    lowest = [cell.lowest if cell.planned and not cell.always else 0 for cell in record.cells]
    loses = np.array([cell.tier_priority < below for cell in record.cells])
    given: npt.NDArray[np.bool_] = loses & (record.variant < np.array(lowest))
    return given


def _asked_for(record: Record, buckets: Buckets) -> npt.NDArray[np.bool_]:
    """[ticks of the buckets, C]: whether anybody asked a cell within the bucket; to take what nobody uses frees nothing."""
    if not len(buckets.starts):
        return np.zeros((0, len(record.cells)), dtype=np.bool_)
    return _by_tick(buckets, np.add.reduceat(record.asked[: buckets.ends[-1]], buckets.starts) > 0)


def _by_tick(buckets: Buckets, values: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.repeat(values, buckets.lengths, axis=0)


def _after_grace(record: Record, scenario: Scenario, spans: Sequence[Episode]) -> Iterator[tuple[int, int]]:
    """Ticks from 30 s after each onset up to the next onset, or the end."""
    tick, end = record.tick_seconds, judged_ticks(record, scenario)
    for start, following in pairwise([*sorted(span.start for span in spans), np.inf]):
        yield round((start + GRACE_SECONDS) / tick), int(min(end, following / tick))
