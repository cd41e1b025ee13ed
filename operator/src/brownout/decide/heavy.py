"""One user's burst is answered by that user's own share, before a whole tier pays for it.

A user who asks for a great part of what a cell asks for becomes a cell of its own, beside the cell that it came out of, which
is then counted without it. From there on everything is as for any cell (memory, dwell, gate, a line in status), but: its rungs
come before all others; it never has more than its cell has; what it asked for is remembered for minutes only. A part of it is a
part of the time, in seconds, so that it gets what the others leave. It is forgotten when it is whole again and heavy no more.

What this cannot see: many users who act together, users who change their name (each is light), and servers that do not say who
their heaviest users are. Those are answered as any other demand, on the ladder.
"""

from collections.abc import Iterable, Mapping

from msgspec import structs

from brownout.api.policy import Demand
from brownout.decide.cells import FIRST, Cell
from brownout.decide.evidence import Missing, Sample, fresh
from brownout.decide.memory import CellMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.rates import RATE_WINDOW_SECONDS
from brownout.decide.snapshot import Audience, Policy

CELL_SHARE = 0.2
"""The least part of its cell's offered rate that a heavy user asks for."""

FEATURE_SHARE = 0.1
"""And of the whole feature's: the heaviest of a few paying users is not why a feature with thousands of others is short."""

NOISE_TIMES = 5.0
LEAST_RATE = NOISE_TIMES**2 / RATE_WINDOW_SECONDS
"""And so many standard deviations of its own count: N requests in the window are give or take the root of N, so N is at least 25,
and the rate 25 in 30 s."""

STANDS_OUT = 4.0
"""And so many times that of the lightest user who is named beside it: where all ask alike there is no heavy one."""

MOST_USERS = 3
"""Users of one cell who are held back alone; beyond that it is not one user's burst."""

REMEMBER_SECONDS = 600.0
"""A user's rate from before a shed is remembered for so long at most, and decays: a script ends sooner than a tier's interest."""

Users = Mapping[CellKey, Cell]
"""Cells of one user each."""


def audience_of(user: Audience) -> Audience:
    """The tier and cohort that a user belongs to."""
    return Audience(user.tier, user.cohort)


def parent_of(key: CellKey) -> CellKey:
    """The cell that a user's cell came out of."""
    return CellKey(key.policy, audience_of(key.audience))


def remember_seconds(cell: Cell, demand: Demand) -> float:
    """For how long what a cell asked for before it was shed is remembered."""
    return min(REMEMBER_SECONDS, demand.remember_seconds) if cell.alone else float(demand.remember_seconds)


def heavy_users(policy: Policy, *, now: float, within_seconds: float) -> dict[Audience, list[Audience]]:
    """By tier and cohort: the users who are heavy now, heaviest first. Nobody where that cannot be seen.

    A demand sample older than `within_seconds` is none.
    """
    if isinstance(policy.heaviest, Missing) or isinstance(policy.offered, Missing) or not policy.heaviest:
        return {}
    everybody = sum(sample.value for sample in policy.offered.values())
    least = max(FEATURE_SHARE * everybody, LEAST_RATE)
    if all(sample.value < least for sample in policy.heaviest.values()):
        return {}  # nearly always, and there may be thousands of policies

    named: dict[Audience, list[tuple[float, Audience]]] = {}
    for user, sample in policy.heaviest.items():
        if isinstance(fresh(sample, now=now, within_seconds=within_seconds), Sample):
            named.setdefault(audience_of(user), []).append((sample.value, user))
    found: dict[Audience, list[Audience]] = {}
    for audience, users in named.items():
        offered = policy.offered.get(audience)
        if len(users) < 2 or offered is None or now - offered.at > within_seconds:
            continue
        lightest = min(rate for rate, _ in users)
        least_here = max(least, CELL_SHARE * offered.value, STANDS_OUT * lightest)
        heavy = sorted((-rate, user) for rate, user in users if rate >= least_here)
        if heavy:
            found[audience] = [user for _, user in heavy]
    return found


def user_cells(
    cells: Mapping[CellKey, Cell],
    policies: Iterable[Policy],
    memory: Mapping[CellKey, CellMemory],
    *,
    now: float,
    within_seconds: float,
) -> dict[CellKey, Cell]:
    """The cells of single users: those who are held back still, and those who are heavy now; at most three of each cell.

    Only out of cells from which something may be taken at all.
    """
    wanted: dict[CellKey, list[Audience]] = {}
    for key, remembered in memory.items():
        if key.audience.user and remembered.level != FIRST:
            wanted.setdefault(parent_of(key), []).append(key.audience)
    for users in wanted.values():
        users.sort()
    for policy in policies:
        for audience, heavy in heavy_users(policy, now=now, within_seconds=within_seconds).items():
            users = wanted.setdefault(CellKey(policy.stored.key, audience), [])
            users += [user for user in heavy if user not in users]
    return {
        (key := CellKey(parent.policy, user)): structs.replace(cells[parent], key=key, alone=True)
        for parent, users in sorted(wanted.items())
        if parent in cells and may_be_split(cells[parent])
        for user in users[:MOST_USERS]
    }


def may_be_split(cell: Cell) -> bool:
    """Whether one of a cell's users may be held back alone: the loop decides about the cell, and may take something from it."""
    return cell.planned and not cell.always and cell.lowest > 0 and cell.mode != "Advise"


def user_rate(policy: Policy, user: Audience, *, now: float, within_seconds: float) -> Sample | Missing | None:
    """What a user asks for: a sample, Missing where it cannot be seen, None where the user is not among the heaviest.

    Nor can it be seen where what its whole cell asks for cannot. Nobody asks for more than the cell.
    """
    if isinstance(policy.offered, Missing):
        return policy.offered
    if isinstance(policy.heaviest, Missing):
        return policy.heaviest
    of_all, own = policy.offered.get(audience_of(user)), policy.heaviest.get(user)
    if of_all is None or own is None:
        return None
    return fresh(Sample(min(own.value, of_all.value), min(own.at, of_all.at)), now=now, within_seconds=within_seconds)


def without_users(
    seen: Mapping[CellKey, float | None],
    users: Users,
    memory: Mapping[CellKey, CellMemory],
    missing: Mapping[CellKey, str],
) -> dict[CellKey, float | None]:
    """What everybody asks for, with each user counted once: in its own cell, and not in the one that it came out of.

    `seen`: requests a second, of cells with all of their users and of these users. While a user's rate is `missing` its last
    mean is taken from its cell; a user who is not among the heaviest any more is one of the cell again.
    """
    found = dict(seen)
    for key in users:
        parent, rate = parent_of(key), seen[key]
        if key in missing:
            rate = memory[key].mean_rate if memory[key].mean_rate is not None else memory[key].shed_rate
        left = found.get(parent)
        if left is None or rate is None:
            continue
        found[parent] = left - min(left, rate)
        if key not in missing:
            found[key] = min(left, rate)
    return found


def beneath(own: Level, cell: Level) -> Level:
    """What a user of a cell has: the lesser of its own level and the cell's."""
    return own if own.depth > cell.depth else cell
