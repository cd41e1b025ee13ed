"""A scenario's cells and workloads in a fixed order, and what is true of them whatever anybody decides."""

from math import ceil

import numpy as np

from brownout.decide.cells import Cell
from brownout.simulate.controller import Setting
from brownout.simulate.manifests import Manifests, cell_of
from brownout.simulate.record import Floats, Ints
from brownout.simulate.scenario import Scenario, ScenarioError
from brownout.simulate.users import Users
from brownout.simulate.worth import quality


class Layout:
    """Shapes: C cells, V variants, W workloads.

    `costs` [C, V, W]: true GPU-seconds of a request; `floor` [C]: the lowest variant that a cell may be taken to.
    """

    def __init__(self, scenario: Scenario, manifests: Manifests) -> None:
        self.scenario, self.manifests = scenario, manifests
        self.cells: tuple[Cell, ...] = tuple(manifests.cells[key] for key in sorted(manifests.cells))
        self.keys = tuple(cell.key for cell in self.cells)
        self.index = {key: i for i, key in enumerate(self.keys)}
        self.workloads = tuple(sorted(key.name for key in manifests.scalers))
        for name in scenario.workloads:
            if name not in self.workloads:
                known = ", ".join(self.workloads) or "none"
                raise ScenarioError(
                    f"scenario {scenario.name}: workloads.{name}: no InferenceScaler {name}; found {known}"
                )
        for name in self.workloads:
            if name not in scenario.workloads:
                raise ScenarioError(
                    f"scenario {scenario.name}: workloads: nothing is said of {name}; write at least {name}: {{objectiveSeconds: 10}}"
                )
        specs = [manifests.scaler(w).spec for w in self.workloads]
        self.bounds = tuple((spec.min_replicas, spec.max_replicas) for spec in specs)
        of_streams = [
            cell_of(manifests, scenario, feature=s.feature, tier=s.tier, cohort=s.cohort) for s in scenario.demand
        ]
        self.stream_cell = np.array([self.index[key] for key in of_streams], dtype=np.int64)
        self.users = Users(scenario.demand, of_streams)
        variants = max(len(cell.variants) for cell in self.cells)
        self.costs: Floats = np.zeros((len(self.cells), variants, len(self.workloads)))
        for c, cell in enumerate(self.cells):
            for v, costs in enumerate(cell.costs):
                for key, cost in costs.items():
                    factor = scenario.workloads[key.name].cost_factor
                    self.costs[c, v, self.workloads.index(key.name)] = cost * factor
        self.denial: Ints = np.array([len(cell.variants) - 1 for cell in self.cells], dtype=np.int64)
        self.floor: Ints = np.array([0 if c.always else c.lowest for c in self.cells], dtype=np.int64)
        self.quality: Floats = np.zeros((len(self.cells), variants))
        for c, cell in enumerate(self.cells):
            for v in range(len(cell.variants)):
                self.quality[c, v] = quality(scenario, cell, v)
        self.gpus: Ints = np.array(
            [manifests.scaler(w).spec.gpus_per_replica or 1 for w in self.workloads], dtype=np.int64
        )

    @property
    def ticks(self) -> int:
        return ceil(self.scenario.seconds / self.scenario.tick_seconds)

    def streams(self, rates: Floats) -> Floats:
        """Mean fresh asks a second in each tick, by stream: [T, S], from rates by second and stream."""
        tick = np.minimum(np.arange(len(rates)) // self.scenario.tick_seconds, self.ticks - 1).astype(np.int64)
        sums = [np.bincount(tick, weights=rate, minlength=self.ticks) for rate in rates.T]
        return np.stack(sums, axis=1) / np.bincount(tick, minlength=self.ticks)[:, None]

    def demand(self, streams: Floats) -> Floats:
        """Mean fresh asks a second in each tick, by cell: [T, C], from those by stream."""
        sums = np.zeros((len(streams), len(self.cells)))
        for s, cell in enumerate(self.stream_cell):
            sums[:, cell] += streams[:, s]
        return sums

    def flow(self, demand: Floats, variant: Ints) -> Floats:
        """True GPUs that demand [T, C] needs at each workload with each cell at a variant: [T, W]."""
        each = self.costs[np.arange(len(self.cells)), variant]
        planned = np.array([cell.planned for cell in self.cells], dtype=np.float64)
        return demand @ (each * planned[:, None])

    def setting(self) -> Setting:
        """What controllers are told beforehand."""
        scenario, scaler = self.scenario, self.manifests.scaler
        return Setting(
            cells=dict(zip(self.keys, self.cells, strict=True)),
            tick_seconds=scenario.tick_seconds,
            cold_start_seconds={w: float(scaler(w).spec.cold_start.expected_seconds) for w in self.workloads},
            objective_seconds={w: scenario.workloads[w].objective_seconds for w in self.workloads},
            drain_seconds={w: float(scaler(w).spec.queue.drain_seconds) for w in self.workloads},
            onset=min((e.start for e in scenario.episodes), default=0.0),
        )
