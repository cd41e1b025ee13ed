"""Who is sure to be late."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.deadlines import late, late_by


@dataclass
class Due:
    cost: float
    own_seconds: float
    deadline: float | None


def test_who_can_be_done_just_in_time_is_not_late() -> None:
    assert late_by(110.0, now=100, ahead=8, own_seconds=2) == 0
    assert late_by(110.0, now=100, ahead=8, own_seconds=3) == 1


def test_without_a_deadline_nobody_is_late() -> None:
    assert late_by(None, now=1e9, ahead=1e9, own_seconds=1e9) == 0


def test_who_is_behind_what_is_refused_does_not_wait_for_it() -> None:
    heavy, light = Due(50, 60, deadline=50), Due(1, 2, deadline=10)
    assert late([heavy, light], now=0) == [(heavy, 10)]


def test_time_makes_late_what_was_not() -> None:
    ticket = Due(1, 2, deadline=10)
    assert not late([ticket], now=8)
    assert late([ticket], now=8.5) == [(ticket, 0.5)]


dues = st.builds(Due, st.floats(0.1, 10), st.floats(0.1, 10), st.one_of(st.none(), st.floats(0, 100)))


@given(st.lists(dues), st.floats(0, 50))
def test_those_who_stay_are_all_in_time_if_served_in_order_at_full_speed(tickets: list[Due], now: float) -> None:
    refused = [id(ticket) for ticket, _ in late(tickets, now=now)]
    clock = now
    for ticket in tickets:
        if id(ticket) not in refused:
            assert ticket.deadline is None or clock + ticket.own_seconds <= ticket.deadline + 1e-6
            clock += ticket.cost
