"""The order of the ladder, as it is promised to whoever writes policies: what goes first, and comes back last."""

from typing import NamedTuple


class Place(NamedTuple):
    """Where a rung stands: the smallest goes first.

    The tier of the least priority, within it the feature of the lowest `shedOrder`, each variant before the next, cohorts before
    the rest of their tier; one heavy user before everybody else.
    """

    everybody: bool
    tier_priority: int
    shed_order: int
    step: int
    cohort_position: int
    policy: str
    user: str
