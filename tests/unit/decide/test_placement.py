"""New replicas of several sizes are asked for so that a scheduler finds a place for each."""

from collections.abc import Mapping

import pytest
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.arbitrate import Claim, GPUs
from brownout.decide.memory import Memory
from brownout.decide.placement import in_one_tick
from brownout.decide.snapshot import Pod, Workload
from support.build import NOW, named, policy, pool, scaler, snapshot, tick


def claim(
    name: str, *, gpus: int, keep: int = 0, priority: int = 50, by_node: Mapping[str, int] | None = None
) -> Claim:
    return Claim(
        key=named(name), gpus=gpus, priority=priority, minimum=0, floor=0, demanded=9, keep=keep, by_node=by_node or {}
    )


def nodes(**free: int) -> GPUs:
    return GPUs(nodes=free, total=sum(free.values()), by_namespace={}, limited_by="nodes")


def asked(gpus: GPUs, *granted: tuple[Claim, int]) -> dict[str, int]:
    keep: dict[Key, int] = {claim.key: claim.keep for claim, _ in granted}
    found = in_one_tick(
        [claim for claim, _ in granted], gpus, keep=keep, granted={claim.key: replicas for claim, replicas in granted}
    )
    return {key.name: replicas for key, replicas in found.items()}


def test_a_small_replica_that_would_take_a_large_ones_place_is_asked_for_later() -> None:
    """The small one is more important, so it is placed first, on the emptier node: two nodes with one GPU each are left."""
    small, large = claim("small", gpus=1, priority=90), claim("large", gpus=2)

    assert asked(nodes(n1=2, n2=1), (small, 1), (large, 1)) == {"small": 0, "large": 1}


def test_what_finds_its_places_is_asked_for_at_once() -> None:
    small, large = claim("small", gpus=1, priority=90), claim("large", gpus=2)

    assert asked(nodes(n1=3, n2=1), (small, 1), (large, 1)) == {"small": 1, "large": 1}
    assert asked(nodes(n1=2, n2=1), (claim("small", gpus=1), 1), (claim("large", gpus=2, priority=90), 1)) == {
        "small": 1,
        "large": 1,
    }


def test_what_is_there_already_takes_its_room_and_is_not_asked_for_again() -> None:
    """One GPU of the first node is held, so each has two; a node that has gone has none to take."""
    small = claim("small", gpus=1, keep=2, priority=90, by_node={"n1": 1, "gone": 1})
    large = claim("large", gpus=2)

    assert asked(nodes(n1=3, n2=2), (small, 3), (large, 2)) == {"small": 2, "large": 2}
    assert asked(nodes(n1=3, n2=3), (small, 3), (large, 2)) == {"small": 3, "large": 2}


def test_replicas_of_one_size_take_no_place_from_each_other() -> None:
    assert asked(nodes(n1=1, n2=1), (claim("one", gpus=1), 1), (claim("two", gpus=1), 1)) == {"one": 1, "two": 1}


def test_where_nodes_are_not_counted_nobody_waits_for_a_place() -> None:
    uncounted = structs.replace(nodes(n1=3), nodes=None)

    assert asked(uncounted, (claim("small", gpus=1, priority=90), 1), (claim("large", gpus=2), 1)) == {
        "small": 1,
        "large": 1,
    }


def test_where_there_is_no_node_large_replicas_are_asked_for_first() -> None:
    assert asked(nodes(), (claim("small", gpus=1), 1), (claim("large", gpus=2), 1)) == {"small": 0, "large": 1}


@pytest.mark.parametrize("order", [("small", "large"), ("large", "small")])
def test_the_small_ones_come_a_tick_later_and_say_why(order: tuple[str, str]) -> None:
    """Two nodes with two GPUs; two small replicas would take one of each."""
    costs = {"small": {"full": {"small": 0.001}, "denied": {}}, "large": {"full": {"large": 0.001}, "denied": {}}}
    asks = [policy(name, variants=costs[name], tiers={"pro": "Always"}, offered={"pro": 1200.0}) for name in order]
    sizes = {"small": 1, "large": 2}
    has = dict.fromkeys(order, 0)
    memory, seen_at = Memory(), []
    for i in range(2):
        there = [
            scaler(
                name,
                gpus=sizes[name],
                least=0,
                priority=90 if name == "small" else 10,
                workload=Workload(
                    replicas=has[name],
                    gpus_per_replica=sizes[name],
                    pods=tuple(Pod(name=f"{name}-{n}", created_at=NOW, node=f"node-{n + 1}") for n in range(has[name])),
                ),
            )
            for name in order
        ]
        decided, memory = tick(snapshot(pool(None, nodes=[2, 2]), *there, *asks), memory, now=NOW + 2 * i)
        has = {key.name: found.replicas for key, found in decided.scalers.items()}
        seen_at.append((has["small"], has["large"], decided.scalers[named("small")].rule))

    assert seen_at == [(0, 1, Reason.WAITS), (2, 1, Reason.DEMAND)]
