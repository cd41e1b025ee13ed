"""How the bound of the batch shrinks and grows."""

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.engine.bound import FIRST_WHILE_SECONDS, LONGEST_WHILE_SECONDS, Bound


def test_it_falls_to_what_fitted() -> None:
    bound = Bound(8)
    bound.was_full(8, 4, at=0.0)
    assert bound.now == 4


def test_where_nothing_fitted_it_halves_and_one_is_always_tried() -> None:
    bound = Bound(8)
    for tried in (8, 4, 2, 1, 1):
        bound.was_full(tried, 0, at=0.0)
    assert bound.now == 1


def test_it_grows_by_a_part_after_a_while_in_which_full_steps_went_well() -> None:
    bound = Bound(16)
    bound.was_full(16, 8, at=0.0)
    bound.went_well(8, at=FIRST_WHILE_SECONDS - 1)
    assert bound.now == 8
    bound.went_well(8, at=FIRST_WHILE_SECONDS)
    assert bound.now == 10
    bound.went_well(10, at=FIRST_WHILE_SECONDS + 1)
    assert bound.now == 10


def test_steps_that_are_far_from_full_say_nothing() -> None:
    bound = Bound(16)
    bound.was_full(16, 8, at=0.0)
    bound.went_well(2, at=1000.0)
    assert bound.now == 8


def test_growing_too_far_again_and_again_is_tried_ever_more_rarely() -> None:
    bound, now, tries = Bound(8), 0.0, 0
    bound.was_full(8, 4, at=now)
    while now < 3600:
        now += 1.0
        bound.went_well(bound.now, at=now)
        if bound.now > 4:
            bound.was_full(bound.now, 4, at=now)
            tries += 1
    assert 3600 / LONGEST_WHILE_SECONDS <= tries <= 12


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 64)), max_size=50), st.integers(1, 64))
def test_it_stays_between_one_and_the_most(events: list[tuple[bool, float]], most: int) -> None:
    bound = Bound(most)
    for at, (full, amount) in enumerate(events):
        if full:
            bound.was_full(amount, amount / 3, at=20.0 * at)
        else:
            bound.went_well(amount, at=20.0 * at)
        assert min(1, most) <= bound.now <= most
