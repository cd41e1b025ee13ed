"""The world that a controller runs: users, queues, servers, pods, nodes, metrics and what goes wrong with them."""

from collections.abc import Mapping
from math import isnan

import numpy as np

from brownout.decide.cells import FIRST, Cell
from brownout.decide.heavy import beneath, parent_of
from brownout.decide.outcome import CellKey, Level
from brownout.simulate.alone import HeldBack
from brownout.simulate.asks import Asks
from brownout.simulate.controller import Action, CellSeen, Observation, WorkloadSeen
from brownout.simulate.heaviest import sketches
from brownout.simulate.kernel import STEP_SECONDS, advance, advance_and_count, cancel
from brownout.simulate.layout import Layout
from brownout.simulate.pods import Fleet, Nodes
from brownout.simulate.record import Floats, Record
from brownout.simulate.scrapes import Rates, Scrapes
from brownout.simulate.start import first_state, world_of

UNSEEN = CellSeen(None, None)
MISSING: dict[str, float | None] = dict.fromkeys(
    ("busy", "concurrency", "waiting", "backlog", "work", "queue_seconds"), None
)


class Plant:
    """One run. `tick` lets a tick pass; `observe` is what can be seen at its start, `act` what a controller then sets."""

    def __init__(
        self, layout: Layout, asks: Asks, streams: Floats, seed: int, *, users_are_counted: bool = True
    ) -> None:
        self.layout, self.seed = layout, seed
        scenario = self._scenario = layout.scenario
        self._streams, self._demand = streams, layout.demand(streams)
        self._user_stream = asks.user_stream
        self._steps_per_tick = round(scenario.tick_seconds / STEP_SECONDS)
        self._tick = 0
        self._world = world_of(layout, asks, seed, self._steps_per_tick)
        self._state = first_state(layout, asks, self._steps_per_tick * layout.ticks)
        counted = users_are_counted and scenario.metrics.heaviest_users > 0
        self._asking = sketches(len(layout.cells), len(asks.user_stream)) if counted else None
        self._scrapes = Scrapes(scenario.metrics, seed)
        self._scrape_steps = max(1, round(scenario.metrics.scrape_seconds / STEP_SECONDS))
        self.nodes = Nodes(scenario.pool.nodes, scenario.pool.gpus_per_node)
        self.fleets = [self._fleet(name) for name in layout.workloads]
        self.nodes.schedule(self.fleets, 0.0)
        for fleet in self.fleets:
            for pod in fleet.pods:
                if pod.node is not None:
                    pod.created_at, pod.ready_at = -1000.0, -1000.0
        self._levels: dict[CellKey, Level] = {
            c.key: FIRST if c.planned else Level(len(c.variants) - 1) for c in layout.cells
        }
        self._alone = HeldBack(layout.users, layout.ticks)
        self._write_levels()
        self._pending_levels = False
        self._writes = 0
        self._pods_at_start = sum(fleet.made for fleet in self.fleets)
        ticks, cells, workloads = layout.ticks, len(layout.cells), len(layout.workloads)
        self._kept: dict[str, Floats] = {
            name: np.zeros((ticks, cells)) for name in ("offered", "admitted", "variant", "percent")
        }
        self._kept |= {n: np.zeros((ticks, workloads)) for n in ("ready", "held", "pending", "desired", "backlog")}
        self._kept |= {name: np.zeros(ticks) for name in ("gpus", "stale", "writes")}

    def _fleet(self, name: str) -> Fleet:
        spec, world = self.layout.manifests.scaler(name).spec, self._scenario.workloads[name]
        fleet = Fleet(
            name=name,
            gpus=spec.gpus_per_replica or 1,
            priority=spec.priority,
            cold_start=world.cold_start_seconds,
            spread=world.cold_start_spread,
            seed=self.seed,
        )
        fleet.scale(spec.min_replicas if world.start_replicas is None else world.start_replicas, 0.0)
        return fleet

    @property
    def now(self) -> float:
        return self._tick * self._scenario.tick_seconds

    @property
    def done(self) -> bool:
        return self._tick >= self.layout.ticks

    @property
    def blind(self) -> bool:
        """Whether metrics cannot be had."""
        return any(f.fault == "metrics" and f.at <= self.now < f.at + f.seconds for f in self._scenario.faults)

    @property
    def restarts(self) -> bool:
        """Whether the controller's process ends in this tick."""
        tick = self._scenario.tick_seconds
        return any(f.fault == "restart" and f.at <= self.now < f.at + tick for f in self._scenario.faults)

    @property
    def levels(self) -> Mapping[CellKey, Level]:
        return self._levels

    def observe(self) -> Observation:
        """What can be seen now."""
        self._events()
        seen = None if self.blind else self._scrapes.rates(self.now)
        metrics = [MISSING] * len(self.fleets) if seen is None else _metrics(seen)
        return Observation(
            at=self.now,
            measured_at=self.now if seen is None else seen.at,
            workloads={
                fleet.name: WorkloadSeen(
                    name=fleet.name,
                    priority=fleet.priority,
                    gpus_per_replica=fleet.gpus,
                    min_replicas=least,
                    max_replicas=most,
                    batch=self._scenario.workloads[fleet.name].batch,
                    replicas=fleet.replicas,
                    pods=fleet.seen(),
                    **measured,
                )
                for fleet, (least, most), measured in zip(self.fleets, self.layout.bounds, metrics, strict=True)
            },
            cells=dict.fromkeys(self.layout.keys, UNSEEN)
            if seen is None
            else {
                key: CellSeen(offered, admitted)
                for key, offered, admitted, ever in zip(
                    self.layout.keys, seen.offered.tolist(), seen.admitted.tolist(), seen.ever.tolist(), strict=True
                )
                if ever > 0
            },
            gpus=dict(self.nodes.gpus),
            heaviest=None if seen is None else self.layout.users.named(seen.heaviest, seen.at),
        )

    def truth(self) -> Observation:
        """What is true now, without noise or delay: what nobody can see, for the ceiling of information."""
        seen = self.observe()
        tick = min(self._tick, len(self._demand) - 1)
        rates, streams, state = self._demand[tick], self._streams[tick], self._state
        levels = [Level(*level) for level in zip(state.level.tolist(), state.percent.tolist(), strict=True)]
        shares = np.array([_let_through(cell, level) for cell, level in zip(self.layout.cells, levels, strict=True)])
        admitted = rates * shares
        for user, level in self._alone.told.items():
            c, rate = self.layout.index[parent_of(user)], self.layout.users.rate(user, streams)
            admitted[c] += rate * (_let_through(self.layout.cells[c], beneath(level, levels[c])) - shares[c])
        return Observation(
            at=seen.at,
            measured_at=seen.at,
            workloads={
                name: WorkloadSeen(
                    **{f: getattr(w, f) for f in w.__struct_fields__ if f not in ("backlog", "concurrency", "waiting")},
                    backlog=float(state.backlog[i]),
                    concurrency=float(state.running[i] + state.waiting[i]),
                    waiting=float(state.waiting[i]),
                )
                for i, (name, w) in enumerate(seen.workloads.items())
            },
            cells={key: CellSeen(float(rates[c]), float(admitted[c])) for c, key in enumerate(self.layout.keys)},
            gpus=seen.gpus,
            heaviest=self.layout.users.named(self.layout.users.heaviest(streams), seen.at),
        )

    def act(self, action: Action) -> None:
        """Carry a controller's word out: replicas at once, levels once the flags have reached the servers."""
        writes = 0
        for fleet in self.fleets:
            wanted = action.replicas.get(fleet.name, fleet.replicas)
            if wanted != fleet.replicas:
                fleet.scale(wanted, self.now)
                writes += 1
        for key, cell in zip(self.layout.keys, self.layout.cells, strict=True):
            level = action.levels.get(key, FIRST) if cell.planned else self._levels[key]
            if level != self._levels[key]:
                self._levels[key] = level
                self._pending_levels = True
                writes += 1
            self._state.quota[self.layout.index[key]] = action.quotas.get(key, -1)
        alone = self._alone.say(action.levels)
        self._pending_levels = self._pending_levels or alone > 0
        writes += alone
        self._writes = writes
        self.nodes.schedule(self.fleets, self.now)

    def _events(self) -> None:
        tick = self._scenario.tick_seconds
        for event in self._scenario.events:
            if event.at <= self.now < event.at + tick:
                self.nodes.change(event.nodes, self.fleets, self.now)
        self.nodes.schedule(self.fleets, self.now)
        for w, fleet in enumerate(self.fleets):
            fleet.advance(self.now)
            self._state.ready[w] = fleet.ready

    def _write_levels(self) -> None:
        for c, key in enumerate(self.layout.keys):
            self._state.level[c] = self._levels[key].variant
            self._state.percent[c] = self._levels[key].percent
        self._alone.tell(self._state)
        self._pending_levels = False

    def tick(self) -> None:
        """Let one tick pass."""
        state = self._state
        offered, admitted = state.offered.copy(), state.admitted.copy()
        for w, fleet in enumerate(self.fleets):
            state.ready[w] = fleet.ready
        step = self._tick * self._steps_per_tick
        last = step + self._steps_per_tick
        flags = step + min(self._steps_per_tick - 1, round(self._scenario.flag_delay_seconds / STEP_SECONDS))
        while step < last:
            if step % self._scrape_steps == 0:
                self._scrapes.take(state, self._asking, step * STEP_SECONDS)
            if self._pending_levels and step >= flags:
                self._write_levels()
                cancel(self._world, state, step * STEP_SECONDS)
            until = min(last, (step // self._scrape_steps + 1) * self._scrape_steps)
            if self._pending_levels:
                until = min(until, flags)
            if self._asking is None:
                advance(self._world, state, step, until)
            else:
                advance_and_count(self._world, state, self._asking, step, until)
            step = until
        self._keep(state.offered - offered, state.admitted - admitted)
        self._tick += 1

    def _keep(self, offered: Floats, admitted: Floats) -> None:
        t, kept, state = self._tick, self._kept, self._state
        kept["offered"][t], kept["admitted"][t] = offered, admitted
        kept["variant"][t], kept["percent"][t] = state.level, state.percent
        kept["ready"][t] = state.ready * self.layout.gpus
        kept["held"][t] = [fleet.placed * fleet.gpus for fleet in self.fleets]
        kept["pending"][t] = [(len(fleet.pods) - fleet.placed) * fleet.gpus for fleet in self.fleets]
        kept["desired"][t] = [fleet.replicas for fleet in self.fleets]
        kept["backlog"][t] = state.backlog
        self._alone.keep(t)
        kept["gpus"][t], kept["stale"][t], kept["writes"][t] = self.nodes.total, self.blind, self._writes

    def record(self, controller: str) -> Record:
        """What happened, once it is done."""
        layout, state, kept, scenario = self.layout, self._state, self._kept, self._scenario
        cells, ticks = len(layout.cells), layout.ticks
        asked = np.zeros((ticks, cells))
        np.add.at(asked, (self._world.ask_tick, self._world.ask_cell), 1.0)
        first = np.zeros(cells, dtype=np.int64)
        return Record(
            scenario=scenario.name,
            controller=controller,
            seed=self.seed,
            tick_seconds=scenario.tick_seconds,
            cells=layout.cells,
            workloads=layout.workloads,
            asked=asked,
            good=state.good,
            late=state.late,
            value=state.value,
            offered=kept["offered"],
            admitted=kept["admitted"],
            variant=kept["variant"].astype(np.int64),
            percent=kept["percent"].astype(np.int64),
            ready=kept["ready"],
            held=kept["held"],
            pending=kept["pending"],
            desired=kept["desired"].astype(np.int64),
            backlog=kept["backlog"],
            latent=layout.flow(self._demand, first),
            floor=layout.flow(self._demand, layout.floor),
            gpus=kept["gpus"],
            stale=kept["stale"].astype(np.bool_),
            writes=kept["writes"].astype(np.int64),
            pods_created=sum(fleet.made for fleet in self.fleets) - self._pods_at_start,
            restarts=tuple(f.at for f in scenario.faults if f.fault == "restart"),
            user_cell=layout.stream_cell[self._user_stream],
            user_asked=np.bincount(self._world.ask_user, minlength=len(self._user_stream)),
            user_good=state.user_good,
            alone=self._alone.recorded(self._world, state, layout.cells),
        )


def _let_through(cell: Cell, level: Level) -> float:
    """The share of what is asked for that is let through at a level."""
    if not cell.denies(level):
        return 1.0
    return level.percent / 100 if level.variant + 1 < len(cell.variants) else 0.0


def _metrics(seen: Rates) -> list[dict[str, float | None]]:
    """What is measured of each workload."""
    return [
        {
            "busy": busy,
            "concurrency": running + waiting,
            "waiting": waiting,
            "backlog": backlog,
            "work": work,
            "queue_seconds": None if isnan(queue_seconds) else queue_seconds,
        }
        for busy, running, waiting, backlog, work, queue_seconds in zip(
            *(
                column.tolist()
                for column in (seen.busy, seen.running, seen.waiting, seen.backlog, seen.work, seen.queue_seconds)
            ),
            strict=True,
        )
    ]
