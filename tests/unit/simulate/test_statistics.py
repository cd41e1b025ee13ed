"""Intervals over seeds."""

import numpy as np
import pytest

from brownout.simulate.statistics import Interval, bootstrap, paired_difference, quantile


def test_equal_values_are_certain() -> None:
    found = bootstrap([0.5] * 30)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_single_seed_is_taken_at_its_word() -> None:
    assert bootstrap([0.3]) == Interval(0.3, 0.3, 0.3)


def test_no_seed_is_an_error_and_not_a_number() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap([])


def test_the_interval_of_a_mean_is_about_two_standard_errors_either_way() -> None:
    values = np.random.default_rng(1).normal(10.0, 2.0, 100)
    error = values.std() / 10
    found = bootstrap(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1)


def test_the_interval_holds_the_truth_in_about_nineteen_of_twenty_cases() -> None:
    random = np.random.default_rng(2)
    held = sum(bootstrap(random.normal(0.0, 1.0, 40), seed=i).holds(0.0) for i in range(200))
    assert 178 <= held <= 200


def test_the_same_values_have_the_same_interval() -> None:
    assert bootstrap([1.0, 2.0, 5.0]) == bootstrap([1.0, 2.0, 5.0])


def test_a_quantile_has_an_interval_within_the_values() -> None:
    found = bootstrap([float(i) for i in range(21)], quantile(0.95))
    assert found.mean == pytest.approx(19.0)
    assert 0.0 <= found.low <= found.mean <= found.high <= 20.0


def test_what_seeds_have_in_common_is_no_part_of_a_paired_difference() -> None:
    hard = np.random.default_rng(3).normal(0.0, 10.0, 30)
    found = paired_difference((hard + 0.5).tolist(), hard.tolist())
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_pairs_need_as_many_of_each() -> None:
    with pytest.raises(ValueError, match="found 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])
