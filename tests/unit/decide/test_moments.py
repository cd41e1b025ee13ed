"""The memory after the clock was set: everything is as old as it was."""

import pytest
from msgspec import structs

from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.moments import moved_by
from brownout.decide.snapshot import Snapshot, Workload
from brownout.decide.tick import plan
from support.build import FULL, NOW, cell, cell_of, named, policy, pool, remembered, scaler, snapshot, watch

HOUR = 3600.0
NEW, REST = cell(tier="free/new-accounts"), cell(tier="free")


def surge(now: float, *, set_by: float = 0.0) -> Snapshot:
    """More than fits, for somebody whose clock was `set_by` so many seconds."""
    image = scaler(replicas=10, most=10, at=now)
    assert isinstance(image.workload, Workload)
    pods = [
        structs.replace(
            pod,
            created_at=pod.created_at + set_by,
            ready_at=None if pod.ready_at is None else pod.ready_at + set_by,
        )
        for pod in image.workload.pods
    ]
    image = structs.replace(image, workload=structs.replace(image.workload, pods=tuple(pods)))
    offered = {"pro": 4.0, "plus": 4.0, "free": 4.0, "free/new-accounts": 2.0}
    return snapshot(pool(10), image, policy(offered=offered, at=now))


@pytest.mark.parametrize("set_by", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_same_is_decided_after_the_clock_was_set(set_by: float) -> None:
    _, memory = watch(
        surge, seconds=60, memory=remembered(NEW.shed(asked=2.0, ago=50, reversals=2), scalers={"image": FULL})
    )
    at = NOW + 62

    decided, after = plan(surge(at), memory, at)
    again, moved = plan(surge(at + set_by, set_by=set_by), moved_by(memory, set_by), at + set_by)

    assert again.scalers[named("image")].replicas == decided.scalers[named("image")].replicas
    for one in decided.policies[named("image")].cells:
        other = cell_of(again, "image", str(one.key.audience))
        assert (other.level, other.refused_by, other.since) == (one.level, one.refused_by, one.since + set_by)
    assert moved_by(moved, -set_by) == structs.replace(after, compiled=moved.compiled)


def test_a_dwell_is_as_long_as_ever_when_the_clock_goes_forward() -> None:
    quiet = snapshot(pool(10), scaler(replicas=10, at=NOW + HOUR), policy(offered={"pro": 1.0}, at=NOW + HOUR))
    memory = remembered(REST.shed(asked=2.0, ago=10, dwell=240.0))

    decided, after = plan(quiet, moved_by(memory, HOUR), NOW + HOUR)

    assert not cell_of(decided, "image", "free").changed
    assert cell_of(decided, "image", "free").since == NOW + HOUR - 10
    assert after.cells[REST.key].last_shed_at == NOW + HOUR - 10


def test_what_status_told_of_the_time_before_the_process_is_left_as_it_is_and_never_in_the_future() -> None:
    """Its clock was an hour ahead from the start on: what it read of others' clocks needs no correction."""
    began_at = NOW + HOUR
    recalled, ahead = remembered(REST.shed(ago=10)), remembered(REST.shed(ago=-HOUR + 10))
    own = remembered(REST.shed(ago=-HOUR - 20))

    def back(memory: Memory) -> float:
        return moved_by(memory, -HOUR, since=began_at, now=NOW + 60).cells[REST.key].since

    assert back(recalled) == NOW - 10
    assert back(ahead) == NOW + 60
    assert back(own) == NOW + 20


def test_what_never_was_stays_so() -> None:
    assert moved_by(Memory(scalers={named("image"): ScalerMemory()}), HOUR) == Memory(
        scalers={named("image"): ScalerMemory()}
    )
    memory = remembered(REST)
    assert moved_by(memory, 0.0) is memory
