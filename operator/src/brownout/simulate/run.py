"""One run: a scenario, a controller and a seed in; a Record out."""

from collections.abc import Callable
from pathlib import Path

from brownout.simulate.asks import Asks, draw
from brownout.simulate.controller import Controller
from brownout.simulate.layout import Layout
from brownout.simulate.manifests import load
from brownout.simulate.ours import Brownout
from brownout.simulate.plant import Plant
from brownout.simulate.rates import rates
from brownout.simulate.record import Floats, Record
from brownout.simulate.scenario import Scenario

EXACT_SECONDS = 1e9
"""Rates over so long a window have no counting noise."""


class Prepared:
    """A scenario with its manifests and rates read once, for many runs."""

    def __init__(self, scenario: Scenario, traces: Path | None = None) -> None:
        self.scenario = scenario
        self.manifests = load(scenario)
        self.layout = Layout(scenario, self.manifests)
        self.rates: Floats = rates(scenario, traces)
        self.streams: Floats = self.layout.streams(self.rates)
        self.demand: Floats = self.layout.demand(self.streams)
        self._asks: tuple[int, Asks] | None = None

    def asks(self, seed: int) -> Asks:
        """The users of a seed; the last seed's are kept."""
        if self._asks is None or self._asks[0] != seed:
            self._asks = (seed, draw(self.scenario, self.rates, seed))
        return self._asks[1]

    def ours(self, *, truth: bool = False) -> Controller:
        """Brownout. For the ceiling of information it is told what costs truly are, and that rates are exact."""
        if not truth:
            return Brownout(self.manifests, rate_window_seconds=self.scenario.metrics.window_seconds)
        factors = {name: world.cost_factor for name, world in self.scenario.workloads.items()}
        return Brownout(self.manifests, rate_window_seconds=EXACT_SECONDS, cost_factors=factors)

    def run(
        self,
        controller: Controller,
        *,
        name: str,
        seed: int,
        truth: bool = False,
        on_tick: Callable[[float], None] | None = None,
    ) -> Record:
        """Run to the end. With `truth` the controller sees what is true instead of what is measured.

        Servers count users for Brownout alone: no other controller looks at who asks most, and it takes time.
        """
        reads_heaviest = isinstance(controller, Brownout) and not truth
        plant = Plant(self.layout, self.asks(seed), self.streams, seed, users_are_counted=reads_heaviest)
        while not plant.done:
            seen = plant.truth() if truth else plant.observe()
            if plant.restarts:
                controller.restart()
            plant.act(controller.decide(seen))
            plant.tick()
            if on_tick is not None:
                on_tick(plant.now)
        return plant.record(name)
