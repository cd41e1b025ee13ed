"""What became of a product's features and replicas while a test did something to it: every state that was seen, in order.

It looks on by itself, straight at the API server, several times a second; `version` in a policy's status, which rises whenever what
is served changes, tells whether anything came and went between two looks.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from brownout_localcluster.errors import ApiError
from brownout_localcluster.objects import Objects
from support.beside import beside
from support.operator_world import API_VERSION, FEATURE, World

T = TypeVar("T")

PAUSE_SECONDS = 0.2


class State(NamedTuple):
    """What is served and how many replicas there are. `cells` has tier, cohort, variant and percent of each."""

    cells: tuple[tuple[str, str, str, int], ...]
    version: int
    replicas: int


class Chronicle:
    """The states that were seen, each with when it was first seen (monotonic seconds). Make it with `chronicle`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._objects = Objects(world.cluster.kubeconfig)
        self.states: list[tuple[float, State]] = []

    def look(self) -> None:
        """Add the present state, if it is another. Raises ApiError or OSError where the API server is away."""
        namespace = self._world.namespace.name
        policy = self._objects.get(API_VERSION, "FeaturePolicy", FEATURE, namespace=namespace).get("status") or {}
        deployment = self._objects.get("apps/v1", "Deployment", "image", namespace=namespace)
        cells = tuple((c["tier"], c.get("cohort", ""), c["variant"], c["percent"]) for c in policy.get("cells", ()))
        state = State(cells, policy.get("version", 0), deployment["spec"]["replicas"])
        if not self.states or self.states[-1][1] != state:
            self.states.append((time.monotonic(), state))

    def close(self) -> None:
        """Close the connection."""
        self._objects.close()

    @property
    def served(self) -> list[tuple[tuple[str, str, str, int], ...]]:
        """The cells, each time that they were others."""
        return _changes([state.cells for _, state in self.states])

    @property
    def replicas(self) -> list[int]:
        """The replicas, each time that they were others."""
        return _changes([state.replicas for _, state in self.states])

    def nothing_changed(self) -> None:
        """Every feature and every replica stayed as it was."""
        assert len({(state.cells, state.version, state.replicas) for _, state in self.states}) == 1, self.states

    def no_way_back_twice(self, tier: str) -> None:
        """A tier lost the feature, step by step, and got it back, step by step: never in turns."""
        levels = _changes([_level(state, tier) for _, state in self.states])
        lowest = levels.index(min(levels))
        down, up = levels[: lowest + 1], levels[lowest:]
        assert down == sorted(down, reverse=True), levels
        assert up == sorted(up), levels

    def turns(self, tier: str) -> int:
        """How often a tier's feature went the other way: once, where it was lost and came back."""
        levels = _changes([_level(state, tier) for _, state in self.states])
        ways = _changes([after > before for before, after in itertools.pairwise(levels)])
        return max(0, len(ways) - 1)

    def levels(self, tier: str) -> list[tuple[float, int]]:
        """The share of a tier's users who have the first variant, in percent, each time that it was another, and when that was seen."""
        levels = [(at, _level(state, tier)) for at, state in self.states]
        return [one for number, one in enumerate(levels) if number == 0 or one[1] != levels[number - 1][1]]

    def no_replica_was_lost(self) -> None:
        """Replicas never went down."""
        assert self.replicas == sorted(self.replicas), self.states


@contextmanager
def chronicle(world: World) -> Iterator[Chronicle]:
    """Look on while the block runs, and once more at its end."""
    seen = Chronicle(world)
    seen.look()

    def look_on(done: threading.Event) -> None:
        while not done.wait(PAUSE_SECONDS):
            with contextlib.suppress(ApiError, OSError):
                seen.look()

    try:
        with beside(look_on, "chronicle"):
            yield seen
    finally:
        with contextlib.suppress(ApiError, OSError):
            seen.look()
        seen.close()


def _level(state: State, tier: str) -> int:
    """The share of a tier's users, in percent, who have the first variant of the small product's two."""
    found = [percent if variant == "full" else 0 for name, _, variant, percent in state.cells if name == tier]
    return found[0] if found else 100


def _changes(seen: list[T]) -> list[T]:
    return [one for at, one in enumerate(seen) if at == 0 or one != seen[at - 1]]
