"""Hand-made records of simulated runs: what is not said is calm, whole and served."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brownout.simulate.record import Alone, Record
from brownout.simulate.scenario import Episode, Rate, Scenario, Simulated, Stream, Weights
from support.build import CellAt, cell

TICK_SECONDS = 5.0
WEIGHTS = Weights(tiers={"pro": 10.0, "plus": 3.0, "free": 1.0})

PRO = cell("image", tier="pro", always=True)
FREE = cell("image", tier="free")

Series = float | Sequence[float]
"""One value for all ticks, or a value for each."""


def during(ticks: int, *spans: tuple[int, int, float], otherwise: float = 0.0) -> list[float]:
    """A series that has a value from a tick up to another: `during(10, (2, 4, 1.0))`."""
    series = [otherwise] * ticks
    for start, end, value in spans:
        series[start:end] = [value] * (end - start)
    return series


def alone(
    user: str,
    *,
    variant: Sequence[float],
    percent: Sequence[float] | None = None,
    asked: float = 5.0,
    good: float = 0.0,
) -> Alone:
    """A user of the second cell, of free images, who was held back alone: what was asked and served in each tick."""
    ticks = len(variant)
    return Alone(
        cell=cell("image", tier=f"free@{user}").cell,
        of=1,
        variant=np.array(variant, dtype=np.int64),
        percent=np.array(percent or [100] * ticks, dtype=np.int64),
        asked=np.full(ticks, asked),
        good=np.full(ticks, good),
        late=np.zeros(ticks),
    )


def scenario(
    *, seconds: float = 600.0, weights: Weights = WEIGHTS, episodes: Sequence[tuple[float, float]] = (), **more: Any
) -> Scenario:
    """A scenario of one workload `image` in which pro pays."""
    given: dict[str, Any] = {
        "name": "made-by-hand",
        "manifests": "manifests.yaml",
        "workloads": {"image": Simulated(objective_seconds=5.0)},
        "demand": (Stream(feature="image", tier="free", rate=Rate(base=1.0)),),
        "paying": ("pro",),
    }
    spans = tuple(Episode(start=start, end=end) for start, end in episodes)
    return Scenario(**{**given, "seconds": seconds, "weights": weights, "episodes": spans, **more})


def record(
    *cells: CellAt,
    ticks: int = 120,
    asked: Mapping[int, Series] | Series = 10.0,
    good: Mapping[int, Series] | Series | None = None,
    value: Mapping[int, Series] | None = None,
    variant: Mapping[int, Series] | None = None,
    percent: Mapping[int, Series] | None = None,
    held: Mapping[int, Series] | Series = 4.0,
    latent: Mapping[int, Series] | Series = 1.0,
    floor: Mapping[int, Series] | Series = 1.0,
    workloads: Sequence[str] = ("image",),
    **more: Any,
) -> Record:
    """A run of so many ticks of 5 s. Series are given by the position of their cell or workload, or once for all.

    What is asked is served well, at the quality of its variant among evenly spaced ones; replicas have one GPU each.
    """
    them = tuple(one.cell for one in cells or (PRO, FREE))
    asks = _columns(asked, ticks=ticks, width=len(them), otherwise=10.0)
    served = asks.copy() if good is None else _columns(good, ticks=ticks, width=len(them), otherwise=asks)
    variants = _columns(variant or {}, ticks=ticks, width=len(them), otherwise=0.0)
    lasts = np.array([max(1, len(one.variants) - 1) for one in them])
    worth = served * (1.0 - variants / lasts)
    holding = _columns(held, ticks=ticks, width=len(workloads), otherwise=4.0)
    given: dict[str, Any] = {
        "scenario": "made-by-hand",
        "controller": "by-hand",
        "seed": 1,
        "tick_seconds": TICK_SECONDS,
        "cells": them,
        "workloads": tuple(workloads),
        "asked": asks,
        "good": served,
        "late": np.zeros_like(asks),
        "value": worth if value is None else _columns(value, ticks=ticks, width=len(them), otherwise=worth),
        "offered": asks,
        "admitted": asks,
        "variant": variants.astype(np.int64),
        "percent": _columns(percent or {}, ticks=ticks, width=len(them), otherwise=100.0).astype(np.int64),
        "ready": holding,
        "held": holding,
        "pending": np.zeros_like(holding),
        "desired": holding.astype(np.int64),
        "backlog": np.zeros_like(holding),
        "latent": _columns(latent, ticks=ticks, width=len(workloads), otherwise=1.0),
        "floor": _columns(floor, ticks=ticks, width=len(workloads), otherwise=1.0),
        "gpus": np.full(ticks, 8.0),
        "stale": np.zeros(ticks, dtype=np.bool_),
        "writes": np.zeros(ticks, dtype=np.int64),
        "pods_created": 0,
        "restarts": (),
        "user_cell": np.zeros(0, dtype=np.int64),
        "user_asked": np.zeros(0, dtype=np.int64),
        "user_good": np.zeros(0, dtype=np.int64),
    }
    return Record(**{**given, **more})


def _columns(given: Mapping[int, Series] | Series, *, ticks: int, width: int, otherwise: Any) -> Any:
    series = given if isinstance(given, Mapping) else dict.fromkeys(range(width), given)
    columns = np.empty((ticks, width))
    columns[:] = otherwise
    for position, one in series.items():
        columns[:, position] = one
    return columns
