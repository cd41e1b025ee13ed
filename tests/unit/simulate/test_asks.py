"""Who asks when."""

from pathlib import Path

import numpy as np
import pytest

from brownout.simulate.asks import Asks, draw
from brownout.simulate.rates import rates
from support.small_world import demand, small


def drawn(folder: Path, *, seed: int = 1, seconds: int = 2000, **of_free: object) -> Asks:
    scenario = small(folder, seconds=seconds, demand=demand(pro=1, free=4, **of_free), image={"costSpread": 0.3})
    return draw(scenario, rates(scenario), seed)


def counts(asks: Asks, stream: int) -> np.ndarray:
    return np.bincount(asks.at[asks.stream == stream].astype(int), minlength=2000)


def test_asks_come_in_the_order_of_time_at_the_rates_of_their_streams(tmp_path: Path) -> None:
    asks = drawn(tmp_path)
    assert (np.diff(asks.at) >= 0).all()
    assert counts(asks, 0).mean() == pytest.approx(1, rel=0.1)
    assert counts(asks, 1).mean() == pytest.approx(4, rel=0.05)


def test_counts_are_poisson_or_as_bursty_as_the_stream_says(tmp_path: Path) -> None:
    assert counts(drawn(tmp_path), 1).var() == pytest.approx(4, rel=0.15)
    bursty = counts(drawn(tmp_path, burstiness=5), 1)
    assert bursty.mean() == pytest.approx(4, rel=0.1)
    assert bursty.var() == pytest.approx(5 * 4, rel=0.2)


def test_users_belong_to_one_stream_and_keep_their_place_in_percentages(tmp_path: Path) -> None:
    asks = drawn(tmp_path)
    assert (asks.user_stream[asks.user] == asks.stream).all()
    for user in asks.user[:50]:
        assert len(set(asks.luck[asks.user == user].tolist())) == 1
    assert asks.luck.mean() == pytest.approx(0.5, abs=0.05)


def test_costs_are_spread_around_what_they_are(tmp_path: Path) -> None:
    size = drawn(tmp_path).size
    assert size.mean() == pytest.approx(1, abs=0.02)
    assert np.log(size).std() == pytest.approx(0.3, abs=0.02)


def test_the_same_seed_draws_the_same_users(tmp_path: Path) -> None:
    first, again, other = drawn(tmp_path), drawn(tmp_path), drawn(tmp_path, seed=2)
    assert np.array_equal(first.at, again.at)
    assert np.array_equal(first.user, again.user)
    assert not np.array_equal(first.at[:100], other.at[:100])
