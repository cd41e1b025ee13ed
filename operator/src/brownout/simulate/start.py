"""The kernel's world and its state at the start of a run, from a scenario's layout and the asks of a seed."""

import numpy as np

from brownout.simulate.asks import Asks
from brownout.simulate.kernel import NOWHERE, STEP_SECONDS, State, World
from brownout.simulate.layout import Layout
from brownout.simulate.record import Ints

MOST_RUNNING = 4096
"""Requests that one workload may serve at once."""


def world_of(layout: Layout, asks: Asks, seed: int, steps_per_tick: int) -> World:
    """What does not change in a run."""
    scenario, cells, workloads = layout.scenario, layout.cells, layout.workloads
    steps = steps_per_tick * layout.ticks
    visits = max((len(costs) for cell in cells for costs in cell.costs), default=1) or 1
    variants = layout.costs.shape[1]
    where = np.full((len(cells), variants, visits), NOWHERE, dtype=np.int64)
    costs = np.zeros((len(cells), variants, visits))
    rank = np.zeros((len(cells), len(workloads)), dtype=np.int64)
    order = sorted({cell.tier_priority for cell in cells}, reverse=True)
    objective = np.zeros(len(cells))
    for c, cell in enumerate(cells):
        for v, declared in enumerate(cell.costs):
            for k, key in enumerate(sorted(declared)):
                w = workloads.index(key.name)
                where[c, v, k], costs[c, v, k] = w, layout.costs[c, v, w]
        for w, name in enumerate(workloads):
            rank[c, w] = order.index(cell.tier_priority) if scenario.workloads[name].order == "Tiered" else 0
        names = [key.name for key in cell.scalers] or list(workloads)
        objective[c] = max(scenario.workloads[name].objective_seconds for name in names)
    step_of_ask = np.minimum((asks.at / STEP_SECONDS).astype(np.int64), steps - 1)
    own = [scenario.workloads[name] for name in workloads]
    return World(
        ask_cell=layout.stream_cell[asks.stream],
        ask_user=asks.user,
        ask_luck=asks.luck * 100.0,
        ask_size=asks.size,
        ask_tick=step_of_ask // steps_per_tick,
        ask_step=np.searchsorted(step_of_ask, np.arange(steps + 1)),
        denial=layout.denial,
        rank=rank,
        costs=costs,
        visits=where,
        quality=layout.quality,
        objective=objective,
        timeout=np.array([one.timeout_seconds for one in own]),
        batch=np.array([one.batch for one in own], dtype=np.int64),
        overhead=np.array([one.overhead for one in own]),
        gpus=layout.gpus,
        retry_share=scenario.users.retry_share,
        retry_seconds=scenario.users.retry_seconds,
        retries=scenario.users.retries,
        hidden_share=scenario.users.hidden_share,
        seed=seed,
    )


def first_state(layout: Layout, asks: Asks, steps: int) -> State:
    """Nobody has asked, nothing is ready, everything is whole."""
    asked, cells, workloads = len(asks.at), len(layout.cells), len(layout.workloads)
    ranks = len({cell.tier_priority for cell in layout.cells})

    def whole(*shape: int, value: int = 0) -> Ints:
        return np.full(shape, value, dtype=np.int64)

    return State(
        tries=whole(asked),
        started=np.zeros(asked),
        variant=whole(asked),
        stage=whole(asked),
        queued_at=np.zeros(asked),
        left=np.zeros(asked),
        following=whole(asked, value=NOWHERE),
        retry_head=whole(steps + 1, value=NOWHERE),
        head=whole(workloads, ranks, value=NOWHERE),
        tail=whole(workloads, ranks, value=NOWHERE),
        active=whole(workloads, MOST_RUNNING, value=NOWHERE),
        running=whole(workloads),
        waiting=whole(workloads),
        backlog=np.zeros(workloads),
        ready=whole(workloads),
        level=whole(cells),
        percent=whole(cells, value=100),
        quota=whole(cells, value=-1),
        alone=whole(len(asks.user_stream), value=NOWHERE),
        used=whole(len(asks.user_stream)),
        offered=np.zeros(cells),
        admitted=np.zeros(cells),
        work=np.zeros(workloads),
        ready_seconds=np.zeros(workloads),
        waited=np.zeros(workloads),
        dequeued=np.zeros(workloads),
        good=np.zeros((layout.ticks, cells)),
        late=np.zeros((layout.ticks, cells)),
        value=np.zeros((layout.ticks, cells)),
        user_good=whole(len(asks.user_stream)),
    )
