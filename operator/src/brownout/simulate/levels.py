"""What a run did to the levels of its cells: how deep they were, when they turned round, what users missed for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from brownout.decide.outcome import CellKey
from brownout.simulate.buckets import bucket, judged_ticks
from brownout.simulate.record import Ints, Record
from brownout.simulate.scenario import Episode, Scenario

AFTER_RESTART_SECONDS = 120.0


def depth(record: Record) -> Ints:
    """[T, C]: how far down each cell is at the end of a tick, in percent of a variant; 0 is whole."""
    depths: Ints = record.variant * 100 + (100 - record.percent)
    return depths


def depth_alone(record: Record) -> Ints:
    """[T, A]: the same of users who are held back alone, a column for each of them."""
    depths: Ints = np.zeros((len(record.asked), len(record.alone)), dtype=np.int64)
    for a, user in enumerate(record.alone):
        depths[:, a] = user.variant * 100 + (100 - user.percent)
    return depths


def direction_changes(record: Record) -> npt.NDArray[np.bool_]:
    """[T, C + A]: the ticks in which a cell, or a user who is held back alone, goes the other way than it went last.

    A cell that was never touched counts as having come up: its first shed is a change, as is its restore. So an episode that
    takes a cell once and gives it back once makes two, in however many parts.
    """
    depths = np.hstack([depth(record), depth_alone(record)])
    start = np.zeros((1, depths.shape[1]), dtype=np.int64)
    for c, cell in enumerate(record.cells):
        start[0, c] = 0 if cell.planned or not len(depths) else depths[0, c]
    steps = np.sign(np.diff(depths, axis=0, prepend=start))
    changes = np.zeros(depths.shape, dtype=np.bool_)
    for c in range(depths.shape[1]):
        moves = np.flatnonzero(steps[:, c])
        directions = steps[moves, c]
        changes[moves, c] = directions != np.append(-1, directions[:-1])
    return changes


def reversals(record: Record, oracle_sheds: Mapping[CellKey, int]) -> float:
    """Changes of direction of a cell over twice the episodes in which the oracle sheds it, of the worst cell: 1 is as often.

    A user who is held back alone counts as a cell of its own, against the episodes in which the oracle sheds the whole one.
    A cell that the oracle leaves alone is measured against one episode, so that a needless one is finite; that it was needless
    is counted in unneeded unavailable minutes, which also keep a controller that never sheds from looking good here.
    """
    changes = direction_changes(record).sum(axis=0).tolist()
    keys = [cell.key for cell in (*record.cells, *(record.cells[user.of] for user in record.alone))]
    ratios = (count / (2 * max(1, oracle_sheds.get(key, 0))) for key, count in zip(keys, changes, strict=True))
    return max(ratios, default=0.0)


def direction_changes_after_restart(record: Record) -> int:
    """Changes of direction of any cell, or user alone, within 120 s after a restart. A run without restart has none."""
    tick = record.tick_seconds
    after = np.zeros(len(record.asked), dtype=np.bool_)
    for at in record.restarts:
        after[int(at / tick) : round((at + AFTER_RESTART_SECONDS) / tick)] = True
    return int(direction_changes(record)[after].sum())


def seconds_to_restore(record: Record, scenario: Scenario, spans: Sequence[Episode]) -> tuple[float, ...]:
    """For each episode that ends within the run: from its end until all cells are whole again.

    Whole means that every cell is on its first variant, nobody is held back alone, *and* that at least 95 % of what is asked is
    served within its objective: who never shed but left a queue behind has restored nothing, and neither has a quota. Where that does not happen
    before the next onset, or the end of the run, it is the time until then. Cells that a policy never gives do not count.
    """
    tick, last = record.tick_seconds, judged_ticks(record, scenario)
    planned = [cell.planned for cell in record.cells]
    asked, good = record.asked[:, planned].sum(axis=1), record.good[:, planned].sum(axis=1)
    buckets = bucket(asked, good, first=0, last=last, tick_seconds=tick)
    levels = np.hstack([depth(record)[:last, planned], depth_alone(record)[:last]])
    whole = (levels == 0).all(axis=1) & np.repeat(~buckets.breached, buckets.lengths)
    starts = sorted(span.start for span in spans)
    found: list[float] = []
    for end in sorted(span.end for span in spans if span.end < last * tick):
        until = min((start for start in starts if start >= end), default=last * tick)
        at = np.flatnonzero(whole[int(end / tick) : round(until / tick)])
        found.append(max(0.0, (int(end / tick) + int(at[0])) * tick - end) if len(at) else until - end)
    return tuple(found)


def unneeded_unavailable_minutes(record: Record, ideal: Record) -> float:
    """Minutes of the run, weighted by users: those of all fresh asks that O3 served within the objective and this one did not.

    Compared minute by minute and cell by cell, so that what is lost in one is not made good by another. A run of an hour that
    needlessly loses a tenth of what is asked has six of them, whether it refused those users or let them wait.
    """
    if (ideal.scenario, ideal.seed, ideal.asked.shape) != (record.scenario, record.seed, record.asked.shape):
        raise ValueError(
            f"{record.scenario}, seed {record.seed}: the ideal is of {ideal.scenario}, seed {ideal.seed}; give the same run of O3"
        )
    total = record.asked.sum()
    if not total:
        return 0.0
    minutes = np.arange(0, len(record.asked), max(1, round(60 / record.tick_seconds)))
    lost = np.add.reduceat(ideal.good - record.good, minutes)
    return float(np.maximum(0.0, lost).sum() / total) * len(record.asked) * record.tick_seconds / 60
