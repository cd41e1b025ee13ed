"""Which of all objects are ours to act on."""

from typing import Any

from brownout.api.pool import LabelSelector
from brownout.api.resources import Key
from brownout.observe.facts import NamespaceFact
from brownout.observe.kinds import Kinds, gather
from brownout.observe.vanish import Vanishing
from support.operator_builders import pool

GPUS = pool(namespace_selector=LabelSelector(match_labels={"pool": "h100"}))
NAMESPACES = {
    Key("", name): NamespaceFact(key=Key("", name), labels=labels)
    for name, labels in {"media": {"pool": "h100"}, "search": {"pool": "a100"}}.items()
}


def seen(*namespaces: str, everywhere: bool = False) -> Kinds:
    """What an operator for these namespaces takes up, of a pool for `media` alone."""
    facts: dict[str, dict[Key, Any]] = {"GPUPool": {GPUS.key: GPUS}, "Namespace": NAMESPACES}
    return gather(
        lambda kind: facts.get(kind, {}), vanishing=Vanishing(), namespaces=None if everywhere else namespaces, now=0.0
    )


def test_a_pool_that_admits_a_namespace_of_ours_is_taken_up() -> None:
    assert set(seen("search", "media").pools) == {GPUS.key}


def test_a_pool_that_admits_none_of_our_namespaces_is_left_alone_and_known_to_be_there() -> None:
    found = seen("search")
    assert (found.pools, found.elsewhere) == ({}, {"h100"})


def test_a_namespace_that_does_not_exist_is_admitted_by_no_pool() -> None:
    assert seen("gone").pools == {}


def test_who_has_no_namespace_left_takes_up_nothing_rather_than_everything() -> None:
    assert seen().pools == {}


def test_who_acts_in_all_namespaces_takes_up_all_pools() -> None:
    found = seen(everywhere=True)
    assert (set(found.pools), found.elsewhere) == ({GPUS.key}, frozenset())
