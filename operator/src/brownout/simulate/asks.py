"""Who asks when: single requests drawn from the streams' rates. The same seed gives every controller the same users."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brownout.simulate.record import Floats, Ints
from brownout.simulate.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Asks:
    """N fresh asks in the order of time. `at` in seconds; `stream`, `user` (numbered through all streams); `luck` in [0, 1),
    a user's fixed place in percentages; `size`, the request's cost over the mean of its kind."""

    at: Floats
    stream: Ints
    user: Ints
    luck: Floats
    size: Floats
    user_stream: Ints


def draw(scenario: Scenario, rates: Floats, seed: int) -> Asks:
    """Asks of a scenario whose `rates` have the shape [seconds, streams]."""
    random = np.random.default_rng((seed, 1))
    at: list[Floats] = []
    stream: list[Ints] = []
    user: list[Ints] = []
    user_stream: list[Ints] = []
    first = 0
    for index, source in enumerate(scenario.demand):
        counts = _counts(random, rates[:, index], source.burstiness)
        moments = np.repeat(np.arange(len(counts), dtype=np.float64), counts) + random.random(counts.sum())
        at.append(moments)
        stream.append(np.full(len(moments), index, dtype=np.int64))
        user.append(first + random.integers(0, source.users, len(moments)))
        user_stream.append(np.full(source.users, index, dtype=np.int64))
        first += source.users
    moments, order = np.concatenate(at), np.argsort(np.concatenate(at), kind="stable")
    users = np.concatenate(user)[order]
    luck = np.random.default_rng((seed, 2)).random(first)
    spread = scenario_spread(scenario)
    size = np.exp(random.normal(-spread * spread / 2, spread, len(moments))) if spread else np.ones(len(moments))
    return Asks(
        at=moments[order],
        stream=np.concatenate(stream)[order],
        user=users,
        luck=luck[users],
        size=size,
        user_stream=np.concatenate(user_stream),
    )


def scenario_spread(scenario: Scenario) -> float:
    """The relative spread of requests' costs, the greatest of the workloads'."""
    return max((workload.cost_spread for workload in scenario.workloads.values()), default=0.0)


def _counts(random: np.random.Generator, rate: Floats, burstiness: float) -> npt.NDArray[np.int64]:
    """Arrivals in each second: Poisson, or negative binomial with a variance of `burstiness` times the mean."""
    if burstiness <= 1.0:
        return random.poisson(rate).astype(np.int64)
    return random.poisson(random.gamma(np.maximum(rate, 1e-12) / (burstiness - 1), burstiness - 1)).astype(np.int64)
