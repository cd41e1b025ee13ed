"""The dynamic programme with foresight: which whole replicas to have when, if all that comes were known.

A semi-Markov programme over allocations. An edge either stays for one bucket, or changes to another allocation: what shrinks is
gone at once, what grows holds its GPUs and is ready after its own cold start, and the edge lasts until the last of them is. To
change to something that fits while all of it is held costs no more than that; to lose nodes is to shrink at once.

What is traded away: a change does not begin while another is under way, cold starts are their means, and backlog is not
carried. So a controller may now and then do a little better; it is the greater of the two that is compared with.

The worth of an allocation in a bucket is the sum of its groups' tables, and these are cumulated over time, so that an edge of
any length costs one look-up for each table and each of the cold starts that it waits for. Small groups share one table.
"""

import numpy as np
import numpy.typing as npt

from brownout.simulate.oracles.allocations import allocations
from brownout.simulate.oracles.groups import Group, Serving
from brownout.simulate.oracles.truth import Buckets, Truth
from brownout.simulate.record import Floats, Ints

Bools = npt.NDArray[np.bool_]

STAY = -1
_MOST_ENTRIES = 4000
_MOST_EDGES = 1.5e8
"""Where there are more edges than this, changes may begin in every second bucket only, or every third."""


class Programme:
    """The allocations of one truth and the edges between them: the same for every way of serving."""

    def __init__(self, truth: Truth, buckets: Buckets, groups: list[Group]) -> None:
        self._truth, self._buckets, self._groups = truth, buckets, groups
        self._states = allocations(truth, buckets)
        self._gpus = self._states @ truth.gpus_per_replica
        self._levels = [np.unique(self._states[:, w]) for w in range(self._states.shape[1])]
        at = [np.searchsorted(levels, self._states[:, w]) for w, levels in enumerate(self._levels)]
        self._place = np.stack(at, axis=1)
        bucket = buckets.bucket_seconds
        self._lags = np.maximum(1, np.rint(truth.cold_start_seconds / bucket)).astype(np.int64)
        self._ends = np.unique(self._lags)
        grows = self._place[None, :, :] > self._place[:, None, :]
        longest = np.where(grows, self._lags, 0).max(axis=2)
        self._wait = np.where(longest > 0, np.searchsorted(self._ends, longest), len(self._ends))
        self._blocks = self._blocks_of(groups)
        self._looks = [self._look_up(np.concatenate([g.workloads for g in block])) for block in self._blocks]
        edges = len(self._states) ** 2 * len(buckets.seconds) * len(self._blocks) * len(self._ends)
        self._every = max(1, int(np.ceil(edges / _MOST_EDGES)))

    def best(self, servings: list[Serving]) -> Ints:
        """Ready replicas [B, W] of the best plan, where each group's GPUs are used in this way."""
        of = {id(group): serving for group, serving in zip(self._groups, servings, strict=True)}
        tables = [self._cumulated([(group, of[id(group)]) for group in block]) for block in self._blocks]
        return self._follow(self._decide(tables))

    def _blocks_of(self, groups: list[Group]) -> list[list[Group]]:
        """Groups that share one table, as long as it stays small."""
        blocks: list[list[Group]] = []
        entries = 0
        for group in groups:
            own = int(np.prod([len(self._levels[w]) for w in group.workloads]))
            if blocks and entries * own <= _MOST_ENTRIES:
                blocks[-1].append(group)
                entries *= own
            else:
                blocks.append([group])
                entries = own
        return blocks

    def _look_up(self, workloads: Ints) -> list[Ints]:
        """For each cold start to wait for: where in these workloads' table the edge from one state to another reads, [S, S].

        Before a cold start ends the lesser of both is ready; what has its behind it is as in the new state. Past the edge's
        own end it reads the last entry, which is worth nothing. The last of the list is for staying, [S].
        """
        sizes = [len(self._levels[w]) for w in workloads]
        nowhere = int(np.prod(sizes))
        found: list[Ints] = []
        for stage in range(len(self._ends)):
            index = np.zeros_like(self._wait)
            for w, size in zip(workloads, sizes, strict=True):
                after, before = self._place[None, :, w], self._place[:, None, w]
                started = stage > 0 and self._lags[w] <= self._ends[stage - 1]
                index = index * size + (after if started else np.minimum(before, after))
            waits = (stage <= self._wait) & (self._wait < len(self._ends))
            found.append(np.where(waits, index, nowhere))
        stay = np.zeros(len(self._states), dtype=np.int64)
        for w, size in zip(workloads, sizes, strict=True):
            stay = stay * size + self._place[:, w]
        return [*found, stay]

    def _cumulated(self, block: list[tuple[Group, Serving]]) -> Floats:
        """[B + 1, A + 1]: worth up to a bucket by the block's own allocation; one that is worth nothing at the end."""
        table = np.zeros((len(self._buckets.seconds) + 1, 1))
        for group, serving in block:
            table = (table[:, :, None] + self._worth_up_to(group, serving)[:, None, :]).reshape(len(table), -1)
        return np.concatenate([table, np.zeros((len(table), 1))], axis=1)

    def _worth_up_to(self, group: Group, serving: Serving) -> Floats:
        """[B + 1, A]: worth up to a bucket by the group's own allocation, 0 for one that no pool holds."""
        grid = np.meshgrid(*(self._levels[w] for w in group.workloads), indexing="ij")
        capacity = np.stack([axis.ravel() for axis in grid], axis=1) * self._truth.gpus_per_replica[group.workloads]
        fits = capacity.sum(axis=1) <= self._gpus.max()
        worth = np.zeros((len(self._buckets.seconds) + 1, len(capacity)))
        rates = serving.values(self._buckets.demand[:, group.cells], capacity[fits].astype(np.float64))
        worth[1:, fits] = (rates * self._buckets.seconds[:, None]).cumsum(axis=0)
        return worth

    def _decide(self, tables: list[Floats]) -> tuple[Ints, Ints]:
        """For each bucket and state [B, S] the state to go to or STAY; and whether to go there at once."""
        buckets, states = len(self._buckets.seconds), len(self._states)
        to, at_once = np.full((buckets, states), STAY), np.zeros((buckets, states), dtype=np.int64)
        ahead = np.zeros((buckets + 1, states))
        margin = 1e-9 * (1.0 + sum(float(table[-1].max()) for table in tables))
        column = np.arange(states)[None, :]
        target = self._wait * states + column
        for t in reversed(range(buckets)):
            fits = np.asarray(self._gpus <= self._buckets.gpus[t])
            stay = sum((table[t + 1] - table[t])[look[-1]] for table, look in zip(tables, self._looks, strict=True))
            ahead[t] = np.where(fits, stay + ahead[t + 1], -np.inf)
            drops = t == 0 or self._buckets.gpus[t] < self._buckets.gpus[t - 1]
            if t % self._every == 0 or drops:
                worth = self._arrivals(ahead, t).ravel().take(target)
                for table, look in zip(tables, self._looks, strict=True):
                    begin = t
                    for stage, lag in enumerate(self._ends):
                        end = min(t + int(lag), buckets)
                        worth += (table[end] - table[begin]).take(look[stage])
                        begin = end
                best = worth.argmax(axis=1)
                gained = worth[np.arange(states), best]
                better = gained > ahead[t] + margin
                to[t, better], ahead[t, better] = best[better], gained[better]
            if drops:
                self._shrink(t, fits, to=to, at_once=at_once, ahead=ahead)
        return to, at_once

    def _shrink(self, t: int, fits: Bools, *, to: Ints, at_once: Ints, ahead: Floats) -> None:
        """Give up replicas at once where the pool lost the GPUs that they were on."""
        lost = np.flatnonzero(~fits)
        contained = (self._place[None, :, :] <= self._place[lost, None, :]).all(axis=2) & fits
        contained |= ~contained.any(axis=1, keepdims=True) & fits  # counted in steps, none may be contained
        options = np.where(contained, ahead[t], -np.inf)
        best = options.argmax(axis=1)
        gained = options[np.arange(len(lost)), best]
        better = gained > ahead[t, lost]
        to[t, lost[better]], at_once[t, lost[better]], ahead[t, lost[better]] = best[better], 1, gained[better]

    def _arrivals(self, ahead: Floats, t: int) -> Floats:
        """[K + 1, S]: what is ahead of each state after each cold start, if the pool can hold it until then."""
        rows = []
        for lag in self._ends:
            end = min(t + int(lag), len(ahead) - 1)
            rows.append(np.where(self._gpus <= self._buckets.gpus[t:end].min(), ahead[end], -np.inf))
        return np.stack([*rows, np.full(len(self._gpus), -np.inf)])

    def _follow(self, decisions: tuple[Ints, Ints]) -> Ints:
        """Ready replicas [B, W] from the start on."""
        to, at_once = decisions
        ready = np.zeros((len(to), self._states.shape[1]), dtype=np.int64)
        t, state = 0, 0
        while t < len(to):
            goal = int(to[t, state])
            if goal == STAY:
                ready[t] = self._states[state]
                t += 1
            elif at_once[t, state]:
                state = goal
            else:
                now, then = self._states[state], self._states[goal]
                lag = int(self._ends[self._wait[state, goal]])
                for passed in range(min(lag, len(to) - t)):
                    ready[t + passed] = np.where(self._lags <= passed, then, np.minimum(now, then))
                t, state = t + lag, goal
        return ready
