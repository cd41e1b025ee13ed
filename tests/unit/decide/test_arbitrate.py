"""Arbitration: whole replicas, per node, minimums first, then floors, then the rest by priority."""

from collections.abc import Mapping
from typing import Any

import pytest

from brownout.decide.arbitrate import Claim, GPUs, gpus_of, is_short, reclaim, share
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Node, Pool
from support.build import NAMESPACE, named, pool


def claim(name: str, *, demanded: int, keep: int = 0, minimum: int = 0, floor: int = 0, **more: Any) -> Claim:
    usual: dict[str, Any] = {"gpus": 1, "priority": 50, "by_node": {}}
    return Claim(key=named(name), minimum=minimum, floor=floor, demanded=demanded, keep=keep, **{**usual, **more})


def gpus(total: int, *, nodes: Mapping[str, int] | None = None, quota: int | None = None) -> GPUs:
    return GPUs(nodes=nodes, total=total, by_namespace={} if quota is None else {NAMESPACE: quota}, limited_by="test")


def by_name(granted: Mapping[Any, int]) -> dict[str, int]:
    return {key.name: count for key, count in granted.items()}


# --- how many GPUs there are


def had(of: Pool) -> GPUs | Missing:
    """A pool's GPUs for more replicas than they are enough for."""
    return gpus_of(of, replicas=1000)


def test_the_least_of_all_sources_counts() -> None:
    found = had(pool(64, nodes=[8, 8]))

    assert isinstance(found, GPUs)
    assert (found.total, found.limited_by) == (16, "nodes")


def test_a_number_alone_is_enough() -> None:
    found = had(pool(12))

    assert isinstance(found, GPUs)
    assert (found.total, found.nodes, found.limited_by) == (12, None, "spec.capacity.gpus")


def test_quotas_alone_add_up_over_namespaces() -> None:
    found = had(pool(None, quotas={"media": 6, "search": 4}))

    assert isinstance(found, GPUs)
    assert (found.total, found.limited_by) == (10, "quotas")


def test_what_others_hold_is_not_ours_to_give() -> None:
    seen = pool(None, nodes=[8])
    taken = Node(name="node-1", gpus=8, gpus_of_others=3)

    found = had(type(seen)(stored=seen.stored, nodes=(taken,)))

    assert isinstance(found, GPUs)
    assert found.total == 5


def test_nodes_that_a_node_autoscaler_may_add_count_in_whole_nodes() -> None:
    found = had(pool(None, nodes=[8, 8], max_gpus=36))

    assert isinstance(found, GPUs)
    assert found.total == 32


def test_nodes_to_come_are_listed_as_far_as_there_are_replicas_to_find_places_for() -> None:
    """maxGPUs may be any number that somebody wrote; each of its nodes was looked at in every tick."""
    found = gpus_of(pool(None, nodes=[8], max_gpus=1_000_000), replicas=3)

    assert isinstance(found, GPUs)
    assert found.nodes is not None
    assert (found.total, len(found.nodes)) == (1_000_000, 4)


def test_a_node_that_has_no_gpu_yet_does_not_say_how_many_those_to_come_have() -> None:
    """Its driver is still being installed: such a pool was taken for one that can have none."""
    found = had(pool(None, nodes=[0], max_gpus=96))

    assert isinstance(found, GPUs)
    assert found.total == 96


@pytest.mark.parametrize(
    "unread", [pool(None, nodes=Missing("no LIST of nodes yet")), pool(64, quotas=Missing("gone"))]
)
def test_a_source_that_cannot_be_read_is_missing_and_neither_nothing_nor_endless(unread: Any) -> None:
    assert isinstance(had(unread), Missing)


def test_nodes_that_were_never_observed_are_missing() -> None:
    seen = pool(64, nodes=[8])

    assert isinstance(had(type(seen)(stored=seen.stored, nodes=None)), Missing)


def test_what_limits_a_namespace_is_its_quota_where_that_is_less_than_the_pool() -> None:
    both = gpus(10, quota=4)

    assert both.bound(NAMESPACE) == (4, "quotas")
    assert both.bound("search") == (10, "test")


# --- dealing them out


def test_of_a_tier_what_is_of_use_now_comes_before_what_is_of_use_later_and_after_the_tiers_above() -> None:
    """`large` comes first by priority, and 20 of its replicas only once those who are denied have come back on `small`."""
    large = claim("large", demanded=24, priority=90, tiers=((50, 4), (10, 24)), reach=((50, 4), (10, 4)))
    small = claim("small", demanded=6, priority=10, tiers=((50, 0), (10, 6)), reach=((50, 0), (10, 6)))

    assert by_name(share([large, small], gpus(12))) == {"large": 6, "small": 6}
    assert by_name(share([large, small], gpus(5))) == {"large": 4, "small": 1}


def test_there_is_enough_for_everybody() -> None:
    granted = share([claim("a", demanded=3), claim("b", demanded=4)], gpus(8))

    assert by_name(granted) == {"a": 3, "b": 4}


def test_minimums_come_before_priorities() -> None:
    granted = share([claim("high", demanded=8, priority=90), claim("low", demanded=4, minimum=1, priority=10)], gpus(8))

    assert by_name(granted) == {"high": 7, "low": 1}


def test_the_protected_floor_of_a_lesser_workload_comes_before_the_wishes_of_a_greater_one() -> None:
    """Without the floor a popular free feature of an important workload starves the paying users of a lesser one."""
    granted = share(
        [claim("high", demanded=20, floor=2, priority=90), claim("low", demanded=6, floor=3, priority=10)], gpus(8)
    )

    assert by_name(granted) == {"high": 5, "low": 3}


def test_a_floor_never_asks_for_more_than_the_demand() -> None:
    assert by_name(share([claim("a", demanded=2, floor=6), claim("b", demanded=6)], gpus(8))) == {"a": 2, "b": 6}


def test_equals_share_in_proportion_to_what_they_want() -> None:
    assert by_name(share([claim("a", demanded=4), claim("b", demanded=8)], gpus(6))) == {"a": 2, "b": 4}


def test_what_is_held_is_kept_before_anybody_is_given_more() -> None:
    claims = [claim("high", demanded=8, priority=90), claim("low", demanded=5, keep=5, priority=10)]

    assert by_name(share(claims, gpus(8), keep={c.key: c.keep for c in claims})) == {"high": 3, "low": 5}


def test_a_quota_bounds_its_namespace_alone() -> None:
    mine = claim("a", demanded=8)
    other = Claim(key=named("b", "search"), gpus=1, priority=10, minimum=0, floor=0, demanded=8, keep=0, by_node={})

    assert by_name(share([mine, other], gpus(12, quota=3))) == {"a": 3, "b": 8}


def test_a_replica_needs_its_gpus_on_one_node() -> None:
    spread = gpus(8, nodes={"n1": 2, "n2": 2, "n3": 2, "n4": 2})

    assert by_name(share([claim("big", demanded=2, gpus=4)], spread)) == {"big": 0}
    assert by_name(share([claim("big", demanded=2, gpus=4)], gpus(8, nodes={"n1": 4, "n2": 4}))) == {"big": 2}


def test_small_replicas_fill_nodes_up_so_that_great_ones_find_room() -> None:
    claims = [claim("small", demanded=3, priority=90), claim("big", demanded=1, gpus=4, priority=10)]

    assert by_name(share(claims, gpus(8, nodes={"n1": 4, "n2": 4}))) == {"small": 3, "big": 1}


def test_replicas_are_counted_where_their_pods_are() -> None:
    held = claim("small", demanded=2, keep=2, by_node={"n1": 1, "n2": 1})
    big = claim("big", demanded=1, gpus=4, priority=10)

    granted = share([held, big], gpus(8, nodes={"n1": 4, "n2": 4}), keep={held.key: 2, big.key: 0})

    assert by_name(granted) == {"small": 2, "big": 0}


def test_a_replica_is_counted_where_its_pods_are_before_any_node_is_looked_for() -> None:
    """The fullest node is another one; put there, the large replica would seem to have room where it has none."""
    held = claim("held", demanded=2, by_node={"n1": 2}, priority=90)
    big = claim("big", demanded=1, gpus=3)

    granted = share([held, big], gpus(7, nodes={"n1": 4, "n2": 3}))

    assert by_name(granted) == {"held": 2, "big": 1}


def test_more_than_there_is_stays_with_whom_it_is() -> None:
    """A node is lost: nobody can be granted what is held, and nobody is told to give it up."""
    held = claim("a", demanded=6, keep=6)

    assert by_name(share([held], gpus(4), keep={held.key: 6})) == {"a": 4}


def test_what_is_held_and_does_not_fit_any_more_is_not_given_to_others() -> None:
    """A replica of two GPUs in a pool that has one left: that one is not free."""
    held, other = claim("held", demanded=1, keep=1, gpus=2), claim("other", demanded=1)

    assert by_name(share([held, other], gpus(1), keep={held.key: 1, other.key: 0})) == {"held": 0, "other": 0}


# --- reclaiming


@pytest.mark.parametrize(
    ("granted", "ideal", "percent", "short"),
    [
        (9, 10, 10, True),
        (10, 10, 10, False),
        (39, 40, 10, False),
        (36, 40, 10, True),
        (0, 1, 100, True),
        (1, 5, 100, False),
        (4, 5, 0, True),
    ],
)
def test_short_is_who_lacks_a_replica_and_the_deficit_percent_of_its_share(
    granted: int, ideal: int, percent: int, short: bool
) -> None:
    assert is_short(claim("a", demanded=ideal), granted=granted, ideal=ideal, percent=percent) is short


def kept(*claims: Claim, of: GPUs, short: str) -> dict[str, int]:
    return by_name(reclaim(claims, of, short=frozenset({named(short)}), ideal=share(claims, of)))


def test_what_somebody_holds_above_its_own_demand_goes_first() -> None:
    idle = claim("idle", demanded=1, keep=4, priority=90)
    low = claim("low", demanded=4, keep=4, priority=10)

    assert kept(idle, low, claim("short", demanded=3), of=gpus(8), short="short") == {"idle": 1, "low": 4, "short": 0}


def test_nobody_falls_further_than_needed() -> None:
    idle = claim("idle", demanded=1, keep=6)

    assert kept(idle, claim("short", demanded=2), of=gpus(6), short="short") == {"idle": 4, "short": 0}


def test_the_least_important_lose_first_and_nobody_below_its_share() -> None:
    claims = (
        claim("first", demanded=6, keep=0, priority=90, pressed=True),
        claim("middle", demanded=4, keep=4, floor=2, priority=50),
        claim("last", demanded=4, keep=4, floor=1, priority=10),
    )

    assert kept(*claims, of=gpus(8), short="first") == {"first": 0, "middle": 2, "last": 1}


def test_only_for_headroom_nobody_falls_below_its_own_demand() -> None:
    low = claim("low", demanded=4, keep=4, priority=10)

    assert kept(claim("high", demanded=6, keep=4, priority=90), low, of=gpus(8), short="high")["low"] == 4
    assert kept(claim("high", demanded=6, keep=4, priority=90, pressed=True), low, of=gpus(8), short="high")["low"] == 2


def test_nobody_falls_below_its_own_minimum() -> None:
    """Where a pool cannot give everybody's minimum, who has it keeps it."""
    first = claim("first", demanded=1, minimum=1, priority=90, pressed=True)

    assert kept(first, claim("last", demanded=1, keep=1, minimum=1), of=gpus(1), short="first")["last"] == 1


def test_who_won_not_long_ago_is_not_taken_from() -> None:
    won = claim("won", demanded=1, keep=4, closed=True)

    assert kept(won, claim("short", demanded=4), of=gpus(4), short="short")["won"] == 4


def test_nobody_falls_where_what_is_freed_is_of_no_use() -> None:
    """Four GPUs free on four nodes are no place for a replica that needs four on one."""
    nodes = gpus(16, nodes={"n1": 4, "n2": 4, "n3": 4, "n4": 4})
    held = claim("stuck", demanded=12, keep=12, closed=True, by_node={"n1": 3, "n2": 3, "n3": 3, "n4": 3})
    idle = claim("idle", demanded=0, keep=4, by_node={"n1": 1, "n2": 1, "n3": 1, "n4": 1})

    assert (
        kept(held, idle, claim("big", demanded=1, gpus=4, pressed=True, priority=90), of=nodes, short="big")["idle"]
        == 4
    )


def test_two_fall_together_where_only_both_make_room() -> None:
    nodes = gpus(4, nodes={"n1": 4})
    a = claim("a", demanded=0, keep=2, by_node={"n1": 2})
    b = claim("b", demanded=0, keep=2, by_node={"n1": 2})

    assert kept(a, b, claim("big", demanded=1, gpus=4), of=nodes, short="big") == {"a": 0, "b": 0, "big": 0}
