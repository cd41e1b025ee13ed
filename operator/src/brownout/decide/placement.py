"""New replicas of several sizes, one size after the other where all at once would not find their places.

A scheduler puts each pod on the node with the most room (Kubernetes' default, NodeResourcesFit with LeastAllocated), the more
important ones first. A replica of one GPU so takes the place that one of two was to have, and two nodes with a GPU each are of
no use to it: it would be pending for as long as the others stay. What comes a tick later finds what the larger ones left.
"""

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace

from brownout.api.resources import Key
from brownout.decide.arbitrate import Claim, GPUs


def in_one_tick(
    claims: Sequence[Claim], gpus: GPUs, *, keep: Mapping[Key, int], granted: Mapping[Key, int]
) -> dict[Key, int]:
    """What is to be asked for now of what was granted: all of it where it will find places, else the largest replicas alone."""
    new = [claim for claim in claims if granted[claim.key] > keep[claim.key]]
    if gpus.nodes is None or len({claim.gpus for claim in new}) < 2 or _find_places(claims, new, gpus, keep, granted):
        return dict(granted)
    largest = max(claim.gpus for claim in new)
    return {**granted, **{claim.key: keep[claim.key] for claim in new if claim.gpus < largest}}


def _find_places(
    claims: Sequence[Claim], new: Sequence[Claim], gpus: GPUs, keep: Mapping[Key, int], granted: Mapping[Key, int]
) -> bool:
    """Whether a scheduler that starts with the most important pods, each on the emptiest node, places all of them."""
    assert gpus.nodes is not None
    free = dict(gpus.nodes)
    for claim in claims:
        for node, pods in claim.staying(keep[claim.key]).items():
            if node in free:
                free[node] -= pods * claim.gpus
    emptiest = [(-gpus, name) for name, gpus in free.items()]
    heapify(emptiest)
    for claim in sorted(new, key=lambda claim: (-claim.priority, claim.key)):
        for _ in range(granted[claim.key] - keep[claim.key]):
            if not emptiest or -emptiest[0][0] < claim.gpus:
                return False
            used, name = emptiest[0]
            heapreplace(emptiest, (used + claim.gpus, name))
    return True
