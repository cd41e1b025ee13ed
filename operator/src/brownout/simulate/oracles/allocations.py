"""The allocations of whole replicas among which the programme chooses: all that leave no GPU unused that could be of use.

To hold a GPU costs the objective nothing, so an allocation to which a replica could be added is never better than the one
with it. No workload is given more than it could use at its busiest. What is left is small: some hundreds for three workloads
on 24 GPUs. Where there are more than MOST_STATES, replicas are counted in coarser steps, which only lowers the result.
"""

import numpy as np

from brownout.simulate.oracles.truth import Buckets, Truth
from brownout.simulate.record import Ints

MOST_STATES = 600
_MOST_CANDIDATES = 200_000


def allocations(truth: Truth, buckets: Buckets) -> Ints:
    """Replicas [S, W] of every allocation that is looked at; the first is the one at the start."""
    start = truth.start_replicas
    largest = np.maximum(np.minimum(_needed(truth, buckets), truth.max_replicas), truth.min_replicas)
    largest = np.maximum(largest, start)
    sizes = np.unique(buckets.gpus)
    loses = len(sizes) > 1 or int(start @ truth.gpus_per_replica) > sizes[0]
    step = 1
    while True:
        found = [_full(truth, largest, int(gpus), step=step, loose=loses) for gpus in sizes]
        if all(states is not None for states in found):
            states = np.unique(np.concatenate([s for s in found if s is not None]), axis=0)
            if len(states) <= MOST_STATES or step >= int(largest.max()):
                return np.vstack([start, states[(states != start).any(axis=1)]])
        step += 1


def _needed(truth: Truth, buckets: Buckets) -> Ints:
    """Replicas [W] that carry all cells at their dearest variants in any bucket."""
    dearest = np.where(truth.usable[:, :, None], truth.cost, 0.0).max(axis=1)
    load = (buckets.demand @ dearest).max(axis=0)
    replicas: Ints = np.ceil(load / truth.gpus_per_replica - 1e-9).astype(np.int64)
    return replicas


def _full(truth: Truth, largest: Ints, gpus: int, *, step: int, loose: bool) -> Ints | None:
    """The allocations that fill a pool of this many GPUs; None where there are too many to look at.

    `loose`: those too that leave less than the largest replica's GPUs, so that a pool that loses nodes can be followed by
    giving up replicas alone. Minimums that the pool cannot hold are let go. All but the workload with the largest need are
    counted in steps.
    """
    size = truth.gpus_per_replica
    if int((largest * size).sum()) <= gpus:
        return largest[None, :]
    least = truth.min_replicas if int((truth.min_replicas * size).sum()) <= gpus else np.zeros_like(truth.min_replicas)
    filler = int((largest * size).argmax())
    levels = [
        np.unique(np.append(np.arange(low, high + 1, 1 if w == filler else step), high))
        for w, (low, high) in enumerate(zip(least, largest, strict=True))
    ]
    found, rest = np.zeros((1, 0), dtype=np.int64), int((least * size).sum())
    for w, choices in enumerate(levels):
        if len(found) * len(choices) > _MOST_CANDIDATES:
            return None
        found = np.column_stack([found.repeat(len(choices), axis=0), np.tile(choices, len(found))])
        rest -= int(least[w] * size[w])
        found = found[found @ size[: w + 1] + rest <= gpus]
    unused = gpus - found @ size
    growable = np.zeros(len(found), dtype=bool)
    for w, choices in enumerate(levels):
        more = np.append(choices, np.iinfo(np.int32).max)[np.searchsorted(choices, found[:, w], side="right")]
        growable |= (more - found[:, w]) * size[w] <= unused
    kept: Ints = found[~growable | (loose & (unused < size.max()))]
    return kept
