"""The memory after the clock was set: every moment that this process took from it is moved along, and is as old as it was.

A dwell is then as long as ever, whichever way the clock went, and the next status has the right times. What is older than the process
came from status, where somebody wrote the time of another clock: it stays as it is, and is never in the future.
"""

from math import inf
from typing import TypeVar

from msgspec import structs

from brownout.decide.history import History
from brownout.decide.memory import CellMemory, Change, Memory, PoolMemory, Recommendation, ScaleDecided, ScalerMemory

T = TypeVar("T", Change, Recommendation, ScaleDecided)


def moved_by(memory: Memory, seconds: float, *, since: float = -inf, now: float = inf) -> Memory:
    """The memory of a loop whose clock was set forward by so many seconds, or back where they are negative.

    `since`: when the process began, by the clock as it was; `now` by the clock as it is.
    """
    if seconds == 0:
        return memory

    def moved(at: float) -> float:
        return at + seconds if at >= since else min(at, now)

    def moment(at: float | None) -> float | None:
        return None if at is None else moved(at)

    def each(these: tuple[T, ...]) -> tuple[T, ...]:
        return tuple([structs.replace(one, at=moved(one.at)) for one in these])

    def past(one: History) -> History:
        return History(tuple([at + seconds for at in one.times]), one.values)

    def cell(one: CellMemory) -> CellMemory:
        return structs.replace(
            one,
            since=moved(one.since),
            last_shed_at=moment(one.last_shed_at),
            last_step_at=moment(one.last_step_at),
            reversals=tuple([moved(at) for at in one.reversals]),
            rate_since=None if one.rate_since is None else one.rate_since + seconds,
            shed_rate_at=moved(one.shed_rate_at),
        )

    def scaler(one: ScalerMemory) -> ScalerMemory:
        return structs.replace(
            one,
            recommendations=each(one.recommendations),
            needs=past(one.needs),
            changes=each(one.changes),
            saturated_since=moment(one.saturated_since),
            deficit_since=moment(one.deficit_since),
            closed_until=one.closed_until + seconds if one.closed_until else 0.0,
            blind_since=moment(one.blind_since),
            trend=past(one.trend),
            tier_trends=tuple([(tier, past(trend)) for tier, trend in one.tier_trends]),
            admitted=past(one.admitted),
            decisions=each(one.decisions),
        )

    def pool(one: PoolMemory) -> PoolMemory:
        return structs.replace(one, last_shed_at=moment(one.last_shed_at), saturated_since=moment(one.saturated_since))

    return structs.replace(
        memory,
        at=moment(memory.at),
        cells={key: cell(one) for key, one in memory.cells.items()},
        scalers={key: scaler(one) for key, one in memory.scalers.items()},
        pools={key: pool(one) for key, one in memory.pools.items()},
    )
