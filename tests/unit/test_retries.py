"""How long to wait before something that failed is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from brownout.retries import pause_seconds


def test_a_pause_begins_small_and_doubles_up_to_its_bound() -> None:
    assert [pause_seconds(failures, first=1, most=30) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@given(failures=st.integers(min_value=1, max_value=10**9))
def test_no_pause_is_longer_than_the_bound_or_shorter_than_the_first(failures: int) -> None:
    assert 0.5 <= pause_seconds(failures, first=0.5, most=30) <= 30
