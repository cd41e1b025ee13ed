"""Who gets GPUs when several scalers want more than there are: whole replicas, per node, in rounds.

First everybody's minimum; then, by priority, each scaler's protected floor (what may never be taken from its users); then
the rest of the demand by priority. Without the floor a popular free feature of an important workload would starve the
paying users of a lesser one. What a scaler holds already it keeps, until another has been short for a while.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Pool


class Claim(Struct, frozen=True, kw_only=True):
    """What one scaler asks of the pool, in replicas of `gpus` each; `keep` is what it holds and does not give up itself.

    `pressed`: it is saturated, or its users have lost something. `closed`: it won GPUs not long ago, and is not taken from.
    """

    key: Key
    gpus: int
    priority: int
    minimum: int
    floor: int
    demanded: int
    keep: int
    by_node: Mapping[str, int]
    pressed: bool = False
    closed: bool = False


class GPUs(Struct, frozen=True, kw_only=True):
    """What may be had: free GPUs for our scalers by node (None: not counted by node), in all, and by namespace."""

    nodes: Mapping[str, int] | None
    total: int
    by_namespace: Mapping[str, int]
    limited_by: str

    def bound(self, namespace: str) -> tuple[int, str]:
        """The GPUs that a namespace's scalers may have at most, and what says so."""
        quota = self.by_namespace.get(namespace, self.total)
        return (quota, "quotas") if quota < self.total else (self.total, self.limited_by)


def gpus_of(pool: Pool) -> GPUs | Missing:
    """The pool's GPUs, the least of its sources; Missing where a source cannot be read, for missing is never zero."""
    capacity = pool.stored.spec.capacity
    bounds: list[tuple[int, str]] = []
    nodes: dict[str, int] | None = None
    if capacity.nodes is not None:
        if pool.nodes is None or isinstance(pool.nodes, Missing):
            return pool.nodes or Missing("nodes were not observed")
        nodes = {node.name: max(0, node.gpus - node.gpus_of_others) for node in pool.nodes}
        size = max((node.gpus for node in pool.nodes), default=8)
        missing = (capacity.nodes.max_gpus or 0) - sum(node.gpus for node in pool.nodes)
        for index in range(max(0, missing) // max(1, size)):
            nodes[f"(to be provisioned {index + 1})"] = size
        bounds.append((sum(nodes.values()), "nodes"))
    if isinstance(pool.quotas, Missing):
        return pool.quotas
    by_namespace: dict[str, int] = {}
    for quota in pool.quotas:
        left = max(0, quota.gpus - quota.gpus_of_others)
        by_namespace[quota.namespace] = min(left, by_namespace.get(quota.namespace, left))
    if capacity.gpus is not None:
        bounds.append((capacity.gpus, "spec.capacity.gpus"))
    if not bounds:
        bounds.append((sum(by_namespace.values()), "quotas"))
    total, limited_by = min(bounds)
    return GPUs(nodes=nodes, total=total, by_namespace=by_namespace, limited_by=limited_by)


class _Room:
    """The GPUs that are left while they are being handed out."""

    def __init__(self, gpus: GPUs) -> None:
        self.nodes = dict(gpus.nodes) if gpus.nodes is not None else None
        self.total = gpus.total
        self.by_namespace = dict(gpus.by_namespace)
        self.at_home: dict[tuple[Key, str], int] = {}

    def take(self, claim: Claim) -> bool:
        """One replica for a claim: where its pods are already, else on the fullest node that has room for it."""
        quota = self.by_namespace.get(claim.key.namespace)
        if self.total < claim.gpus or (quota is not None and quota < claim.gpus):
            return False
        if self.nodes is not None:
            node = self._node_for(claim)
            if node is None:
                return False
            self.nodes[node] -= claim.gpus
            self.at_home[claim.key, node] = self.at_home.get((claim.key, node), 0) + 1
        self.charge(claim, 1)
        return True

    def seat(self, claim: Claim, replicas: int) -> int:
        """Replicas that are there, where their pods are; how many that were. The others have no pod on a node yet."""
        left = min(replicas, self.total // claim.gpus)
        if (quota := self.by_namespace.get(claim.key.namespace)) is not None:
            left = min(left, quota // claim.gpus)
        seated = max(0, left) if self.nodes is None else 0
        nodes = self.nodes or {}
        for name in sorted((name for name in claim.by_node if name in nodes), key=lambda name: (nodes[name], name)):
            here = max(0, min(left - seated, claim.by_node[name], nodes[name] // claim.gpus))
            nodes[name] -= here * claim.gpus
            self.at_home[claim.key, name] = here
            seated += here
        self.charge(claim, seated)
        return seated

    def charge(self, claim: Claim, replicas: int) -> None:
        """Book what replicas hold, whether it fits or not: a pool that shrank has as much less for others."""
        self.total -= replicas * claim.gpus
        if claim.key.namespace in self.by_namespace:
            self.by_namespace[claim.key.namespace] -= replicas * claim.gpus

    def _node_for(self, claim: Claim) -> str | None:
        assert self.nodes is not None
        free = [name for name, left in self.nodes.items() if left >= claim.gpus]
        home = [n for n in free if self.at_home.get((claim.key, n), 0) < claim.by_node.get(n, 0)]
        nodes = self.nodes
        return min(home or free, key=lambda name: (nodes[name], name), default=None)


def share(claims: Sequence[Claim], gpus: GPUs, *, keep: Mapping[Key, int] | None = None) -> dict[Key, int]:
    """Replicas for each claim. With `keep`, that much is handed out first; without it, as if nobody held anything."""
    room = _Room(gpus)
    granted = {claim.key: 0 for claim in claims}
    ordered = sorted(claims, key=lambda c: (-c.priority, c.key))
    rounds: list[Callable[[Claim], int]] = [
        lambda c: c.minimum,
        lambda c: min(c.floor, c.demanded),
        lambda c: c.demanded,
    ]
    groups = _by_priority(ordered)
    if keep is not None:
        for claim in ordered:
            granted[claim.key] = room.seat(claim, keep[claim.key])
        for group in groups:
            _hand_out(group, lambda c: keep[c.key], room, granted)
        for claim in ordered:
            room.charge(claim, keep[claim.key] - granted[claim.key])
    for wanted in rounds:
        for group in groups:
            _hand_out(group, wanted, room, granted)
    return granted


def _by_priority(ordered: Sequence[Claim]) -> list[list[Claim]]:
    groups: list[list[Claim]] = []
    for claim in ordered:
        if groups and groups[-1][0].priority == claim.priority:
            groups[-1].append(claim)
        else:
            groups.append([claim])
    return groups


def _hand_out(group: Sequence[Claim], wanted: Callable[[Claim], int], room: _Room, granted: dict[Key, int]) -> None:
    """One replica at a time to the claim of the group that has the least of what it wants, until it has it or cannot."""

    def place(claim: Claim) -> tuple[float, Key, int]:
        return granted[claim.key] / wanted(claim), claim.key, index[claim.key]

    index = {claim.key: i for i, claim in enumerate(group)}
    queue = [place(claim) for claim in group if granted[claim.key] < wanted(claim)]
    heapify(queue)
    while queue:
        claim = group[heappop(queue)[2]]
        if room.take(claim):
            granted[claim.key] += 1
            if granted[claim.key] < wanted(claim):
                heappush(queue, place(claim))


def is_short(claim: Claim, *, granted: int, ideal: int, percent: int) -> bool:
    """Whether a scaler lacks enough of its share to reclaim it: a whole replica, and `percent` of the share."""
    return ideal - granted >= max(1, ideal * percent / 100)


def reclaim(claims: Sequence[Claim], gpus: GPUs, *, short: frozenset[Key]) -> dict[Key, int]:
    """What each scaler keeps once those in `short` reclaim their share: others fall towards theirs, no further than needed.

    What somebody holds above its own demand goes first, then what the least important hold above their share. Below its own
    demand nobody falls only so that another has headroom: for that, one of the short must be pressed. And nobody falls where
    none of the short could use what is freed, as GPUs on many nodes are of no use to a replica that needs them on one.
    """
    ideal = share(claims, gpus)
    keep = {claim.key: claim.keep for claim in claims}
    pressed = any(claim.pressed for claim in claims if claim.key in short)

    def least(claim: Claim) -> int:
        bottom = max(ideal[claim.key], min(claim.minimum, claim.keep))
        return bottom if pressed else max(bottom, min(claim.demanded, claim.keep))

    def lacking(kept: Mapping[Key, int]) -> int:
        granted = share(claims, gpus, keep=kept)
        return sum(c.gpus * max(0, ideal[c.key] - granted[c.key]) for c in claims if c.key in short)

    losers = sorted(
        (c for c in claims if not c.closed and c.key not in short and c.keep > least(c)),
        key=lambda c: (c.keep <= c.demanded, c.priority, c.key),
    )
    lowered = [{loser.key: least(loser)} for loser in losers]

    def after(count: int) -> dict[Key, int]:
        """What is kept where the first so many have fallen as far as they can."""
        return keep | {key: low for one in lowered[:count] for key, low in one.items()}

    best = lacking(after(len(losers)))
    if best >= lacking(keep):
        return keep
    needed = _least(0, len(losers), lambda count: lacking(after(count)) <= best)
    kept = after(needed)
    for loser in reversed(losers[:needed]):

        def enough(given: int, loser: Claim = loser) -> bool:
            return lacking(kept | {loser.key: loser.keep - given}) <= best

        kept[loser.key] = loser.keep - _least(0, loser.keep - least(loser), enough)
    return kept


def _least(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The least number that is enough, where `high` is and all above one that is are as well."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
