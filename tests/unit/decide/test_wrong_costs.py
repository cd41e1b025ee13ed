"""Costs declared at half of the truth, or at double: users pay for the error with a few minutes, and never with a feature."""

from itertools import pairwise

import pytest

from brownout.decide.cells import FIRST
from brownout.decide.outcome import Level
from support.build import TWO, cell_of, named, policy, pool, scaler, snapshot
from support.world import World, objects_of

BEGINS, ENDS = 120.0, 1320.0


def surge(truth: float, *, free: float, pro: float, order: str) -> World:
    """Eight GPUs, and 20 minutes in which many more ask than can be served; a request takes `truth` times what is declared."""
    objects = objects_of(
        snapshot(
            pool(8, name="demo"),
            scaler(pool_name="demo", least=8, most=8, backlog=0.0, busy=0.0, order=order),
            policy(variants=TWO, tiers={"pro": "Always", "free": "Auto"}, remember_seconds=1200),
        )
    )

    def offered(now: float) -> dict[tuple[str, str, str], float]:
        return {("image", "pro", ""): pro, ("image", "free", ""): free if BEGINS <= now < ENDS else 1.0}

    return World(objects, offered, 8, tick=4.0, window=30.0, truth={"image": truth})


def factor(world: World) -> float:
    return world.memory.scalers[named("image")].cost_factor


@pytest.mark.parametrize("order", ["Tiered", "FIFO"])
@pytest.mark.parametrize("pro", [0.05, 0.5])
@pytest.mark.parametrize("free", [30.0, 400.0], ids=["some denied", "all denied"])
@pytest.mark.parametrize("truth", [0.5, 2.0])
def test_a_wrong_cost_breaks_neither_shedding_nor_restoring(truth: float, free: float, pro: float, order: str) -> None:
    world = surge(truth, free=free, pro=pro, order=order).run(ENDS + 600)

    settled = int((BEGINS + 60) / world.tick)
    levels = [cell_of(plan, "image", "free").level for plan in world.plans]
    assert max(waits.get("image:pro", 0.0) for waits in world.waits[settled:]) < 1.0
    assert {cell_of(plan, "image", "pro").level for plan in world.plans} == {FIRST}
    assert levels[int((BEGINS + 40) / world.tick)] != FIRST
    assert levels[-1] == FIRST
    assert factor(world) == pytest.approx(truth, rel=0.05)
    moved = [before.depth < after.depth for before, after in pairwise(levels) if before != after]
    assert sum(down != after for down, after in pairwise(moved)) <= 4 + 1


@pytest.mark.parametrize("truth", [0.5, 2.0])
def test_nothing_is_learned_while_hardly_anybody_is_let_through_and_learning_goes_on_with_the_first_who_are(
    truth: float,
) -> None:
    """A twentieth of a GPU is busy: what a request costs is not told by that, and what was learned before stays."""
    world = surge(truth, free=400.0, pro=0.05, order="Tiered").run(BEGINS)
    before = factor(world)

    during = factor(world.run(ENDS - BEGINS))

    assert cell_of(world.plans[-1], "image", "free").level == Level(1)
    assert during == pytest.approx(before, abs=0.02)
    assert abs(during - truth) > 0.2
    assert factor(world.run(600)) == pytest.approx(truth, rel=0.05)
