"""All controllers together: what each of them must keep, whatever it sees."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.decide.cells import FIRST
from brownout.simulate.controller import CellSeen, Observation
from brownout.simulate.controllers import CONTROLLERS
from support.simulate_builders import CELLS, observed, setting, unseen, workload

maybe = st.none() | st.floats(0.0, 200.0)


@st.composite
def sights(draw: st.DrawFn) -> Observation:
    """Anything that may be seen of two workloads."""
    seen = observed(
        *(
            workload(
                name,
                ready=draw(st.integers(0, 12)),
                loading=draw(st.integers(0, 4)),
                pending=draw(st.integers(0, 4)),
                least=draw(st.integers(0, 3)),
                most=draw(st.integers(3, 20)),
                busy=draw(st.none() | st.floats(0.0, 1.0)),
                concurrency=draw(maybe),
                waiting=draw(maybe),
                work=draw(maybe),
                queue_seconds=draw(maybe),
            )
            for name in ("image", "video")
        )
    )
    cells = {one.key: CellSeen(draw(maybe), draw(maybe)) for one in CELLS if draw(st.booleans())}
    return Observation(at=0.0, measured_at=0.0, workloads=seen.workloads, cells=cells, gpus=seen.gpus)


@pytest.mark.parametrize("name", CONTROLLERS)
@settings(max_examples=10)
@given(sequence=st.lists(st.tuples(sights(), st.booleans()), min_size=1, max_size=20))
def test_whatever_is_seen_bounds_lowest_and_always_are_kept(
    name: str, sequence: list[tuple[Observation, bool]]
) -> None:
    told = setting()
    factory, grid = CONTROLLERS[name]
    controller = factory(told, grid[0])

    for tick, (seen, restart) in enumerate(sequence):
        if restart:
            controller.restart()
        now = 5.0 * tick
        action = controller.decide(
            Observation(at=now, measured_at=now - 1.0, workloads=seen.workloads, cells=seen.cells, gpus=seen.gpus)
        )
        for workload_name, replicas in action.replicas.items():
            bounds = seen.workloads[workload_name]
            assert bounds.min_replicas <= replicas <= bounds.max_replicas or replicas == 0 == bounds.min_replicas
        for key, level in action.levels.items():
            cell = told.cells[key]
            assert not cell.always
            assert FIRST.depth <= level.depth <= cell.floor.depth


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_quiet_pool_is_left_alone(name: str) -> None:
    factory, grid = CONTROLLERS[name]
    quiet = {"busy": 0.68, "concurrency": 28.0, "waiting": 0.0, "work": 2.7, "queue_seconds": 0.0}

    for parameters in grid[:1]:
        controller = factory(setting(), parameters)
        for tick in range(240):
            seen = observed(workload("image", **quiet), workload("video", **quiet), at=5.0 * tick)  # type: ignore[arg-type]
            action = controller.decide(seen)
            assert not action.replicas
            assert not action.levels


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_grid_is_short_distinct_and_makes_controllers(name: str) -> None:
    factory, grid = CONTROLLERS[name]

    assert 1 <= len(grid) == len(set(grid)) <= 6
    for parameters in grid:
        factory(setting(), parameters).decide(observed(workload("image"), unseen("video")))
