"""How many users come, and when: a calm minute, a viral ramp on images far beyond the pool, and the way back. Pure."""

from dataclasses import dataclass
from itertools import pairwise

MINUTES = 6.0

PHASES: tuple[tuple[str, float], ...] = (
    ("calm", 60),
    ("ramp", 45),
    ("peak", 85),
    ("decline", 30),
    ("aftermath", 140),
)
"""Name and seconds of each phase in a demo of six minutes; another length stretches them all."""

CURVE: tuple[tuple[float, float], ...] = ((0, 0.0), (60, 0.0), (105, 1.0), (190, 1.0), (220, 0.0), (360, 0.0))
"""How viral it is, from 0 to 1, by seconds of a demo of six minutes."""


@dataclass(frozen=True, order=True)
class Group:
    """Users of one tier and cohort who ask for one feature."""

    feature: str
    tier: str
    cohort: str = ""


@dataclass(frozen=True)
class Rates:
    """Requests a second: on a calm day, and when it is viral."""

    calm: float
    viral: float


USERS: dict[Group, Rates] = {
    Group("chat", "pro"): Rates(0.6, 0.6),
    Group("chat", "plus"): Rates(0.8, 0.8),
    Group("chat", "free"): Rates(0.8, 1.0),
    Group("chat", "free", "new-accounts"): Rates(0.3, 0.8),
    Group("image-generation", "pro"): Rates(0.4, 1.6),
    Group("image-generation", "plus"): Rates(0.5, 2.6),
    Group("image-generation", "free"): Rates(0.6, 12.0),
    Group("image-generation", "free", "new-accounts"): Rates(0.3, 24.0),
    Group("video-generation", "pro"): Rates(0.06, 0.06),
    Group("video-generation", "plus"): Rates(0.08, 0.08),
    Group("video-generation", "free"): Rates(0.16, 0.5),
    Group("video-generation", "free", "new-accounts"): Rates(0.14, 0.5),
}

OBJECTIVE_SECONDS = {"chat": 5.0, "image-generation": 8.0, "video-generation": 25.0}
"""An answer later than this is late: the objective of each feature."""

MOST_RATE = max(max(r.calm, r.viral) for r in USERS.values())


def virality(at: float, *, minutes: float = MINUTES) -> float:
    """How viral it is `at` seconds after the start of a demo of `minutes`, from 0 to 1."""
    scaled = at * MINUTES / minutes
    for (start, low), (end, high) in pairwise(CURVE):
        if start <= scaled < end:
            return low + (high - low) * (scaled - start) / (end - start)
    return CURVE[-1][1]


def rate(group: Group, at: float, *, minutes: float = MINUTES) -> float:
    """Requests a second of a group at that moment."""
    rates = USERS[group]
    return rates.calm + (rates.viral - rates.calm) * virality(at, minutes=minutes)


def phase(at: float, *, minutes: float = MINUTES) -> str:
    """The name of the phase at that moment."""
    left = at * MINUTES / minutes
    for name, seconds in PHASES:
        if left < seconds:
            return name
        left -= seconds
    return PHASES[-1][0]


def phase_start(name: str, *, minutes: float = MINUTES) -> float:
    """When a phase begins, in seconds from the start."""
    begun = 0.0
    for candidate, seconds in PHASES:
        if candidate == name:
            return begun * minutes / MINUTES
        begun += seconds
    raise KeyError(name)
