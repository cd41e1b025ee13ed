"""The plant's inner loop, compiled: single requests through admission, tier queues and batching servers.

Time advances in steps of STEP_SECONDS; within a step a server that finishes a request takes the next one at once, so no
capacity is lost to the step. What a request does by chance is a hash of its number and its try, so that every controller meets
the same users.

A replica serves up to `batch` requests together. A step of a batch that is filled to the share x takes h + (1 - h) x of a full
one's time (h: what a step costs whatever it holds), so a workload with capacity C GPUs does C x / (h + (1 - h) x) of work.
Replicas share one queue; that a balancer would do worse is left out.
"""

from typing import Any, NamedTuple

import numpy as np

from brownout.flags.cells import TURN_SECONDS, TURN_STRIDE
from brownout.simulate.compiled import compiled
from brownout.simulate.heaviest import Sketches, count

STEP_SECONDS = 0.5
NOWHERE = -1
IN_TIME, LATE = -1, -2


class World(NamedTuple):
    """What does not change in a run. Shapes: N asks, C cells, V variants, K costs of a variant, W workloads."""

    ask_cell: Any  # [N]
    ask_user: Any  # [N]
    ask_luck: Any  # [N] in [0, 100)
    ask_size: Any  # [N]
    ask_tick: Any  # [N] the tick of the first try
    ask_step: Any  # [steps + 1] the first ask of each step
    denial: Any  # [C]
    rank: Any  # [C, W] the queue of a cell at a workload: 0 is served first
    costs: Any  # [C, V, K] true GPU-seconds at the k-th workload that a request visits, 0 where there is none
    visits: Any  # [C, V, K] that workload, or NOWHERE
    quality: Any  # [C, V]
    objective: Any  # [C] seconds
    timeout: Any  # [W] seconds
    batch: Any  # [W]
    overhead: Any  # [W]
    gpus: Any  # [W] of one replica
    retry_share: float
    retry_seconds: float
    retries: int
    hidden_share: float
    seed: int


class State(NamedTuple):
    """What changes. An ask is in one place at a time, so one `following` links all queues. Counters only grow."""

    tries: Any  # [N]
    started: Any  # [N] seconds of this try
    variant: Any  # [N] of this try
    stage: Any  # [N] which of its workloads it is at; once it is answered IN_TIME or LATE
    queued_at: Any  # [N]
    left: Any  # [N] GPU-seconds
    following: Any  # [N]
    retry_head: Any  # [steps + 1]
    head: Any  # [W, R]
    tail: Any  # [W, R]
    active: Any  # [W, A]
    running: Any  # [W] requests in service
    waiting: Any  # [W] requests in the queue
    backlog: Any  # [W] GPU-seconds in the queue
    ready: Any  # [W] replicas
    level: Any  # [C] variant
    percent: Any  # [C]
    quota: Any  # [C] requests of one user, or -1
    alone: Any  # [users] how far down one is who is held back alone, in percent of a variant, or NOWHERE
    used: Any  # [users]
    offered: Any  # [C]
    admitted: Any  # [C]
    work: Any  # [W] GPU-seconds of work done
    ready_seconds: Any  # [W] GPU-seconds there were
    waited: Any  # [W] seconds in the queue, of those who left it
    dequeued: Any  # [W]
    good: Any  # [T, C]
    late: Any  # [T, C]
    value: Any  # [T, C]
    user_good: Any  # [users]


@compiled
def chance(seed: int, ask: int, tries: int, what: int) -> float:
    """A number in [0, 1) that depends on nothing else (splitmix64; Steele, Lea and Flood 2014)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(ask) * np.uint64(64) + np.uint64(tries * 4 + what)
    z = (z + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0


@compiled
def _enqueue(world: World, state: State, ask: int, now: float) -> None:
    cell, variant, stage = world.ask_cell[ask], state.variant[ask], state.stage[ask]
    at = world.visits[cell, variant, stage]
    rank = world.rank[cell, at]
    state.left[ask] = world.costs[cell, variant, stage] * world.ask_size[ask]
    state.queued_at[ask] = now
    state.following[ask] = NOWHERE
    if state.head[at, rank] == NOWHERE:
        state.head[at, rank] = ask
    else:
        state.following[state.tail[at, rank]] = ask
    state.tail[at, rank] = ask
    state.waiting[at] += 1
    state.backlog[at] += state.left[ask]


@compiled
def _leave_queue(world: World, state: State, ask: int, at: int) -> None:
    state.waiting[at] -= 1
    state.backlog[at] -= state.left[ask]


@compiled
def _turn_away(world: World, state: State, ask: int, now: float) -> None:
    """Refused, cancelled or out of patience: some try again later."""
    tries = state.tries[ask]
    if tries > world.retries or chance(world.seed, ask, tries, 0) >= world.retry_share:
        return
    pause = -np.log(1.0 - chance(world.seed, ask, tries, 1)) * world.retry_seconds
    step = int((now + pause) / STEP_SECONDS) + 1
    if step < state.retry_head.shape[0]:
        state.following[ask] = state.retry_head[step]
        state.retry_head[step] = ask


@compiled
def _variant(world: World, state: State, ask: int, now: float) -> int:
    """What the flags have for the user of an ask now: the cell's share, or beneath it what that user has alone, by the second."""
    cell = world.ask_cell[ask]
    variant, percent = state.level[cell], state.percent[cell]
    alone = state.alone[world.ask_user[ask]]
    if alone > 100 * variant + 100 - percent:
        variant, percent = alone // 100, 100 - alone % 100
        others = int(now) * TURN_STRIDE % TURN_SECONDS * 100 >= percent * TURN_SECONDS
    else:
        others = world.ask_luck[ask] >= percent
    if others and variant < world.denial[cell]:
        variant += 1
    return int(variant)


@compiled
def _try(world: World, state: State, ask: int, now: float) -> bool:
    """A user tries; whether a server was asked at all."""
    cell = world.ask_cell[ask]
    state.tries[ask] += 1
    variant = _variant(world, state, ask, now)
    denied = variant >= world.denial[cell]
    if denied and chance(world.seed, ask, state.tries[ask], 2) < world.hidden_share:
        return False
    state.offered[cell] += 1
    if denied or (state.quota[cell] >= 0 and state.used[world.ask_user[ask]] >= state.quota[cell]):
        _turn_away(world, state, ask, now)
        return True
    state.admitted[cell] += 1
    state.started[ask] = now
    state.variant[ask] = variant
    state.stage[ask] = 0
    if world.visits[cell, variant, 0] == NOWHERE:
        _answer(world, state, ask, now)
    else:
        _enqueue(world, state, ask, now)
    return True


@compiled
def _answer(world: World, state: State, ask: int, now: float) -> None:
    cell = world.ask_cell[ask]
    state.used[world.ask_user[ask]] += 1
    tick = world.ask_tick[ask]
    if now - state.started[ask] <= world.objective[cell]:
        state.good[tick, cell] += 1
        state.value[tick, cell] += world.quality[cell, state.variant[ask]]
        state.user_good[world.ask_user[ask]] += 1
        state.stage[ask] = IN_TIME
    else:
        state.late[tick, cell] += 1
        state.stage[ask] = LATE


@compiled
def _next(world: World, state: State, at: int, now: float) -> int:
    """The next request from a workload's queues, or NOWHERE."""
    for rank in range(state.head.shape[1]):
        ask = state.head[at, rank]
        if ask != NOWHERE:
            state.head[at, rank] = state.following[ask]
            _leave_queue(world, state, ask, at)
            state.waited[at] += max(0.0, now - state.queued_at[ask])
            state.dequeued[at] += 1
            return int(ask)
    return NOWHERE


@compiled
def _give_up(world: World, state: State, at: int, now: float) -> None:
    """Who has waited for too long goes; within a queue the first came first."""
    for rank in range(state.head.shape[1]):
        while True:
            ask = state.head[at, rank]
            if ask == NOWHERE or now - state.queued_at[ask] <= world.timeout[at]:
                break
            state.head[at, rank] = state.following[ask]
            _leave_queue(world, state, ask, at)
            _turn_away(world, state, ask, now)


@compiled
def cancel(world: World, state: State, now: float) -> None:
    """Take from the queues whoever is denied by now: what is denied is also cancelled."""
    for at in range(state.head.shape[0]):
        for rank in range(state.head.shape[1]):
            ask = state.head[at, rank]
            before = NOWHERE
            while ask != NOWHERE:
                following = state.following[ask]
                if _variant(world, state, ask, now) >= world.denial[world.ask_cell[ask]]:
                    if before == NOWHERE:
                        state.head[at, rank] = following
                    else:
                        state.following[before] = following
                    if following == NOWHERE:
                        state.tail[at, rank] = before
                    _leave_queue(world, state, ask, at)
                    _turn_away(world, state, ask, now)
                else:
                    before = ask
                ask = following


@compiled
def _serve(world: World, state: State, at: int, now: float) -> None:
    """One step of one workload."""
    replicas = state.ready[at]
    capacity = float(replicas * world.gpus[at])
    slots = min(replicas * world.batch[at], state.active.shape[1])
    state.ready_seconds[at] += capacity * STEP_SECONDS
    while state.running[at] < slots:
        ask = _next(world, state, at, now)
        if ask == NOWHERE:
            break
        state.active[at, state.running[at]] = ask
        state.running[at] += 1
    count = state.running[at]
    if count == 0 or replicas == 0:
        return
    full = min(1.0, count / slots)
    share = capacity * full / (world.overhead[at] + (1.0 - world.overhead[at]) * full) / count
    index = 0
    for _ in range(count):
        budget = share * STEP_SECONDS
        while True:
            ask = state.active[at, index]
            if state.left[ask] > budget:
                state.left[ask] -= budget
                state.work[at] += budget
                index += 1
                break
            budget -= state.left[ask]
            state.work[at] += state.left[ask]
            done = now + STEP_SECONDS - budget / share
            _finish(world, state, ask, done)
            ask = NOWHERE if state.running[at] > slots else _next(world, state, at, done)
            if ask == NOWHERE:
                state.running[at] -= 1
                state.active[at, index] = state.active[at, state.running[at]]
                break
            state.active[at, index] = ask


@compiled
def _finish(world: World, state: State, ask: int, now: float) -> None:
    cell, variant = world.ask_cell[ask], state.variant[ask]
    stage = state.stage[ask] + 1
    if stage < world.visits.shape[2] and world.visits[cell, variant, stage] != NOWHERE:
        state.stage[ask] = stage
        _enqueue(world, state, ask, now)
    else:
        _answer(world, state, ask, now)


@compiled
def advance(world: World, state: State, first: int, last: int) -> None:
    """Steps `first` to `last` (exclusive): users come, try again, give up; servers work."""
    for step in range(first, last):
        now = step * STEP_SECONDS
        ask = state.retry_head[step]
        while ask != NOWHERE:
            following = state.following[ask]
            _try(world, state, ask, now)
            ask = following
        for fresh in range(world.ask_step[step], world.ask_step[step + 1]):
            _try(world, state, fresh, now)
        _work(world, state, now)


@compiled
def advance_and_count(world: World, state: State, asking: Sketches, first: int, last: int) -> None:
    """The same, and servers count who asks. Apart from it, so that runs in which nobody looks take no longer for it."""
    for step in range(first, last):
        now = step * STEP_SECONDS
        ask = state.retry_head[step]
        while ask != NOWHERE:
            following = state.following[ask]
            if _try(world, state, ask, now):
                count(asking, world.ask_cell[ask], world.ask_user[ask], now)
            ask = following
        for fresh in range(world.ask_step[step], world.ask_step[step + 1]):
            if _try(world, state, fresh, now):
                count(asking, world.ask_cell[fresh], world.ask_user[fresh], now)
        _work(world, state, now)


@compiled
def _work(world: World, state: State, now: float) -> None:
    for at in range(state.ready.shape[0]):
        if state.waiting[at] > 0:
            _give_up(world, state, at, now)
        _serve(world, state, at, now)
