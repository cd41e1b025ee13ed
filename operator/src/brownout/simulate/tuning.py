"""What the other controllers are tuned to: the same procedure for each, on seeds that the comparison does not use.

Successive halving (Jamieson and Talwalkar 2016) over the settings in a controller's grid: all of them on the first two seeds, the better
half on the next three, the best two on five more. What counts is the mean V over a few scenarios and over all seeds that a
setting has been tried on; of equals the one that comes first in the grid, which begins with the published constants. Brownout
has no part in this: its constants are those of its API's defaults and the scenario's manifests.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from brownout.simulate.controllers import CONTROLLERS
from brownout.simulate.scenario import Scenario
from brownout.simulate.tournament import Entrant, Heat, Progress, run

ROUNDS: tuple[tuple[int, ...], ...] = ((1, 2), (3, 4, 5), (6, 7, 8, 9, 10))
"""The seeds of each round."""


class Tuned(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a controller was tuned to: the setting, its place in the grid, its mean V and that of the first in the grid in the
    round in which that one was last tried."""

    parameters: Any
    choice: int
    candidates: int
    value: float
    first_value: float


def tune(
    names: Sequence[str],
    scenarios: Sequence[Scenario],
    *,
    traces: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Tuned]:
    """The best setting of each of these controllers, by name; names that are not in the registry are left out."""
    known = [name for name in names if name in CONTROLLERS]
    left = {name: list(range(len(CONTROLLERS[name].grid))) for name in known}
    values: dict[tuple[str, int], list[float]] = {(name, choice): [] for name in known for choice in left[name]}
    for number, seeds in enumerate(ROUNDS):
        field = tuple(_entrant(name, choice) for name in known for choice in left[name] if len(left[name]) > 1)
        heats = [Heat(scenario, traces, seed, field, full=False) for scenario in scenarios for seed in seeds]
        for outcome in run(heats, jobs=jobs, progress=progress) if field else ():
            for name in known:
                for choice in left[name]:
                    if len(left[name]) > 1:
                        values[name, choice].append(outcome.values[_label(name, choice)])
        keep = 1 if number == len(ROUNDS) - 1 else 2 if number == len(ROUNDS) - 2 else 0
        for name in known:
            better = sorted(left[name], key=lambda choice: (-_mean(values[name, choice]), choice))
            left[name] = better[: keep or max(2, ceil(len(better) / 2))]
    return {
        name: Tuned(
            parameters=CONTROLLERS[name].grid[left[name][0]],
            choice=left[name][0],
            candidates=len(CONTROLLERS[name].grid),
            value=_mean(values[name, left[name][0]]),
            first_value=_mean(values[name, 0]),
        )
        for name in known
    }


def _entrant(name: str, choice: int) -> Entrant:
    return Entrant(name=name, parameters=CONTROLLERS[name].grid[choice], label=_label(name, choice))


def _label(name: str, choice: int) -> str:
    return f"{name}#{choice}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
