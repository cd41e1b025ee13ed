"""Buckets of requests."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from brownout.simulate.buckets import Buckets, bucket, judged_ticks
from support.record_builder import record, scenario


def buckets(
    asked: list[float], good: list[float] | None = None, *, tick_seconds: float = 5.0, first: int = 0
) -> Buckets:
    series = np.array(asked)
    served = series if good is None else np.array(good)
    return bucket(series, served, first=first, last=len(asked), tick_seconds=tick_seconds)


def test_ticks_of_five_seconds_are_judged_by_two() -> None:
    found = buckets([15.0] * 6)
    assert found.starts.tolist() == [0, 2, 4]
    assert found.asked.tolist() == [30.0, 30.0, 30.0]


def test_buckets_start_at_the_first_tick_and_are_cut_at_the_last() -> None:
    found = buckets([25.0] * 6, first=1)
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == [(1, 3), (3, 5), (5, 6)]


def test_few_requests_are_judged_together_with_those_that_follow() -> None:
    found = buckets([4.0] * 12)
    assert found.asked.tolist() == [24.0, 24.0]
    assert found.lengths.tolist() == [6, 6]


def test_what_is_left_over_joins_the_last_bucket() -> None:
    found = buckets([10.0, 10.0, 1.0, 1.0])
    assert found.asked.tolist() == [22.0]
    assert found.ends.tolist() == [4]


def test_fewer_than_twenty_requests_in_all_are_one_bucket() -> None:
    assert buckets([1.0] * 4).asked.tolist() == [4.0]


def test_a_tick_that_is_longer_than_a_bucket_is_one() -> None:
    assert buckets([30.0, 30.0], tick_seconds=60.0).starts.tolist() == [0, 1]


def test_no_ticks_have_no_buckets() -> None:
    assert_array_equal(buckets([]).breached, [])


@pytest.mark.parametrize("asked", [20.0, 40.0, 100.0, 340.0, 1940.0])
def test_ninety_five_percent_is_no_breach_and_one_request_less_is(asked: float) -> None:
    just = asked * 95 / 100
    assert buckets([asked], [just]).breached.tolist() == [False]
    assert buckets([asked], [just - 1]).breached.tolist() == [True]


def test_where_nobody_asked_there_is_no_breach() -> None:
    assert buckets([0.0, 0.0]).breached.tolist() == [False]


def test_answers_that_could_still_come_in_time_are_not_judged() -> None:
    assert judged_ticks(record(ticks=120), scenario()) == 119
