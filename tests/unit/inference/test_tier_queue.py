"""The order of service."""

from dataclasses import dataclass
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.tier_queue import TierQueue

PRIORITIES = {"pro": 100, "plus": 50, "free": 10}
numbers = count()


@dataclass(eq=False)
class Place:
    tier: str
    priority: int
    number: int
    cost: float = 1.0


def place(tier: str, cost: float = 1.0) -> Place:
    return Place(tier, PRIORITIES[tier], next(numbers), cost)


def queue(*tickets: Place, places: int = 10) -> TierQueue[Place]:
    made: TierQueue[Place] = TierQueue(places_per_tier=places)
    for ticket in tickets:
        assert made.offer(ticket)
    return made


def test_a_higher_tier_is_served_before_a_lower_one_that_came_first() -> None:
    free, pro = place("free"), place("pro")
    waiting = queue(free, pro)
    assert [waiting.take(), waiting.take()] == [pro, free]


def test_within_a_tier_whoever_came_first_is_served_first() -> None:
    first, second = place("plus"), place("plus")
    waiting = queue(first, second)
    assert [waiting.take(), waiting.take()] == [first, second]


def test_a_flood_of_one_tier_leaves_the_places_of_another() -> None:
    waiting = queue(*(place("free") for _ in range(3)), places=3)
    assert not waiting.offer(place("free"))
    assert waiting.offer(place("pro"))


def test_a_place_that_was_left_can_be_taken_again() -> None:
    gone = place("free")
    waiting = queue(gone, places=1)
    assert waiting.remove(gone)
    assert waiting.offer(place("free"))


def test_removing_what_does_not_wait_changes_nothing() -> None:
    waiting = queue(place("free"))
    assert not waiting.remove(place("free"))
    assert len(waiting) == 1


def test_the_queue_costs_what_its_tickets_cost() -> None:
    waiting = queue(place("free", 2.0), place("pro", 0.5))
    assert waiting.gpu_seconds() == 2.5


def test_a_newcomer_waits_for_its_own_tier_and_those_above_alone() -> None:
    waiting = queue(place("free", 2.0), place("plus", 0.25), place("pro", 0.5))
    assert waiting.gpu_seconds(at_least_priority=PRIORITIES["plus"]) == 0.75


def test_a_ticket_that_changed_tier_is_served_in_the_new_one_by_its_age() -> None:
    risen, pro = place("free"), place("pro")
    waiting = queue(risen, pro)
    risen.tier, risen.priority = "pro", PRIORITIES["pro"]
    waiting.reorder()
    assert waiting.take() is risen
    assert dict(waiting.lengths) == {"free": 0, "pro": 1}


@given(st.lists(st.tuples(st.sampled_from(sorted(PRIORITIES)), st.booleans())))
def test_nobody_is_lost_and_nobody_is_served_before_a_higher_tier(arrivals: list[tuple[str, bool]]) -> None:
    waiting: TierQueue[Place] = TierQueue(places_per_tier=len(arrivals) + 1)
    inside: list[Place] = []
    for tier, then_serve in arrivals:
        ticket = place(tier)
        assert waiting.offer(ticket)
        inside.append(ticket)
        if then_serve:
            served = waiting.take()
            assert served is min(inside, key=lambda each: (-each.priority, each.number))
            inside.remove(served)
    assert len(waiting) == len(inside) == sum(waiting.lengths.values())
