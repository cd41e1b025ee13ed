"""The order of service."""

from collections import Counter
from dataclasses import dataclass
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.tier_queue import TierQueue, order

PRIORITIES = {"pro": 100, "plus": 50, "free": 10}
numbers = count()


@dataclass(eq=False)
class Place:
    tier: str
    priority: int
    number: int
    cost: float = 1.0
    user: str = ""
    offered_at: float = 0.0
    start_tag: float = 0.0
    aged: bool = False


def place(tier: str, cost: float = 1.0, *, user: str | None = None, offered_at: float = 0.0) -> Place:
    number = next(numbers)
    return Place(tier, PRIORITIES[tier], number, cost, f"user-{number}" if user is None else user, offered_at)


def queue(*tickets: Place, places: int = 10, aged_share: float = 0.05) -> TierQueue[Place]:
    made: TierQueue[Place] = TierQueue(places_per_tier=places, age_seconds=10, aged_share=aged_share)
    for ticket in tickets:
        assert made.offer(ticket) is None
    return made


def served(waiting: TierQueue[Place], now: float = 0.0) -> Place:
    head = waiting.head(now)
    assert head is not None
    return waiting.take(head)


def all_served(waiting: TierQueue[Place], now: float = 0.0) -> list[Place]:
    return [served(waiting, now) for _ in range(len(waiting))]


def test_a_higher_tier_is_served_before_a_lower_one_that_came_first() -> None:
    free, pro = place("free"), place("pro")
    assert all_served(queue(free, pro)) == [pro, free]


def test_within_a_tier_whoever_came_first_is_served_first() -> None:
    first, second = place("plus"), place("plus")
    assert all_served(queue(first, second)) == [first, second]


def test_of_a_burst_by_one_user_only_the_first_goes_before_what_others_ask_later() -> None:
    burst = [place("free", user="heavy") for _ in range(3)]
    late = [place("free"), place("free")]
    assert all_served(queue(*burst, *late)) == [burst[0], *late, *burst[1:]]


def test_users_who_ask_for_much_at_once_take_turns_by_what_their_requests_cost() -> None:
    dear = [place("free", 4.0, user="dear") for _ in range(3)]
    cheap = [place("free", 1.0, user="cheap") for _ in range(8)]
    waiting = queue(*dear, *cheap, places=20)
    got = Counter[str]()
    for _ in range(9):
        ticket = served(waiting)
        got[ticket.user] += int(ticket.cost)
    assert abs(got["dear"] - got["cheap"]) <= 4


def test_a_user_who_was_served_much_has_no_debt_once_the_others_have_caught_up() -> None:
    waiting = queue(*(place("free", user="early") for _ in range(5)))
    all_served(waiting)
    again, new = place("free", user="early"), place("free", user="new")
    waiting.offer(again)
    waiting.offer(new)
    assert all_served(waiting) == [new, again]
    later, early = place("free", user="new"), place("free", user="early")
    waiting.offer(later)
    waiting.offer(early)
    assert len(all_served(waiting)) == 2


def test_a_flood_of_one_tier_leaves_the_places_of_another() -> None:
    waiting = queue(*(place("free") for _ in range(3)), places=3)
    refused = place("free")
    assert waiting.offer(refused) is refused
    assert waiting.offer(place("pro")) is None


def test_a_heavy_user_who_fills_a_tier_gives_the_last_place_up_to_another() -> None:
    burst = [place("free", user="heavy") for _ in range(3)]
    waiting = queue(*burst, places=3)
    newcomer = place("free", user="light")
    assert waiting.offer(newcomer) is burst[-1]
    assert all_served(waiting) == [burst[0], newcomer, burst[1]]


def test_nobody_is_put_out_by_a_user_who_holds_as_much() -> None:
    waiting = queue(*(place("free", user=user) for user in ("a", "a", "b", "b")), places=4)
    refused = place("free", user="a")
    assert waiting.offer(refused) is refused
    third = place("free", user="b")
    assert waiting.offer(third) is third


def test_what_is_put_back_keeps_its_turn() -> None:
    first, second = place("free"), place("free")
    waiting = queue(first, second)
    assert served(waiting) is first
    waiting.put_back(first)
    assert all_served(waiting) == [first, second]


def test_a_place_that_was_left_can_be_taken_again() -> None:
    gone = place("free")
    waiting = queue(gone, places=1)
    assert waiting.remove(gone)
    assert waiting.offer(place("free")) is None


def test_who_leaves_is_no_debt_of_the_same_user() -> None:
    gone, next_one, other = place("free", user="a"), place("free", user="a"), place("free", user="b")
    waiting = queue(gone)
    waiting.remove(gone)
    waiting.offer(next_one)
    waiting.offer(other)
    assert all_served(waiting) == [next_one, other]


def test_removing_what_does_not_wait_changes_nothing() -> None:
    waiting = queue(place("free"))
    assert not waiting.remove(place("free"))
    assert len(waiting) == 1


def test_what_has_aged_gets_its_share_and_no_more() -> None:
    waiting = queue(*(place("free") for _ in range(10)), places=1000)
    order_served = []
    for _ in range(200):
        waiting.offer(place("pro", offered_at=20))
        order_served.append(served(waiting, now=20).tier)
    assert order_served.count("free") == 9  # a twentieth of 191 is 9.55


def test_what_has_not_waited_long_has_no_claim() -> None:
    waiting = queue(*(place("free", offered_at=15) for _ in range(10)), places=1000)
    for _ in range(100):
        waiting.offer(place("pro", offered_at=20))
        assert served(waiting, now=20).tier == "pro"


def test_without_a_share_nothing_ages() -> None:
    waiting = queue(place("free"), places=1000, aged_share=0)
    for _ in range(100):
        waiting.offer(place("pro", offered_at=20))
        assert served(waiting, now=20).tier == "pro"


def test_what_was_let_through_for_its_age_may_finish() -> None:
    waiting = queue(place("free"), places=1000)
    for _ in range(100):
        waiting.offer(place("pro", offered_at=20))
        if (ticket := served(waiting, now=20)).tier == "free":
            break
    assert order(ticket) < order(place("pro"))


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
    assert served(waiting) is risen
    assert dict(waiting.lengths) == {"free": 0, "pro": 1}


arrivals = st.lists(st.tuples(st.sampled_from(sorted(PRIORITIES)), st.sampled_from("abc"), st.integers(1, 5)))


@given(arrivals, st.lists(st.booleans()))
def test_nobody_is_lost_and_nobody_young_is_served_before_a_higher_tier(
    asked: list[tuple[str, str, int]], then_serve: list[bool]
) -> None:
    waiting: TierQueue[Place] = TierQueue(places_per_tier=len(asked) + 1)
    inside: list[Place] = []
    for (tier, user, cost), serve in zip(asked, [*then_serve, *[False] * len(asked)], strict=False):
        ticket = place(tier, cost, user=user)
        assert waiting.offer(ticket) is None
        inside.append(ticket)
        if serve:
            taken = served(waiting)
            assert taken.priority == max(each.priority for each in inside)
            mine = [each for each in inside if each.user == taken.user and each.tier == taken.tier]
            assert taken is mine[0]
            inside.remove(taken)
    assert len(waiting) == len(inside) == sum(waiting.lengths.values())


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(10, 30))
def test_users_who_always_ask_are_never_further_apart_than_two_of_their_dearest_requests(
    costs: list[int], rounds: int
) -> None:
    waiting: TierQueue[Place] = TierQueue(places_per_tier=10_000)
    got = dict.fromkeys(range(len(costs)), 0.0)
    for user, cost in enumerate(costs):
        for _ in range(rounds * 5):
            waiting.offer(place("free", cost, user=str(user)))
    for _ in range(rounds):
        ticket = served(waiting)
        got[int(ticket.user)] += ticket.cost
    assert max(got.values()) - min(got.values()) <= 2 * max(costs)
