"""Down the ladder: just enough, from the cheap end, and only what relieves what is short.

Shedding answers *ready* replicas alone: counting those that are due soon made protection three times slower in the first
study. A workload is short when it is saturated, and also when its GPUs are about to go to a more important one that is:
then its own users lose what those GPUs carried before the GPUs leave, not after. As many rungs are taken at once as bring
admitted flow to 97 % of what is left, the last one in part.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from msgspec import Struct

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, LEAST_PART_PERCENT, Cell, Rung, lower
from brownout.decide.demand import Flow
from brownout.decide.fullness import how_full
from brownout.decide.outcome import CellKey, Level
from brownout.decide.saturation import CALM, OBJECTIVE_COUNTS_FROM, breached, patience_seconds
from brownout.decide.view import ScalerView

TARGET = 0.97
"""Admitted flow is brought to this share of ready capacity."""

LEAST = 1e-9
"""Less flow than this is none."""

BACKLOG_SECONDS = 60.0
"""Backlog that must also go counts as the flow that empties it in a minute; in a queue without tiers, within its objective."""


class Shortage(Struct, frozen=True, kw_only=True):
    """A scaler that has too much: `excess` flow above the target, None where only a step at a time can be taken.

    `message` says on what numbers; it reaches users' status unchanged. `tiers`: by tier priority above the lowest, what that
    tier and those above it have too much by themselves.
    """

    scaler: Key
    excess: float | None
    reason: Reason
    message: str
    tiers: Mapping[int, float] = {}


class Taken(Struct, frozen=True, kw_only=True):
    """A cell taken down to `level`."""

    cell: Cell
    level: Level
    reason: Reason
    message: str


def saturated_shortage(view: ScalerView) -> Shortage | None:
    """What a saturated scaler has beyond 97 % of its ready capacity, backlog included; None where nothing shows it now.

    Saturation outlasts its evidence, and nothing more is taken on that: a metrics outage in a surge would take everything.

    While an objective is missed the flow is to go below where objectives count, else nothing would relieve them.
    """
    capacity, admitted = view.supply.capacity, view.demand.admitted
    full = how_full(view)
    if admitted is None:
        if view.saturation is None or view.saturation <= CALM:
            return None
        message = f"{full}: {view.supply.ready} ready replicas do not meet its queue or objective"
        return Shortage(scaler=view.key, excess=None, reason=Reason.CAPACITY, message=message)
    tiered = view.spec.queue.order == "Tiered"
    within = max(BACKLOG_SECONDS, view.spec.queue.drain_seconds) if tiered else patience_seconds(view.spec)
    waiting = view.demand.excess_backlog(capacity, view.spec) / within
    words = f", {view.demand.backlog:.0f} GPU-seconds wait" if waiting > 0 else ""
    target = TARGET
    if breached(view.demand):
        target = OBJECTIVE_COUNTS_FROM
        words += f", an objective is at {100 * (view.demand.objective_ratio or 0.0):.0f} % of its target"
    return Shortage(
        scaler=view.key,
        excess=_to_take(admitted.mean - admitted.noise, waiting, target * capacity),
        reason=Reason.CAPACITY,
        message=f"{full}: {admitted.mean:.1f} GPUs of load on {capacity:.0f} ready GPUs{words}",
    )


def _to_take(flow: float, waiting: float, target: float) -> float:
    """The flow to take so that what is left, and what waits of it, is within the target: what is denied is cancelled in the
    queue as well, so a part of the flow takes the same part of the queue with it.
    """
    return max(0.0, flow + waiting - target) / (1.0 + waiting / flow) if flow > 0 else 0.0


def tiers_alone(view: ScalerView, carried: Mapping[int, Flow]) -> dict[int, float]:
    """By tier priority: what that tier and those above it have beyond 97 % of ready capacity, for all but the lowest tier.

    `carried`: the flow of that tier and those above it. It counts by its lower bound, and of the queue what is longer than its
    objective: those below lose theirs first, in the queue too, so what may be a burst is waited for instead of taken. But
    what is too much of those above is too much with all of this tier: nobody gives a part before those below gave all.
    """
    if len(carried) < 2:
        return {}
    capacity, queue = view.supply.capacity, view.spec.queue
    waiting = max(0.0, (view.demand.backlog or 0.0) - capacity * queue.objective_seconds)
    late = waiting / max(BACKLOG_SECONDS, queue.drain_seconds)
    found: dict[int, float] = {}
    with_those_above = float("-inf")
    for priority in sorted(carried, reverse=True)[:-1]:
        flow = carried[priority]
        over = max(flow.lower + late - TARGET * capacity, with_those_above + flow.mean)
        found[priority], with_those_above = over, over - flow.mean
    return found


def leaving_shortage(view: ScalerView, *, keeps: int, to: ScalerView) -> Shortage | None:
    """What a scaler must let go of before it falls to `keeps` replicas; None where what is left carries all of it."""
    admitted, left = view.demand.admitted, keeps * view.supply.gpus
    if admitted is None or admitted.mean <= TARGET * left:
        return None
    gone = view.supply.replicas * view.supply.gpus - left
    return Shortage(
        scaler=view.key,
        excess=admitted.mean - TARGET * left,
        reason=Reason.MAKES_ROOM,
        message=f"{how_full(to)} and comes first: {gone} GPUs of {view.key.name} go to it",
    )


def room_of(views: Iterable[ScalerView]) -> dict[Key, float]:
    """The flow that each scaler may still take over before it has more than 97 % of its ready capacity."""
    return {
        view.key: TARGET * view.supply.capacity - view.demand.admitted.mean
        for view in views
        if view.demand.admitted is not None
    }


class _TooMuch:
    """What scalers have too much while rungs are taken: `short` are those that do, `why` says why.

    It depends on the tier that is looked at: one that alone is not too much loses nothing for those below it.
    """

    def __init__(self, shortages: Sequence[Shortage], room: Mapping[Key, float]) -> None:
        self.why = {s.scaler: s for s in shortages}
        self._flow: dict[Key, float | None] = {key: -max(0.0, left) for key, left in room.items()}
        self._flow |= {s.scaler: s.excess for s in shortages}
        self._of_tiers = {s.scaler: dict(s.tiers) for s in shortages if s.tiers}
        self.short = {key for key, over in self._flow.items() if over is None or over > LEAST}

    def of(self, scaler: Key, priority: int) -> float | None:
        """The flow that it has too much as far as it concerns a tier; None: it is not known, and one rung is one step."""
        over = self._flow.get(scaler, 0.0)
        if over is None or (tiers := self._of_tiers.get(scaler)) is None:
            return over
        return min(over, tiers.get(priority, over))

    def book(self, cell: Cell, saved: Mapping[Key, float], percent: int, of: int, because: Shortage) -> None:
        """Book what `percent` of a rung `of` so many saves. Where no flow is known the rest waits for the next step."""
        for key, flow in saved.items():
            if key not in self._flow:
                continue
            over = self._flow[key]
            left = self._flow[key] = 0.0 if over is None else over - flow * (percent / of)
            if left > LEAST:
                self.short.add(key)
                if key not in self.why:
                    self.why[key] = _taken_over(key, because)
            else:
                self.short.discard(key)
            tiers = self._of_tiers.get(key, {})
            for priority in tiers:
                if cell.tier_priority >= priority:
                    tiers[priority] -= flow * percent / of


def shed(
    rungs: Iterable[Rung],
    shortages: Sequence[Shortage],
    *,
    levels: Mapping[CellKey, Level],
    rates: Mapping[CellKey, float | None],
    factors: Mapping[Key, float],
    room: Mapping[Key, float],
) -> list[Taken]:
    """The rungs to take now, in the order of the ladder; one entry for each cell that changes.

    `levels`: where each cell sits; `rates`: requests a second that its users ask for now. `room`: the flow that scalers may
    take over from others; one that takes over more than that is short as well. Neither `lowest` nor an `Always` cell is ever
    passed: the ladder has no such rung.

    One user who is whole loses whole rungs: a burst is younger than the window that tells its rate, and others would pay for
    what is not seen of it yet. It comes back in parts.
    """
    excess = _TooMuch(shortages, room)
    at: dict[CellKey, Level] = {}
    result: dict[CellKey, Taken] = {}
    for rung in rungs:
        cell = rung.cell
        if excess.short.isdisjoint(cell.scalers):
            continue
        level = at.get(cell.key) or levels[cell.key]
        if level.variant != rung.step:
            continue
        saved = _saved(rung, level, rates.get(cell.key), factors)
        part, scaler = _needed(rung, saved, excess)
        if scaler is None:
            continue
        whole = cell.alone and levels[cell.key] == FIRST
        percent = level.percent if whole else _whole_parts(level, part)
        at[cell.key] = lower(level, by_percent=percent)
        because = excess.why[scaler]
        message = because.message
        if cell.alone:
            message = f"this user alone asks for {rates.get(cell.key) or 0.0:.1f} requests a second; {message}"
        result[cell.key] = Taken(cell=cell, level=at[cell.key], reason=because.reason, message=message)
        excess.book(cell, saved, percent, level.percent, because)
    return list(result.values())


def _taken_over(scaler: Key, source: Shortage) -> Shortage:
    """A scaler that became short by what another one let go of."""
    message = f"{scaler.name} takes over more of {source.scaler.name} than it has room for; {source.message}"
    return Shortage(scaler=scaler, excess=None, reason=source.reason, message=message)


def _saved(rung: Rung, level: Level, rate: float | None, factors: Mapping[Key, float]) -> dict[Key, float]:
    """Flow that taking the whole rung saves each scaler; negative where the next variant costs another one more.

    A cell that nobody asks for saves nothing, and is left alone.
    """
    asked = (rate or 0.0) * level.percent / 100
    here, below = rung.cell.costs[rung.step], rung.cell.costs[rung.step + 1]
    return {
        key: asked * (here.get(key, 0.0) - below.get(key, 0.0)) * factors.get(key, 1.0) for key in {**here, **below}
    }


def _needed(rung: Rung, saved: Mapping[Key, float], excess: _TooMuch) -> tuple[float, Key | None]:
    """The part of a rung that is needed (0 to 1), and the scaler that needs most of it."""
    part, needy = 0.0, None
    for key, flow in saved.items():
        over = excess.of(key, rung.cell.tier_priority)
        if over is None:
            if rung.cell.costs[rung.step].get(key, 0.0) > 0:
                return 1.0, key
        elif over > LEAST and flow > LEAST and over / flow > part:
            part, needy = over / flow, key
    return min(1.0, part), needy


def _whole_parts(level: Level, part: float) -> int:
    """`part` of the level's users in percent, upwards to a multiple of 5."""
    percent = LEAST_PART_PERCENT * ceil(level.percent * part / LEAST_PART_PERCENT - 1e-9)
    return max(1, min(level.percent, percent))
