"""A record as the plots and tables want it: in bins that an eye can follow, by feature, and as what each cell lost."""

import numpy as np
from msgspec import Struct

from brownout.decide.cells import Cell, Rung
from brownout.decide.outcome import Level
from brownout.simulate.levels import depth, depth_alone
from brownout.simulate.record import Alone, Floats, Ints, Record

MOST_BINS, LEAST_BINS = 180, 40
LEAST_BIN_SECONDS = 10.0
LEAST_ASKS = 15
"""In a bin, on average: fewer are a comb of ones and noughts."""


class Bins(Struct, frozen=True, kw_only=True):
    """Consecutive spans of ticks: the first tick of each, its length in seconds, and where it starts, in minutes."""

    first: list[int]
    seconds: Floats
    minutes: Floats


def bins(record: Record, asks: Floats | None = None) -> Bins:
    """At most 180, of at least 10 s; wider where `asks` by tick are few, down to 40 of them."""
    ticks = len(record.asked)
    width = max(1, round(LEAST_BIN_SECONDS / record.tick_seconds), -(-ticks // MOST_BINS))
    if asks is not None and asks.any():
        width = max(width, min(round(LEAST_ASKS / float(asks.mean())), ticks // LEAST_BINS))
    first = np.arange(0, ticks, width)
    lengths = np.diff(np.append(first, ticks))
    return Bins(first=first.tolist(), seconds=lengths * record.tick_seconds, minutes=first * record.tick_seconds / 60)


def a_second(counts: Floats, into: Bins) -> Floats:
    """Counts by tick as a rate: [T] to [B]."""
    rate: Floats = np.add.reduceat(counts, into.first) / into.seconds
    return rate


def features(record: Record) -> dict[str, list[int]]:
    """The cells of each feature, by its name."""
    found: dict[str, list[int]] = {}
    for c, cell in enumerate(record.cells):
        found.setdefault(cell.key.policy.name, []).append(c)
    return dict(sorted(found.items()))


def ladder(record: Record) -> list[int]:
    """The cells that may lose something, in the order in which the first of it is taken."""
    may = [c for c, cell in enumerate(record.cells) if cell.planned and not cell.always and cell.lowest]
    return sorted(may, key=lambda c: Rung(cell=record.cells[c], step=0).order)


def shares(record: Record, cell: int) -> Floats:
    """[T, V]: the share of a cell's users on each of its variants."""
    return _shares(record.cells[cell], record.variant[:, cell], record.percent[:, cell])


def _shares(cell: Cell, variant: Ints, percent: Ints) -> Floats:
    found = np.zeros((len(variant), len(cell.variants) + 1))
    ticks = np.arange(len(found))
    found[ticks, variant] = percent / 100
    found[ticks, variant + 1] += 1 - percent / 100
    return found[:, :-1]


def title(cell: Cell) -> str:
    """A cell, or a user alone, as a row's label."""
    audience = cell.key.audience
    user = f"{audience.user} alone" if cell.alone else ""
    return " · ".join(filter(None, (cell.key.policy.name, audience.tier, audience.cohort, user)))


class Row(Struct, frozen=True, kw_only=True):
    """A row of the ladder: its label, and [T, V], the share of its users on each variant."""

    title: str
    shares: Floats


def rows(record: Record) -> list[Row]:
    """The ladder, what is taken first first: users who were held back alone, then the cells that may lose something."""
    alone = [
        Row(title=title(user.cell), shares=_shares(user.cell, user.variant, user.percent)) for user in record.alone
    ]
    return alone + [Row(title=title(record.cells[c]), shares=shares(record, c)) for c in ladder(record)]


class Loss(Struct, frozen=True, kw_only=True):
    """What a cell's users had while it was below its first variant, of their fresh asks within that time.

    `users` is the expected number of different ones: a user's asks fall anywhere among the cell's, so one who asked n times in
    the run asked within a share p of them with the probability 1 - (1 - p)^n.
    """

    cell: Cell
    deepest: str
    minutes: float
    users: float
    asked: float
    good: float
    late: float

    @property
    def refused(self) -> float:
        return self.asked - self.good - self.late


def losses(record: Record) -> tuple[Loss, ...]:
    """The users alone and the cells that were ever below their first variant, in the order of the ladder.

    What a user alone lost is in its cell's numbers too, where that was below its first variant at the same time.
    """
    alone = zip(record.alone, depth_alone(record).T, strict=True)
    found = [_loss(record, user, depths, users=1.0) for user, depths in alone]
    of_cells = depth(record)
    for c in ladder(record):
        below = of_cells[:, c] > 0
        if not below.any():
            continue
        asked, whole = float(record.asked[below, c].sum()), float(record.asked[:, c].sum())
        asks = record.user_asked[record.user_cell == c]
        users = float((1 - (1 - asked / whole) ** asks).sum()) if whole else 0.0
        found.append(_loss(record, _everybody(record, c), of_cells[:, c], users=users))
    return tuple(found)


def _everybody(record: Record, c: int) -> Alone:
    """A cell's columns, as those of a user alone."""
    return Alone(
        cell=record.cells[c],
        of=c,
        variant=record.variant[:, c],
        percent=record.percent[:, c],
        asked=record.asked[:, c],
        good=record.good[:, c],
        late=record.late[:, c],
    )


def _loss(record: Record, of: Alone, depths: Ints, *, users: float) -> Loss:
    below, deepest = depths > 0, int(depths.argmax())
    return Loss(
        cell=of.cell,
        deepest=of.cell.name(Level(int(of.variant[deepest]), int(of.percent[deepest]))),
        minutes=float(below.sum()) * record.tick_seconds / 60,
        users=users,
        asked=float(of.asked[below].sum()),
        good=float(of.good[below].sum()),
        late=float(of.late[below].sum()),
    )


class Share(Struct, frozen=True, kw_only=True):
    """What the users of a tier got of all that they asked for in the run."""

    tier: str
    priority: int
    asked: float
    good: float
    late: float

    @property
    def refused(self) -> float:
        return self.asked - self.good - self.late


def tiers(record: Record) -> tuple[Share, ...]:
    """By tier, the one that is protected longest first."""
    found = []
    for priority, tier in sorted({(c.tier_priority, c.key.audience.tier) for c in record.cells}, reverse=True):
        own = [c.key.audience.tier == tier for c in record.cells]
        asked, good, late = (float(counts[:, own].sum()) for counts in (record.asked, record.good, record.late))
        found.append(Share(tier=tier, priority=priority, asked=asked, good=good, late=late))
    return tuple(found)
