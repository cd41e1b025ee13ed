"""Which pods a scale-down takes: the order of a ReplicaSet, and what that frees on which node."""

from typing import Any

from brownout.decide.arbitrate import Claim
from brownout.decide.removal import leaves_first
from brownout.decide.snapshot import Pod
from support.build import NOW, named


def pod(name: str, *, age: float = 100.0, ready: bool = True, node: str | None = "n1") -> Pod:
    created = NOW - age
    return Pod(name=name, created_at=created, ready_at=created + 10 if ready else None, node=node)


def order(*pods: Pod) -> list[str]:
    return [one.name for one in leaves_first(pods)]


def test_who_has_no_node_goes_first_then_who_is_not_ready() -> None:
    assert order(pod("old"), pod("loads", ready=False, age=500), pod("waits", ready=False, node=None, age=900)) == [
        "waits",
        "loads",
        "old",
    ]


def test_of_those_that_serve_who_shares_a_node_with_most_others_goes_first() -> None:
    alone, one, two = pod("alone", age=10, node="n2"), pod("one", age=100), pod("two", age=200)

    assert order(alone, one, two) == ["one", "two", "alone"]


def test_then_the_youngest_goes_first() -> None:
    assert order(pod("old", age=300), pod("young", age=5), pod("middle", age=50)) == ["young", "middle", "old"]


def claim(*pods: Pod) -> Claim:
    nodes: dict[str, int] = {}
    for one in pods:
        if one.node is not None:
            nodes[one.node] = nodes.get(one.node, 0) + 1
    usual: dict[str, Any] = {"gpus": 1, "priority": 50, "minimum": 0, "floor": 0, "demanded": 0, "keep": 0}
    return Claim(key=named("image"), by_node=nodes, pods=pods, **usual)


def test_what_stays_is_where_the_others_were() -> None:
    """Three on the first node and one on the second: those of the first go until one is left on each."""
    three = claim(pod("a"), pod("b"), pod("c"), pod("d", node="n2"))

    assert three.staying(4) == {"n1": 3, "n2": 1}
    assert three.staying(3) == {"n1": 2, "n2": 1}
    assert three.staying(0) == {"n1": 0, "n2": 0}


def test_pods_without_a_node_free_none_when_they_go() -> None:
    waiting = claim(pod("a"), pod("b", node="n2"), pod("c", node=None, ready=False))

    assert waiting.staying(2) == {"n1": 1, "n2": 1}
