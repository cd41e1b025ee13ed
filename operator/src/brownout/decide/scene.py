"""The snapshot as one picture: cells with their memory, what users have now, and what they ask for."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from msgspec import Struct, structs

from brownout.api.ladder import Place
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.carry import unreadable
from brownout.decide.cells import FIRST, Cell, Part, Rung, clamp, ladder, part_of
from brownout.decide.compiled import Compiled, compiled
from brownout.decide.demand import (
    NOTHING,
    Flow,
    Flows,
    Load,
    add,
    flow_of,
    from_the_top,
    load,
    rate_of,
    steps_of,
    total,
    with_floors,
)
from brownout.decide.evidence import Missing, Sample
from brownout.decide.heavy import Users, beneath, parent_of, remember_seconds, user_cells, user_rate, without_users
from brownout.decide.memory import CellMemory, Memory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.overrides import in_force, served_level
from brownout.decide.rates import asked_by_all, counted_seconds, follow
from brownout.decide.recall import highest_taken, place_on_ladder
from brownout.decide.snapshot import Policy, Snapshot, StoredOverride

RATE_STALE_SECONDS = 60.0
"""A demand sample older than this is missing."""


class Scene(Struct, frozen=True, kw_only=True):
    """What the rules look at. `users` are those of the `cells` that are one heavy user each, without whom the others are counted.

    By cell: `memory`; `before`, the level of the last tick, as its variants are named now; `served`, the level that users have
    (overrides included); `seen`, requests a second now; `asked`, what all of its users would ask for; `stale`, why its demand
    is not known. `moved` are those that may carry something else than what is seen of them on their first variant; nearly no
    cell is among them nearly always. By namespace: `unreadable`, objects whose demand is not known because they cannot be read.
    """

    snapshot: Snapshot
    compiled: Compiled
    now: float
    cells: Mapping[CellKey, Cell]
    users: Users
    by_scaler: Mapping[Key, list[Cell]]
    parts: Mapping[Key, list[Part]]
    by_policy: Mapping[Key, list[Cell]]
    policies: Mapping[Key, Policy]
    before: Mapping[CellKey, Level]
    memory: dict[CellKey, CellMemory]
    served: Mapping[CellKey, Level]
    seen: Mapping[CellKey, float | None]
    asked: Mapping[CellKey, float | None]
    stale: Mapping[CellKey, str]
    moved: frozenset[CellKey]
    overridden: Mapping[CellKey, StoredOverride]
    unreadable: Mapping[str, tuple[str, ...]]

    def ladder(self) -> Sequence[Rung]:
        """All rungs, cheapest first: those of single users are before all others."""
        return [*ladder(self.users.values()), *self.compiled.ladder] if self.users else self.compiled.ladder

    def restore_rate(self, cell: Cell) -> float | None:
        """What a cell would bring, for the gate: what all of its users would ask for, and no less than its mean of a minute.

        The mean of what is not measured any more says nothing: it would keep the cell from coming back for ever.
        """
        asked, mean = self.asked[cell.key], self.memory[cell.key].mean_rate
        return asked if asked is None or mean is None or self.seen[cell.key] is None else max(asked, mean)

    def carried(self, cell: Cell, scaler: Key) -> tuple[float, float] | None:
        """What a cell loads a workload with now: requests a second, and declared GPU-seconds of each; None: not known.

        Of a cell that has been in parts for a while it is what was let through: users who are denied try again, and would
        count as more load than they are. Else what is asked for, at the level that it has.
        """
        seen, measured, level = self.seen[cell.key], self.memory[cell.key].admitted_rate, self.served[cell.key]
        if seen is None:
            return None
        return (seen, cell.cost(level, scaler)) if measured is None else (measured, cell.admitted_cost(level, scaler))

    def expected(self, cell: Cell, scaler: Key) -> tuple[float, float] | None:
        """What a cell will load a workload with once its users have noticed its level; as `carried`."""
        asked = self.asked[cell.key]
        if self.memory[cell.key].admitted_rate is not None or asked is None:
            return self.carried(cell, scaler)
        return asked, cell.cost(self.served[cell.key], scaler)

    def _measured_for(self, key: CellKey) -> float:
        """Seconds for which a cell's rate has been measured; those of a process or a counter that is new are few."""
        since = self.memory[key].rate_since
        return 0.0 if since is None else self.now - since

    def flows(self, scaler: Key, factor: float) -> Flows:
        """The flows of a scaler's cells, at declared costs times `factor`."""
        parts, memory, seen, moved = self.parts.get(scaler, ()), self.memory, self.seen, self.moved
        window, now_at = self.snapshot.rate_window_seconds, self.now
        asked: dict[int, Load] = {}
        least: dict[int, Load] = {}
        apart = False
        carried: list[Load] = []
        requests = dearest = 0.0
        for part in parts:
            key = part.cell.key
            rate, cost, whole = self.asked[key], part.first * factor, NOTHING
            if rate and (part.first or part.lowest):
                since = memory[key].rate_since
                counted = counted_seconds(rate, window, 0.0 if since is None else now_at - since)
                whole = load(rate, cost, counted)
                add(asked, part.cell.tier_priority, whole)
                if part.lowest:
                    add(least, part.cell.tier_priority, load(rate, part.lowest * factor, counted))
            if key in moved or seen[key] != rate:
                apart = apart or part.cell.within_reach(self.served[key], scaler) != part.first
                now = self.carried(part.cell, scaler)
                rate, cost = (0.0, 0.0) if now is None else (now[0], now[1] * factor)
                whole = load(rate, cost, counted_seconds(rate, window, self._measured_for(key)))
            if whole is not NOTHING:
                carried.append(whole)
                requests += rate or 0.0
                if cost > dearest:
                    dearest = cost
        priorities = self.compiled.priorities.get(scaler, ())
        wholes = from_the_top(asked, priorities)
        if least:
            wholes = with_floors(wholes, least, priorities)
        flows = [flow_of(one) for one in wholes]
        return Flows(
            offered=flows[-1] if flows else Flow(),
            carried=total(carried),
            floor=total(least.values()),
            tiers=tuple(zip(priorities, flows, strict=True)),
            steps=self._steps(scaler, factor, least) if apart else (),
            requests=requests,
            dearest=dearest,
        )

    def _steps(self, scaler: Key, factor: float, least: Mapping[int, Load]) -> tuple[tuple[int, Flow, Flow], ...]:
        """By tier what it can use of a scaler now, and in the end; `least` may never be taken from each."""
        window = self.snapshot.rate_window_seconds
        within: dict[int, Load] = {}
        beyond: dict[int, Load] = {}
        for part in self.parts[scaler]:
            rate, tier = self.asked[part.cell.key] or 0.0, part.cell.tier_priority
            use = part.cell.within_reach(self.served[part.cell.key], scaler)
            counted = counted_seconds(rate, window, self._measured_for(part.cell.key))
            add(within, tier, load(rate, use * factor, counted))
            add(beyond, tier, load(rate, max(use, part.first) * factor, counted))
        return steps_of(within, beyond, self.compiled.priorities[scaler], below=least)

    def carried_by_tier(self, scaler: Key, factor: float) -> dict[int, Flow]:
        """By tier priority: the flow that a scaler carries of that tier and those above it."""
        window = self.snapshot.rate_window_seconds
        loads: dict[int, Load] = {}
        for part in self.parts.get(scaler, ()):
            rate, cost = self.carried(part.cell, scaler) or (0.0, 0.0)
            counted = counted_seconds(rate, window, self._measured_for(part.cell.key))
            add(loads, part.cell.tier_priority, load(rate, cost * factor, counted))
        tiers = sorted(loads, reverse=True)
        return {tier: flow_of(one) for tier, one in zip(tiers, from_the_top(loads, tiers), strict=True)}

    def now_at(self, levels: Mapping[CellKey, CellMemory]) -> "Scene":
        """The same moment after these cells have moved."""
        if not levels:
            return self
        memory = {**self.memory, **levels}
        moved = [*levels, *(key for key in self.users if parent_of(key) in levels)]
        served = {key: _served(key, self.cells, memory, self.overridden) for key in moved}
        return structs.replace(self, memory=memory, served={**self.served, **served}, moved=self.moved.union(moved))


def look(snapshot: Snapshot, memory: Memory, *, now: float) -> Scene:
    """Tie the snapshot together with what is remembered of each cell."""
    known = compiled(snapshot, memory.compiled)
    usable = known.links.usable_policies
    users = user_cells(known.cells, usable, memory.cells, now=now, within_seconds=RATE_STALE_SECONDS)
    cells = {**known.cells, **users}
    policies = {p.stored.key: p for p in usable}
    elapsed = 0.0 if memory.at is None else max(0.0, now - memory.at)

    remembered: dict[CellKey, CellMemory] = {}
    before: dict[CellKey, Level] = {}
    measured: dict[CellKey, float | None] = {}
    seen: dict[CellKey, float | None] = {}
    asked: dict[CellKey, float | None] = {}
    stale: dict[CellKey, str] = {}
    for key, cell in cells.items():
        policy = policies[key.policy]
        found = (user_rate if cell.alone else rate_of)(policy, key.audience, now=now, within_seconds=RATE_STALE_SECONDS)
        if isinstance(found, Missing):
            stale[key] = found.message
        measured[key] = found.value if isinstance(found, Sample) else None
    if users:
        measured = without_users(measured, users, memory.cells, stale)
    split = {parent_of(key) for key in users}

    @cache
    def reached(scaler: Key) -> Place | None:
        return highest_taken(known.of_scaler[scaler], memory.cells)

    window = snapshot.rate_window_seconds
    for key, cell in cells.items():
        policy, rate = policies[key.policy], measured[key]
        old = memory.cells.get(key)
        before[key] = FIRST if old is None else old.level
        old = old or _without_memory(cell, reached if memory.cells else None, now)
        whole = old.level == FIRST
        let_through = None if whole or cell.alone or key in split else _admitted(policy, cell)
        one = follow(old, rate, let_through, elapsed=elapsed, window=window, now=now)
        one = remembered[key] = one if whole else _allowed(one, cell, now)
        rate = seen[key] = None if rate is None else one.rate
        if one.shed_rate is None:  # nothing was taken from it: so it is of nearly every cell, and there may be many
            asked[key] = rate
            continue
        asked[key] = asked_by_all(
            one,
            rate,
            denies=cell.denies(one.level),
            served=cell.let_through(one.level),
            admitted=let_through,
            window=window,
            now=now,
            remember_seconds=remember_seconds(cell, policy.stored.spec.demand),
        )
    by_scaler, by_policy, parts = dict(known.of_scaler), dict(known.of_policy), dict(known.parts)
    for key, user in users.items():
        by_policy[key.policy] = [*by_policy[key.policy], user]
        for scaler in user.scalers:
            by_scaler[scaler] = [*by_scaler[scaler], user]
            parts[scaler] = [*parts[scaler], part_of(user, scaler)]
    overridden = in_force(snapshot.overrides.values(), cells, now)
    served = {key: one.level for key, one in remembered.items()}
    served |= {key: _served(key, cells, remembered, overridden) for key in (*overridden, *users)}
    return Scene(
        snapshot=snapshot,
        compiled=known,
        now=now,
        cells=cells,
        users=users,
        by_scaler=by_scaler,
        parts=parts,
        by_policy=by_policy,
        policies=policies,
        before=before,
        memory=remembered,
        served=served,
        seen=seen,
        asked=asked,
        stale=stale,
        moved=frozenset([k for k, o in remembered.items() if served[k] != FIRST or o.admitted_rate is not None]),
        overridden=overridden,
        unreadable=unreadable(snapshot, memory),
    )


def _served(
    key: CellKey,
    cells: Mapping[CellKey, Cell],
    memory: Mapping[CellKey, CellMemory],
    overridden: Mapping[CellKey, StoredOverride],
) -> Level:
    """What users of a cell have; one of them alone has no more than the others."""
    own = served_level(cells[key], memory[key].level, overridden.get(key))
    return beneath(own, _served(parent_of(key), cells, memory, overridden)) if cells[key].alone else own


def _without_memory(cell: Cell, reached: Callable[[Key], Place | None] | None, now: float) -> CellMemory:
    """A new cell, or one that has lost its memory: the first variant, or its place on a ladder that is in use.

    `reached`: by scaler the highest rung taken; None: nothing is remembered at all.
    """
    level = FIRST
    if reached is not None and not cell.alone:
        highest = [place for scaler in cell.scalers if (place := reached(scaler)) is not None]
        level = place_on_ladder(cell, max(highest, default=None))
    if level == FIRST:
        return CellMemory(since=now)
    return CellMemory(
        level=level,
        reason=Reason.RECOVERED_MEMORY,
        message="nothing was remembered of it while others are shed; it took its place on the ladder",
        since=now,
        last_shed_at=now,
        last_step_at=now,
        direction="Shed",
    )


def _allowed(memory: CellMemory, cell: Cell, now: float) -> CellMemory:
    """The memory on a level that the policy allows, which somebody may have edited since."""
    level = clamp(memory.level, cell)
    if level == memory.level:
        return memory if memory.reason is not Reason.SERVED else _behind_a_better_one(memory)
    if level == FIRST:
        return structs.replace(memory, level=level, reason=Reason.SERVED, message="", since=now, shed_rate=None)
    return structs.replace(memory, level=level, since=now)


def _behind_a_better_one(memory: CellMemory) -> CellMemory:
    """The memory of users from whom nothing was taken, and before whose variant somebody put a better one."""
    message = "a better variant than it has was added, and is given as it fits"
    return structs.replace(memory, reason=Reason.RESTORING, message=message)


def _admitted(policy: Policy, cell: Cell) -> float | None:
    """Requests a second of a cell that are let through, where that is known."""
    if isinstance(policy.admitted, Missing):
        return None
    sample = policy.admitted.get(cell.key.audience)
    return None if sample is None else sample.value
