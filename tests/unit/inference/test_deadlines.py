"""Who is sure to be late."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.deadlines import Ahead, late, late_by, most_wait

MOST = 4


@dataclass
class Due:
    slots: float
    own_seconds: float
    deadline: float | None


def those_late(*tickets: Due, now: float = 0) -> list[tuple[Due, float]]:
    return late(tickets, now=now, most=MOST, needs=lambda ticket: (ticket.slots, ticket.own_seconds))


def test_who_can_be_done_just_in_time_is_not_late() -> None:
    assert late_by(110.0, now=100, least_wait=8, own_seconds=2) == 0
    assert late_by(110.0, now=100, least_wait=8, own_seconds=3) == 1


def test_without_a_deadline_nobody_is_late() -> None:
    assert late_by(None, now=1e9, least_wait=1e9, own_seconds=1e9) == 0


def test_as_many_as_the_batch_has_places_begin_at_once() -> None:
    assert those_late(*[Due(1, 5, deadline=8)] * 4) == []
    assert those_late(*[Due(1, 5, deadline=8)] * 5) == [(Due(1, 5, deadline=8), 2)]  # it begins with the second batch


def test_who_needs_the_whole_batch_waits_for_all() -> None:
    assert those_late(Due(1, 8, deadline=None), Due(4, 5, deadline=6)) == [(Due(4, 5, deadline=6), 7)]


def test_who_needs_more_than_is_free_holds_back_those_behind() -> None:
    ahead = Ahead(MOST)
    for slots, seconds in ((3, 5), (2, 1)):
        ahead.add(slots, seconds)
    assert ahead.least_wait(1) == pytest.approx(5)


def test_slots_that_are_fractions_add_up() -> None:
    ahead = Ahead(0.3)
    ahead.add(0.1, 5)
    ahead.add(0.1, 5)
    assert ahead.least_wait(0.1) == 0


def test_who_is_behind_what_is_refused_does_not_wait_for_it() -> None:
    heavy, light = Due(4, 60, deadline=50), Due(4, 2, deadline=10)
    assert those_late(heavy, light) == [(heavy, 10)]


def test_time_makes_late_what_was_not() -> None:
    ticket = Due(1, 2, deadline=10)
    assert not those_late(ticket, now=8)
    assert those_late(ticket, now=8.5) == [(ticket, 0.5)]


dues = st.builds(
    Due, st.sampled_from([0.25, 0.5, 1, 2, 4]), st.floats(0.1, 10), st.one_of(st.none(), st.floats(0, 100))
)


@given(st.lists(dues, max_size=20), st.floats(0, 50))
def test_they_are_refused_and_no_others_who_are_late_if_all_are_served_in_order_beside_each_other(
    tickets: list[Due], now: float
) -> None:
    refused = [id(ticket) for ticket, _ in those_late(*tickets, now=now)]
    begun, served = now, list[tuple[float, float, float]]()
    for ticket in tickets:
        moments = [begun, *(end for _, end, _ in served if end > begun)]
        start = min(
            moment
            for moment in moments
            if sum(slots for since, end, slots in served if since <= moment < end) + ticket.slots <= MOST
        )
        if id(ticket) in refused:
            assert ticket.deadline is not None
            assert start + ticket.own_seconds > ticket.deadline - 1e-6
        else:
            assert ticket.deadline is None or start + ticket.own_seconds < ticket.deadline + 1e-6
            begun = start
            served.append((start, start + ticket.own_seconds, ticket.slots))


@given(st.lists(dues, min_size=1, max_size=20))
def test_nobody_begins_later_than_is_quickly_found(tickets: list[Due]) -> None:
    ahead = Ahead(MOST)
    *before, last = tickets
    for ticket in before:
        ahead.add(ticket.slots, ticket.own_seconds)
    gpu_seconds = sum(ticket.slots * ticket.own_seconds / MOST for ticket in before)
    largest = max(ticket.slots for ticket in tickets)
    assert ahead.least_wait(last.slots) <= most_wait(gpu_seconds, most=MOST, largest=largest) + 1e-6
