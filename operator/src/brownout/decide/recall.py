"""Memory read back from status: of everything when a process starts, and of what can be read only later, then. It reverses nothing."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite

from msgspec import structs

from brownout.api.ladder import Place
from brownout.api.policy import CellStatus
from brownout.api.pool import GPUPoolStatus
from brownout.api.reasons import Reason
from brownout.api.scaler import InferenceScalerStatus
from brownout.decide.cells import FIRST, Cell, Rung, ladder, rungs_taken
from brownout.decide.memory import CellMemory, Memory, PoolMemory, ScaleDecided, ScalerMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.rates import LONGEST_SECONDS, RATE_WINDOW_SECONDS, window_seconds
from brownout.decide.snapshot import Audience, Snapshot

NOTHING = Memory()
LONGEST_HOLD_SECONDS = 86400.0
"""What a pool may bar reclaiming for, at most: a clock that was once wrong bars nothing for years."""

REMEMBERED_REASONS = frozenset(
    {Reason.SERVED, Reason.RESTORING, Reason.CAPACITY, Reason.MAKES_ROOM, Reason.RECOVERED_MEMORY}
)
"""Why a cell is where it is. The other reasons of a cell's line, such as an override, are said anew at each tick."""


def moment(text: str, *, now: float) -> float | None:
    """A stored time in seconds, None where there is none or it cannot be read; never in the future, so no age is below 0."""
    at = deadline(text)
    return None if at is None else min(now, at)


def deadline(text: str) -> float | None:
    """A stored time that may lie in the future."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def rfc3339(at: float) -> str:
    """Seconds as the text that status holds, in UTC, to the second.

    From 1970 to 9999: with a zone a text can speak of moments for which UTC has no year, and is to stop nobody's tick.
    """
    return datetime.fromtimestamp(min(max(at, 0.0), LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recall(snapshot: Snapshot, now: float, known: Memory = NOTHING) -> Memory:
    """`known` with the memory that status holds of every object in the snapshot of which it has none.

    At the start of a process that is all of them; later an object that could not be read until now, or was of no use. A status is
    read from the object that it is on, so that of an earlier object of the same name tells nothing.
    """
    policies = {key: policy for key, policy in snapshot.policies.items() if key not in known.versions}
    scalers = [key for key in snapshot.scalers if key not in known.scalers]
    pools = [key for key in snapshot.pools if key not in known.pools]
    if not (policies or scalers or pools):
        return known
    cells: dict[CellKey, CellMemory] = {}
    for key, policy in policies.items():
        names = [variant.name for variant in policy.stored.spec.variants]
        lines = policy.stored.status.cells
        written_at = max((at for line in lines if (at := moment(line.since, now=now)) is not None), default=None)
        for line in lines:
            audience = Audience(line.tier, line.cohort, line.user)
            cells[CellKey(key, audience)] = recall_cell(line, names, now=now, written_at=written_at)
    cells |= known.cells
    last_shed = max((c.last_shed_at for c in cells.values() if c.last_shed_at is not None), default=None)
    return structs.replace(
        known,
        cells=cells,
        scalers=known.scalers | {key: recall_scaler(snapshot.scalers[key].stored.status, now=now) for key in scalers},
        pools=known.pools | {key: _recall_pool(snapshot.pools[key].stored.status, last_shed, now=now) for key in pools},
        versions=known.versions | {key: policy.stored.status.version for key, policy in policies.items()},
    )


def _recall_pool(status: GPUPoolStatus, last_shed_at: float | None, *, now: float) -> PoolMemory:
    return PoolMemory(
        last_shed_at=last_shed_at,
        saturated_since=moment(status.saturation.since, now=now),
        last_rung=status.ladder.last,
    )


def recall_cell(line: CellStatus, names: list[str], *, now: float, written_at: float | None = None) -> CellMemory:
    """One cell's line. Of a variant that the spec no longer has its users have the last one, unless they had the best.

    What it asks for was written with the last decision, surely at `written_at` or later. Where that is no longer ago than a rate
    is smoothed over, it goes on from there: counted anew it would be so noisy for minutes that cells turn round on nothing, and
    a window that cannot be its noise is believed at once.
    """
    since = moment(line.since, now=now)
    known_rate = written_at is not None and now - written_at <= LONGEST_SECONDS
    rate, shed_rate = _number(line.offered) if known_rate else None, _number(line.offered_before)
    level = Level(line.step(names), line.percent if line.variant in names else 100)
    reason, message = (line.reason, line.message) if line.reason in REMEMBERED_REASONS else ("", "")
    return CellMemory(
        level=level,
        reason=Reason(reason or (Reason.SERVED if level == FIRST else Reason.CAPACITY)),
        message=message,
        since=now if since is None else since,
        last_shed_at=moment(line.last_shed_at, now=now),
        last_step_at=since,
        dwell_seconds=float(line.dwell_seconds),
        direction=line.direction,
        reversals=tuple(at for text in line.reversals if (at := moment(text, now=now)) is not None),
        rate=rate,
        rate_since=None if rate is None else now - window_seconds(rate, RATE_WINDOW_SECONDS),
        shed_rate=shed_rate,
        shed_rate_at=now if since is None else since,
    )


def _number(text: str) -> float | None:
    """A stored number that is not negative, None where there is none or it cannot be read."""
    try:
        found = float(text) if text else -1.0
    except ValueError:
        return None
    return found if isfinite(found) and found >= 0 else None


def recall_scaler(status: InferenceScalerStatus, *, now: float) -> ScalerMemory:
    """One scaler's memory: what it decided, what it learned, what it waits for.

    Cold starts come back as the fewest that have the same median and the same 95th percentile.
    """
    since = moment(status.memory.saturated_since, now=now)
    learned = status.learned
    usual, slow = float(learned.cold_start_p50_seconds or 0), float(learned.cold_start_p95_seconds or 0)
    return ScalerMemory(
        saturated=since is not None,
        saturated_since=since,
        deficit_since=moment(status.memory.deficit_since, now=now),
        closed_until=min(now + LONGEST_HOLD_SECONDS, deadline(status.memory.closed_until) or 0.0),
        cost_factor=learned.cost_percent / 100 if learned.cost_percent else 1.0,
        cost_error=(learned.cost_error_percent or 0) / 100,
        cost_learned=bool(learned.cost_percent),
        cold_starts=(usual, usual, max(usual, slow)) if usual else (),
        decisions=tuple(
            ScaleDecided(
                at=moment(d.at, now=now) or now,
                from_replicas=d.from_replicas,
                to_replicas=d.to_replicas,
                rule=Reason(d.rule) if d.rule in set(Reason) else Reason.STEADY,
                message=d.message,
            )
            for d in status.decisions
        ),
    )


def highest_taken(cells: Iterable[Cell], memory: Mapping[CellKey, CellMemory]) -> Place | None:
    """Where on the ladder the highest rung stands that was taken, wholly or in part; None: nothing was taken from any of them."""
    down = [
        (cell, rungs_taken(cell, memory[cell.key].level))
        for cell in cells
        if cell.key in memory and cell.mode == "Auto"
    ]
    return max([Rung(cell=cell, step=rungs - 1).order for cell, rungs in down if rungs], default=None)


def place_on_ladder(cell: Cell, reached: Place | None) -> Level:
    """Where a cell without memory belongs: as far down as its neighbours on the ladder are.

    Its rungs that stand before the highest rung taken by others of the same workloads (`reached`) are taken; in a pool where
    nothing is shed that is none. A restored backup or a replaced object would otherwise hand out the first variant in a shortage.
    """
    if reached is None or cell.mode != "Auto":
        return FIRST
    steps = [rung.step for rung in ladder([cell]) if rung.order < reached]
    return Level(max(steps) + 1) if steps else FIRST
