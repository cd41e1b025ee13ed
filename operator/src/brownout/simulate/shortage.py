"""When GPUs were short, and how many were needed: from what users would have brought, whatever the controller did.

`Record.latent` is the same for every controller, so figures that rest on it compare controllers and not their luck.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from brownout.simulate.record import Floats, Ints, Record
from brownout.simulate.scenario import Episode, Scenario

TARGET_UTILISATION = 0.8
"""Share of a replica's GPU time that is planned to be in use: the default of an InferenceScaler's flow target."""

MEAN_SECONDS = 60.0
GAP_SECONDS = 120.0
"""Two shortages that are closer than this are one episode."""
SHORTEST_SECONDS = 30.0
"""A shortage that ends before this is none: a queue of a few seconds bridges it."""


def replica_gpus(record: Record) -> Ints:
    """[W]: GPUs of one replica, seen from what the pods of the desired replicas hold or wait for; 1 where there never were any."""
    pods = record.held + record.pending
    sizes = np.ones(len(record.workloads), dtype=np.int64)
    for w in range(len(record.workloads)):
        there = (record.desired[:, w] > 0) & (pods[:, w] > 0)
        if there.any():
            sizes[w] = max(1, round(float(np.median(pods[there, w] / record.desired[there, w]))))
    return sizes


def needed_gpus(record: Record, flow: Floats) -> Floats:
    """GPUs in whole replicas that carry a flow [T, W] at the target utilisation; at least one replica."""
    size = replica_gpus(record)
    return np.maximum(1.0, np.ceil(flow / TARGET_UTILISATION / size - 1e-9)) * size


def episodes(record: Record, scenario: Scenario) -> tuple[Episode, ...]:
    """The scenario's episodes; where it names none, those that its demand makes whatever a controller does.

    GPUs are short while the 60 s mean of the latent flow of all workloads is beyond the pool, and while that of one workload is
    beyond the replicas that its flow needed one cold start earlier: nobody who cannot foresee has more by then. An episode
    begins and ends where the flow itself passes that line, which its mean does later.
    """
    if scenario.episodes:
        return scenario.episodes
    tick = record.tick_seconds
    ticks = max(1, round(MEAN_SECONDS / tick))
    means = _trailing_mean(record.latent, ticks)
    carried = needed_gpus(record, means)
    for w, name in enumerate(record.workloads):
        cold_start = round(scenario.workloads[name].cold_start_seconds / tick)
        carried[:, w] = carried[np.maximum(0, np.arange(len(carried)) - cold_start), w]
    beyond = _short(means, carried, record.gpus)
    now = _short(record.latent, carried, record.gpus)
    found: list[Episode] = []
    for first, last in _stretches(beyond, gap=round(GAP_SECONDS / tick)):
        really = np.flatnonzero(now[max(0, first - ticks) : last]) + max(0, first - ticks)
        start, end = (int(really[0]), int(really[-1]) + 1) if len(really) else (first, last)
        if (end - start) * tick >= SHORTEST_SECONDS:
            found.append(Episode(start=start * tick, end=end * tick))
    return tuple(found)


def _short(flow: Floats, carried: Floats, gpus: Floats) -> npt.NDArray[np.bool_]:
    """[T]: whether the pool, or what one workload can have by then, is less than the flow."""
    shortage: npt.NDArray[np.bool_] = (flow.sum(axis=1) > gpus) | (flow > carried).any(axis=1)
    return shortage


def _trailing_mean(series: Floats, ticks: int) -> Floats:
    """The mean of each tick and those before it, up to so many together."""
    sums = np.vstack([np.zeros((1, series.shape[1])), np.cumsum(series, axis=0)])
    last = np.arange(1, len(series) + 1)
    first = np.maximum(0, last - ticks)
    return (sums[last] - sums[first]) / (last - first)[:, None]


def _stretches(short: npt.NDArray[np.bool_], *, gap: int) -> Iterator[tuple[int, int]]:
    """Runs of true ticks [first, last), joined where fewer than `gap` others lie between."""
    at = np.flatnonzero(short)
    if not len(at):
        return
    breaks = np.flatnonzero(np.diff(at) > gap)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(at) - 1)
    for first, last in zip(at[firsts].tolist(), at[lasts].tolist(), strict=True):
        yield first, last + 1
