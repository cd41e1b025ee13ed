"""Who gets GPUs when several scalers want more than there are: whole replicas, per node, in rounds.

First everybody's minimum; then, by priority, each scaler's protected floor (what may never be taken from its users); then
the rest of the demand by priority. Without the floor a popular free feature of an important workload would starve the
paying users of a lesser one. What a scaler holds already it keeps, until another has been short for a while.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from heapq import heapify, heappop, heappush
from itertools import groupby

from msgspec import Struct, structs

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.removal import leaves_first
from brownout.decide.snapshot import Pod, Pool


class Claim(Struct, frozen=True, kw_only=True):
    """What one scaler asks of the pool, in replicas of `gpus` each; `keep` is what it holds and does not give up itself.

    `tiers`: by descending tier priority, the replicas for the demand of that tier and those above it; `reach`, where some of a
    tier's are of no use yet, those that are. `pressed`: it is saturated, or its users have lost something. `closed`: it won GPUs not long ago, and equals do not take from it. `fixed`: nobody does.
    """

    key: Key
    gpus: int
    priority: int
    minimum: int
    floor: int
    demanded: int
    keep: int
    tiers: tuple[tuple[int, int], ...] = ()
    reach: tuple[tuple[int, int], ...] = ()
    by_node: Mapping[str, int]
    pods: tuple[Pod, ...] = ()
    pressed: bool = False
    closed: bool = False
    fixed: bool = False

    def staying(self, replicas: int) -> Mapping[str, int]:
        """Its pods by node after it was scaled to so many replicas: those that have no node go before all others."""
        placed = sum(self.by_node.values())
        if placed <= replicas:
            return self.by_node
        gone = Counter([pod.node for pod in leaves_first(self.pods) if pod.node is not None][: placed - replicas])
        return {node: pods - gone[node] for node, pods in self.by_node.items()}

    def up_to(self, priority: int) -> int:
        """Replicas for the demand of the tiers of this priority and above, never more than all of its demand."""
        wanted = max((replicas for p, replicas in self.tiers if p >= priority), default=0)
        return min(wanted, self.demanded)

    def urgent(self, granted: int, ideal: int) -> int | None:
        """The highest tier priority whose demand is not granted, though its share would cover more of it; None: no such."""
        return next((p for p, _ in self.tiers if granted < min(self.up_to(p), ideal)), None)

    def serves_below(self, priority: int) -> bool:
        """Whether some of what it holds serves tiers below this priority."""
        return self.keep > self.up_to(priority)


USUAL_NODE_GPUS = 8
"""GPUs of a node to come, where there is none yet that says how many it has."""


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


def gpus_of(pool: Pool, *, replicas: int) -> GPUs | Missing:
    """The pool's GPUs, the least of its sources; Missing where a source cannot be read, for missing is never zero.

    Nodes that are still to come are listed as far as they are of use to so many `replicas`: each needs one at most.
    """
    capacity = pool.stored.spec.capacity
    bounds: list[tuple[int, str]] = []
    nodes: dict[str, int] | None = None
    if capacity.nodes is not None:
        if pool.nodes is None or isinstance(pool.nodes, Missing):
            return pool.nodes or Missing("nodes were not observed")
        nodes = {node.name: max(0, node.gpus - node.gpus_of_others) for node in pool.nodes}
        size = max((node.gpus for node in pool.nodes), default=0) or USUAL_NODE_GPUS
        to_come = max(0, (capacity.nodes.max_gpus or 0) - sum(node.gpus for node in pool.nodes)) // size
        bounds.append((sum(nodes.values()) + to_come * size, "nodes"))
        nodes |= {f"(to be provisioned {index + 1})": size for index in range(min(to_come, replicas))}
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


Wants = Sequence[tuple[Claim, int]]
"""Claims, and how many replicas of each."""


class _Room:
    """The GPUs that are left while they are being handed out. `homes`: pods of a claim by node that have not been seated."""

    def __init__(self, gpus: GPUs) -> None:
        self.nodes = dict(gpus.nodes) if gpus.nodes is not None else None
        self.total = gpus.total
        self.by_namespace = dict(gpus.by_namespace)
        self.homes: dict[Key, Mapping[str, int]] = {}
        self._by_free: dict[int, list[str]] | None = None

    def has_all(self, wanted: Wants) -> bool:
        """Take that many replicas for each claim, if there is room for all of them and only their number counts."""
        if self.nodes is not None or self.by_namespace:
            return False
        needed = sum([claim.gpus * replicas for claim, replicas in wanted])
        if needed > self.total:
            return False
        self.total -= needed
        return True

    def take(self, claim: Claim) -> bool:
        """One replica for a claim: where its pods are already, else on the fullest node that has room for it."""
        if self._most(claim) < 1:
            return False
        if self.nodes is not None:
            node = self._home(claim) or self._fullest(claim.gpus)
            if node is None:
                return False
            self.nodes[node] -= claim.gpus
            if self._by_free is not None:
                heappush(self._by_free.setdefault(self.nodes[node], []), node)
        self._charge(claim, 1)
        return True

    def seat(self, claim: Claim, replicas: int) -> int:
        """Replicas that are there, where their pods are; how many that were. The others have no pod on a node yet."""
        left = max(0, min(replicas, self._most(claim)))
        if self.nodes is None:
            self._charge(claim, left)
            return left
        seated, homes = 0, {}
        staying = claim.staying(replicas)
        for free, name in sorted([(self.nodes[name], name) for name in staying if name in self.nodes]):
            here = max(0, min(left - seated, staying[name], free // claim.gpus))
            self.nodes[name] = free - here * claim.gpus
            seated += here
            if here < staying[name]:
                homes[name] = staying[name] - here
        self.homes[claim.key] = homes
        self._charge(claim, seated)
        return seated

    def hold(self, claim: Claim, replicas: int) -> None:
        """Book what replicas hold though it does not fit: a pool that shrank has as much less for others."""
        self._charge(claim, replicas)

    def _charge(self, claim: Claim, replicas: int) -> None:
        self.total -= replicas * claim.gpus
        if claim.key.namespace in self.by_namespace:
            self.by_namespace[claim.key.namespace] -= replicas * claim.gpus

    def _most(self, claim: Claim) -> int:
        """Replicas that the pool and the namespace's quota leave room for, wherever the nodes have it."""
        quota = self.by_namespace.get(claim.key.namespace)
        return (self.total if quota is None else min(self.total, quota)) // claim.gpus

    def _home(self, claim: Claim) -> str | None:
        """The fullest node with room on which the claim has a pod that is not seated; that pod is seated now."""
        assert self.nodes is not None
        homes = self.homes.get(claim.key, claim.by_node)
        free = [(self.nodes[n], n) for n, pods in homes.items() if pods and self.nodes.get(n, 0) >= claim.gpus]
        if not free:
            return None
        _, node = min(free)
        self.homes[claim.key] = {**homes, node: homes[node] - 1}
        return node

    def _fullest(self, gpus: int) -> str | None:
        """The fullest node with room for so many GPUs, by name among equals.

        Names are in heaps by the GPUs that are free; one that has fewer by now is in another heap as well, and is passed over.
        """
        assert self.nodes is not None
        if self._by_free is None:
            self._by_free = {}
            for name, free in sorted(self.nodes.items()):
                self._by_free.setdefault(free, []).append(name)
        for free in sorted(free for free in self._by_free if free >= gpus):
            names = self._by_free[free]
            while names and self.nodes[names[0]] != free:
                heappop(names)
            if names:
                return names[0]
            del self._by_free[free]
        return None


class Order(Struct, frozen=True):
    """The order in which claims are served: by descending priority, then key; and in rounds.

    `smallest`: with fewer GPUs left nobody can have one more replica.
    """

    claims: Sequence[Claim]
    rounds: Sequence[Wants]
    smallest: int


def in_order(claims: Iterable[Claim] | Order) -> Order:
    """Everybody's minimum, then the floors, then the demand of one tier after the other, and the rest; each by priority.

    Of a tier's demand first what its users can use now, and what they have.

    A claim takes part in a round only if that asks for more than those before: who could not have it then cannot have it now.
    """
    if isinstance(claims, Order):
        return claims
    ordered = sorted(claims, key=lambda claim: (-claim.priority, claim.key))
    rounds: defaultdict[tuple[int, int, int, int], list[tuple[Claim, int]]] = defaultdict(list)
    for claim in ordered:
        place, most, had = -claim.priority, claim.demanded, 0
        if claim.minimum > had:
            rounds[0, 0, 0, place].append((claim, had := claim.minimum))
        if had < claim.floor and had < most:
            rounds[1, 0, 0, place].append((claim, had := min(claim.floor, most)))
        within = dict(claim.reach)
        for tier, replicas in claim.tiers:
            now = min(within.get(tier, replicas), most)
            if had < now:
                rounds[2, -tier, 0, place].append((claim, had := now))
            if had < replicas and had < most:
                rounds[2, -tier, 1, place].append((claim, had := min(replicas, most)))
        if had < most:
            rounds[3, 0, 0, place].append((claim, most))
    smallest = min((claim.gpus for claim in ordered), default=0)
    return Order(ordered, [rounds[place] for place in sorted(rounds)], smallest)


def share(claims: Sequence[Claim] | Order, gpus: GPUs, *, keep: Mapping[Key, int] | None = None) -> dict[Key, int]:
    """Replicas for each claim. With `keep`, that much is handed out first; without it, as if nobody held anything."""
    order = in_order(claims)
    return _share(order, _counted(gpus, order.claims), keep)


def _share(order: Order, gpus: GPUs, keep: Mapping[Key, int] | None) -> dict[Key, int]:
    room = _Room(gpus)
    if keep is None:
        granted = {claim.key: 0 for claim in order.claims}
    elif room.has_all([(claim, keep[claim.key]) for claim in order.claims]):
        granted = {claim.key: keep[claim.key] for claim in order.claims}
    else:
        granted = {claim.key: room.seat(claim, keep[claim.key]) for claim in order.claims}
        standing = [claim for claim in order.claims if granted[claim.key] < keep[claim.key]]
        for _, group in groupby(standing, key=lambda claim: claim.priority):
            _hand_out([(claim, keep[claim.key]) for claim in group], room, granted)
        for claim in standing:
            room.hold(claim, keep[claim.key] - granted[claim.key])
    for wants in order.rounds:
        if room.total < order.smallest:
            break
        _hand_out(wants, room, granted)
    return granted


def _counted(gpus: GPUs, claims: Sequence[Claim]) -> GPUs:
    """The same GPUs without their nodes, where every replica needs as many: then only the number of places counts."""
    if gpus.nodes is None or gpus.by_namespace or not _of_one_size(claims):
        return gpus
    size = claims[0].gpus
    places = sum(free // size for free in gpus.nodes.values())
    return structs.replace(gpus, nodes=None, total=min(gpus.total, places * size))


def _of_one_size(claims: Sequence[Claim]) -> bool:
    return len({claim.gpus for claim in claims}) == 1


def _hand_out(wants: Wants, room: _Room, granted: dict[Key, int]) -> None:
    """One replica at a time to the claim that has the least of what it wants, until it has it or cannot."""
    if room.has_all([(claim, most - has) for claim, most in wants if (has := granted[claim.key]) < most]):
        granted.update({claim.key: most for claim, most in wants if granted[claim.key] < most})
        return
    queue = [(has / most, c.key, most, c) for c, most in wants if (has := granted[c.key]) < most]
    heapify(queue)
    while queue:
        _, key, most, claim = heappop(queue)
        if room.take(claim):
            granted[key] += 1
            if granted[key] < most:
                heappush(queue, (granted[key] / most, key, most, claim))


def is_short(claim: Claim, *, granted: int, ideal: int, percent: int) -> bool:
    """Whether a scaler lacks enough of its share to reclaim it: a whole replica, and `percent` of the share."""
    return ideal - granted >= max(1, ideal * percent / 100)


def reclaim(
    claims: Sequence[Claim] | Order, gpus: GPUs, *, short: frozenset[Key], ideal: Mapping[Key, int]
) -> dict[Key, int]:
    """What each scaler keeps once those in `short` reclaim their share: others fall towards theirs, no further than needed.

    What somebody holds above its own demand goes first, then what the least important hold above their share (`ideal`). Below
    its own demand nobody falls only so that another has headroom: for that, one of the short must be pressed. And nobody falls
    where none of the short could use what is freed, as GPUs on many nodes are of no use to a replica that needs them on one.
    """
    order = in_order(claims)
    claims, gpus = order.claims, _counted(gpus, order.claims)
    keep = {claim.key: claim.keep for claim in claims}
    needy = [claim for claim in claims if claim.key in short]
    pressed = any(claim.pressed for claim in needy)
    granted = _share(order, gpus, keep)
    urgent = max((u for c in needy if (u := c.urgent(granted[c.key], ideal[c.key])) is not None), default=None)

    def least(claim: Claim) -> int:
        bottom = max(ideal[claim.key], min(claim.minimum, claim.keep))
        return bottom if pressed else max(bottom, min(claim.demanded, claim.keep))

    def may_lose(claim: Claim) -> bool:
        """Hysteresis is for equals: what serves lower tiers goes to higher ones whenever those are short."""
        if claim.fixed or not claim.closed:
            return not claim.fixed
        return urgent is not None and least(claim) >= claim.up_to(urgent) and claim.serves_below(urgent)

    def short_of(granted: Mapping[Key, int]) -> int:
        """GPUs that the short lack of their share."""
        return sum([claim.gpus * max(0, ideal[claim.key] - granted[claim.key]) for claim in needy])

    def lacking(kept: Mapping[Key, int]) -> int:
        return short_of(_share(order, gpus, kept))

    losers = sorted(
        (c for c in claims if may_lose(c) and c.key not in short and c.keep > least(c)),
        key=lambda c: (c.keep <= c.demanded, c.priority, c.key),
    )

    def after(freed: int) -> dict[Key, int]:
        """What is kept where so many GPUs are let go of, by one loser after the other."""
        kept = dict(keep)
        for loser in losers:
            gone = min(loser.keep - least(loser), -(-freed // loser.gpus))
            kept[loser.key] -= gone
            freed = max(0, freed - gone * loser.gpus)
        return kept

    most = sum(loser.gpus * (loser.keep - least(loser)) for loser in losers)
    lacking_after = cache(lambda freed: lacking(after(freed)))
    best = lacking_after(most)
    if best >= short_of(granted):
        return keep
    needed = most  # as it mostly is: there are more who lack than there is to be had
    if lacking_after(most - 1) <= best:
        needed = bisect_left(range(most - 1), True, key=lambda freed: lacking_after(freed) <= best)
    kept = after(needed)
    if _of_one_size(claims) and not gpus.by_namespace:
        return kept  # every GPU that was freed is as good as any other, and the last of them was needed
    return _give_back([c for c in losers if kept[c.key] < c.keep], kept, lambda kept: lacking(kept) <= best)


def _give_back(
    losers: Sequence[Claim], kept: dict[Key, int], enough: Callable[[Mapping[Key, int]], bool]
) -> dict[Key, int]:
    """What is kept once losers have back what they let go of for nothing, the last of them first, by halves."""
    some = [list(losers)]
    looks = MOST_LOOKS // len(kept)
    while some and looks > 0:
        these = some.pop()
        looks -= 1
        if enough(whole := kept | {claim.key: claim.keep for claim in these}):
            kept = whole
        elif len(these) > 1:
            middle = len(these) // 2
            some += [these[:middle], these[middle:]]
        else:
            one, low = these[0], kept[these[0].key]
            refused = bisect_left(
                range(low + 1, one.keep), True, key=lambda replicas: not enough(kept | {one.key: replicas})
            )
            kept = kept | {one.key: low + refused}
    return kept


MOST_LOOKS = 20_000
"""Claims that are looked at, at most, to find who let go of something for nothing: in a pool of a hundred scalers that is
everybody; of a thousand, those that fell together for nothing and not each of those that fell alone."""
