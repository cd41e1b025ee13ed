"""Builders of small truths for the oracles' tests, and random ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from brownout.simulate.oracles import Truth


def truth(
    *,
    demand: Any,
    cost: Any,
    worth: Any,
    gpus: int | Sequence[int],
    start: Sequence[int],
    lowest: Sequence[int] | None = None,
    always: Sequence[bool] | None = None,
    ladder: Sequence[tuple[int, int]] | None = None,
    size: Sequence[int] | None = None,
    least: Sequence[int] | None = None,
    most: Sequence[int] | None = None,
    cold_start_seconds: Sequence[float] | float = 20.0,
) -> Truth:
    """Ticks of ten seconds. Without a ladder: the cells in their order, step by step, and every variant may be taken."""
    asked, costs, worths = (np.array(values, dtype=np.float64) for values in (demand, cost, worth))
    cells, variants, workloads = costs.shape
    floors = [variants - 1] * cells if lowest is None else list(lowest)
    return Truth(
        tick_seconds=10.0,
        demand=asked,
        cost=costs,
        worth=worths,
        lowest=np.array(floors),
        always=np.array(always or [False] * cells),
        ladder=tuple(ladder or [(cell, step) for cell in range(cells) for step in range(floors[cell])]),
        gpus=np.broadcast_to(np.array(gpus), (len(asked),)),
        gpus_per_replica=np.array(size or [1] * workloads),
        min_replicas=np.array(least or [0] * workloads),
        max_replicas=np.array(most or [99] * workloads),
        start_replicas=np.array(start),
        cold_start_seconds=np.broadcast_to(np.array(cold_start_seconds, dtype=np.float64), (workloads,)),
    )


@st.composite
def truths(draw: st.DrawFn, *, joined: bool = True, loses_nodes: bool = True) -> Truth:
    """Up to three workloads, four cells and eight ticks. `joined`: a cell's variants may load different workloads."""
    workloads, cells, ticks = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 8))
    cost, worth, lowest, always = np.zeros((cells, 3, workloads)), np.zeros((cells, 3)), [], []
    for cell in range(cells):
        home = draw(st.integers(0, workloads - 1))
        other = draw(st.integers(0, workloads - 1)) if joined else home
        cost[cell, 0, home] = draw(st.sampled_from([0.5, 1.0, 2.0, 3.0]))
        cost[cell, 1, other] += draw(st.sampled_from([0.2, 0.5, 1.0]))
        if joined and draw(st.booleans()):
            cost[cell, 0, other] += 0.25
        worth[cell, 0] = draw(st.sampled_from([1.0, 2.0, 5.0, 20.0]))
        worth[cell, 1] = worth[cell, 0] * draw(st.sampled_from([0.3, 0.5, 0.9]))
        lowest.append(draw(st.integers(0, 2)))
        always.append(draw(st.integers(0, 3)) == 0)
    size = draw(st.lists(st.sampled_from([1, 1, 2]), min_size=workloads, max_size=workloads))
    start = draw(st.lists(st.integers(0, 2), min_size=workloads, max_size=workloads))
    held = sum(s * n for s, n in zip(size, start, strict=True))
    first = draw(st.integers(held, held + 3))
    lost_at = draw(st.integers(0, ticks)) if loses_nodes else ticks
    least = [draw(st.integers(0, min(1, n))) for n in start]
    floor = sum(s * n for s, n in zip(size, least, strict=True))
    later = draw(st.integers(floor, first + 2))
    rate = st.sampled_from([0.0, 0.3, 1.0, 2.0, 4.0])
    rungs = [(cell, step) for cell in range(cells) for step in range(lowest[cell]) if not always[cell]]
    mixed = draw(st.permutations(range(cells)))
    return truth(
        demand=draw(
            st.lists(st.lists(rate, min_size=cells, max_size=cells), min_size=ticks, max_size=ticks),
        ),
        cost=cost,
        worth=worth,
        lowest=lowest,
        always=always,
        ladder=sorted(rungs, key=lambda rung: (mixed[rung[0]] // 2, rung[1], mixed[rung[0]])),
        gpus=[first] * lost_at + [later] * (ticks - lost_at),
        start=start,
        size=size,
        least=least,
        most=[draw(st.integers(max(1, n), 4)) for n in start],
        cold_start_seconds=[draw(st.sampled_from([10.0, 20.0, 30.0])) for _ in range(workloads)],
    )
