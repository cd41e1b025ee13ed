"""The operator dies at any moment of a tick, or runs twice: users notice nothing of it, and the next one goes on where it stopped."""

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from support.api_proxy import ApiProxy, When
from support.chronicle import chronicle
from support.operator import Operator
from support.operator_world import FEATURE, World
from support.size import sized
from support.surge import SETTLED_SECONDS, calm, lasting_surge, settled, surge
from support.waiting import holds_for, wait_for

MOST_WRITES = 8
"""A tick in which a surge is answered writes two statuses of cells and scalers, a pool's, replicas, and an Event for each of them."""
CHANGES, SURE_WRITES = 3, 3
"""Replicas come, a feature goes, and both go back: each change takes so many writes at least; later ones may be spread over ticks."""
NO_MORE_WRITES_SECONDS = 8.0
MOST_TURNS = 6
"""Of a feature in a surge with two operators; one turns once. Each writes what it decided, also where the other has just decided otherwise on newer numbers."""


class Death(NamedTuple):
    """Right before or right after the API server gets the n-th write of an operator's life."""

    write: int
    when: When


IN_TURN = [Death(write, when) for write in range(1, sized(bounded=3, whole=5)) for when in ("before", "after")]
"""One life after the other gets a little further."""
ONE_EACH = [[Death(write, when)] for write in range(1, MOST_WRITES + 1) for when in ("before", "after")]
LIVES: list[list[Death]] = sized(bounded=[IN_TURN], whole=[IN_TURN, *ONE_EACH])


def _named(lives: Sequence[Death]) -> str:
    return "in turn" if len(lives) > 1 else f"{lives[0].when} write {lives[0].write}"


@pytest.mark.parametrize("lives", LIVES, ids=_named)
def test_an_operator_that_is_killed_at_a_write_loses_nothing_and_reverses_nothing(
    world: World, operator: Operator, api: ApiProxy, lives: list[Death]
) -> None:
    world.wait_for_replicas(2)
    with chronicle(world) as seen:
        world.set_load(pro=3.5, free=0.05)
        deaths = dies(operator, api, lives)
        world.wait_for_replicas(4)
        wait_for(lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 4, "four are ready")
        world.set_load(pro=4.6, free=3)
        deaths += dies(operator, api, lives)
        world.wait_for_variant("free", "denied", seconds=120)
    seen.no_replica_was_lost()
    seen.no_way_back_twice("free")
    with chronicle(world) as seen:
        calm(world)
        deaths += dies(operator, api, lives)
        world.wait_for_variant("free", "full", seconds=120)
        world.wait_for_replicas(2, seconds=120)
    assert deaths >= (CHANGES if lives[0].write <= SURE_WRITES else 1)
    seen.no_way_back_twice("free")
    assert sorted(seen.replicas, reverse=True) == seen.replicas


def test_an_operator_killed_in_mid_surge_reverses_nothing_when_it_is_back(world: World, operator: Operator) -> None:
    lost = surge(world)
    before = world.status("FeaturePolicy", FEATURE)
    operator.kill()
    operator.start()
    holds_for(lambda: world.served("free") == lost and world.replicas() == 4, "nothing is reversed", seconds=8)
    after = world.status("FeaturePolicy", FEATURE)
    assert after["version"] == before["version"]
    assert [cell["since"] for cell in after["cells"]] == [cell["since"] for cell in before["cells"]]
    world.set_load(pro=0.5, free=0.5, admitted=0.05)
    world.wait_for_variant("free", "full", seconds=120)


def test_two_operators_by_mistake_end_where_one_would_and_do_not_fight(
    world: World, operator: Operator, api: ApiProxy, tmp_path: Path
) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, server=api.url) as other:
        with chronicle(world) as seen:
            lasting_surge(world)
            settled(lambda: world.served("free"))
            before = len(api.writes)
            holds_for(lambda: True, "both live", seconds=SETTLED_SECONDS)
            assert len(api.writes) - before <= MOST_WRITES, api.writes[before:]
            calm(world)
            world.wait_for_variant("free", "full", seconds=120)
            world.wait_for_replicas(2, seconds=120)
        assert seen.turns("free") <= MOST_TURNS, seen.served
        assert not other.ended()
        assert not operator.ended()


def dies(operator: Operator, api: ApiProxy, lives: Sequence[Death]) -> int:
    """One life after the other ends at its write, unless it finds nothing more to write; a last one is let live.

    Returns how many were killed.
    """
    killed = 0
    for write, when in lives:
        operator.kill()
        operator.launch()
        api.kill_at(write, when, partial(os.kill, operator.pid, signal.SIGKILL))
        wait_for(lambda: operator.ended() or operator.ready(), "it decides, or dies", seconds=60)
        try:
            wait_for(operator.ended, f"it dies {when} write {write}", seconds=NO_MORE_WRITES_SECONDS)
        except AssertionError:
            break  # everything is written
        killed += 1
    api.spare()
    if operator.ended():
        operator.start()
    return killed
