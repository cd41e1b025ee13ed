"""Laws of the closed loop: what is decided changes what is asked for, served and measured next."""

from copy import deepcopy

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.decide.cells import FIRST
from brownout.decide.outcome import CellKey, Level
from support.build import TWO, cell_of, policy, pool, scaler, snapshot
from support.random_loops import Product, Rates, loads, planned, products, surge
from support.world import World, objects_of

LAW = settings(
    deadline=None,
    derandomize=True,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],  # to shrink a world takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)


@LAW
@given(product=products, calm=loads, loud=loads, times=st.floats(1.0, 100.0), lasts=st.floats(10.0, 240.0))
def test_when_the_surge_ends_everything_comes_back(
    product: Product, calm: Rates, loud: Rates, times: float, lasts: float
) -> None:
    """No dead-lock: whatever was shed, however GPUs were dealt out then, whatever requests really cost, a load that fits is
    served in full again: within the hour for which a cell that turned too often waits, and a dwell.
    """
    quiet = product.quiet(calm)
    many = surge(quiet, loud, times=times)

    world = product.world(lambda now: many if 60 <= now < 60 + lasts else quiet, tick=8.0).run(5400)

    assert [(str(c.key), c.refusal) for c in planned(world.plans[-1]).values() if c.level != FIRST] == []


@pytest.mark.parametrize("lasts", [10.0, 30.0, 60.0, 90.0, 120.0])
@pytest.mark.parametrize("calm", [0.5, 0.01])
def test_a_surge_that_ended_at_whatever_time_after_it_was_answered_is_over(lasts: float, calm: float) -> None:
    """Those whom a surge brought stop asking when it ends as those do who see no button any more. So much was asked for that
    not even the least part of it would fit, so nobody is let in who could tell.
    """
    seen = snapshot(
        pool(4, name="demo"),
        scaler(pool_name="demo", most=4, backlog=0.0),
        policy(variants=TWO, tiers={"free": "Auto"}, remember_seconds=600),
    )

    world = World(
        objects_of(seen), lambda now: {("image", "free", ""): 400.0 if 20 <= now < 20 + lasts else calm}, 4, tick=4.0
    ).run(1200)

    levels = [cell_of(plan, "image", "free").level for plan in world.plans]
    assert levels[5] == Level(1)
    assert levels[-1] == FIRST


@LAW
@given(product=products, calm=loads, loud=loads, times=st.floats(1.0, 20.0))
def test_no_pod_is_made_beyond_the_pools_gpus(product: Product, calm: Rates, loud: Rates, times: float) -> None:
    quiet = product.quiet(calm)
    many = surge(quiet, loud, times=times)

    world = product.world(lambda now: many if now % 400 < 200 else quiet).run(1200)

    assert max(sum(replicas.values()) for replicas in world.replicas) <= product.gpus


@LAW
@given(product=products, calm=loads, loud=loads, times=st.floats(1.0, 20.0), dark=st.floats(40.0, 400.0))
def test_an_outage_of_metrics_moves_nothing_whenever_it_comes(
    product: Product, calm: Rates, loud: Rates, times: float, dark: float
) -> None:
    quiet = product.quiet(calm)
    many = surge(quiet, loud, times=times)

    world = product.world(
        lambda now: many if 60 <= now < 240 else quiet, blind=lambda now: dark <= now < dark + 120
    ).run(540)

    assert [note for plan in world.plans if dark <= plan.at < dark + 120 for note in plan.notes] == []


@LAW
@given(product=products, calm=loads, loud=loads, times=st.floats(1.0, 20.0), at=st.floats(40.0, 400.0))
def test_a_restart_in_a_surge_turns_no_cell_that_the_loop_would_not_whenever_it_comes(
    product: Product, calm: Rates, loud: Rates, times: float, at: float
) -> None:
    """Without noise: means are lost with it, so the next part of what was coming back already may be another one."""
    product = structs.replace(product, seed=None)
    quiet = product.quiet(calm)
    many = surge(quiet, loud, times=times)
    world = product.world(lambda now: many if now >= 60 else quiet).run(at)
    goes_on, going = deepcopy(world), {key: memory.direction for key, memory in world.memory.cells.items()}
    world.restart()

    anew, on = planned(world.step()), planned(goes_on.step())

    for key, cell in anew.items():
        assert cell.previous == on[key].previous
        if cell.level.depth < cell.previous.depth:
            assert going[key] == "Restore" or on[key].level.depth < cell.previous.depth


@LAW
@given(product=products, loud=loads, period=st.sampled_from([40.0, 90.0, 200.0, 600.0]))
def test_reversals_are_bounded_under_any_periodic_load(product: Product, loud: Rates, period: float) -> None:
    """The budget of four an hour delays restoring and never shedding: one more may be forced."""
    quiet = {who: rate / 20 for who, rate in loud.items()}
    world = product.world(lambda now: loud if now % period < period / 2 else quiet, tick=8.0)
    turns: dict[CellKey, list[float]] = {}
    direction: dict[CellKey, int] = {}

    for _ in range(560):
        for key, cell in planned(world.step()).items():
            turn = (cell.level.depth > cell.previous.depth) - (cell.level.depth < cell.previous.depth)
            if turn and direction.get(key, turn) != turn:
                turns.setdefault(key, []).append(world.now)
            direction[key] = turn or direction.get(key, 0)

    for moments in turns.values():
        for i, at in enumerate(moments):
            assert sum(1 for other in moments[i:] if other - at < 3600) <= 4 + 1
