"""One look at everything: what is watched, what Prometheus says, what /scale says, as a Snapshot."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from msgspec import structs

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Snapshot
from brownout.observe.assemble import Assembly
from brownout.observe.kinds import Kinds, gather
from brownout.observe.prometheus import Prometheus
from brownout.observe.queries import Asker, Questions, askers
from brownout.observe.sources import Source, Sources
from brownout.observe.targets import ScaleReader, Target, watched_target
from brownout.observe.vanish import Vanishing

WATCH_LAG_SECONDS = 5.0


class _Wrote(NamedTuple):
    from_replicas: int
    to_replicas: int
    at: float


class Observer:
    """Makes snapshots from `facts`, which gives all objects of a kind as last seen.

    `namespaces` gives those whose objects are acted upon, None for all; GPUs are counted everywhere.
    """

    def __init__(
        self,
        facts: Callable[[str], dict[Key, Any]],
        *,
        scales: ScaleReader,
        prometheus: Prometheus,
        sources: Sources,
        namespaces: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        self._facts = facts
        self._prometheus = prometheus
        self._sources = sources
        self._scales = scales
        self._namespaces = namespaces
        self._vanishing = Vanishing()
        self._written: dict[Key, _Wrote] = {}

    def wrote(self, scaler: Key, from_replicas: int, to_replicas: int, *, at: float) -> None:
        """Replicas were written, `at` by what `look` has for `elapsed`: until the watch shows it, what it shows is known to be old."""
        self._written[scaler] = _Wrote(from_replicas, to_replicas, at)

    async def look(self, clock: Callable[[], float], *, elapsed: Callable[[], float] | None = None) -> Snapshot:
        """Everything as of now. An answer is as old as the question, so that no evidence is fresher for having come late.

        By `elapsed`, which is never set, it is told how old everything else is.
        """
        at, now = clock(), (elapsed or clock)()
        kinds = gather(self._facts, vanishing=self._vanishing, namespaces=self._namespaces(), now=now)
        sources, scales = await asyncio.gather(
            self._read_sources(kinds, now=now), self._scales.read_all(list(kinds.scalers.values()), now=now)
        )
        own = Asker(self._sources.own())
        questions = Questions(
            scalers=kinds.scalers,
            policies=kinds.policies,
            pools=askers(kinds.pools.values(), sources, own=own),
            own=own,
            namespaces={key.name: fact.labels for key, fact in kinds.namespaces.items()},
        )
        answered = await self._prometheus.ask_all(questions.asks)
        answered |= await self._prometheus.ask_more(questions.more(answered))
        targets = {
            key: self._as_written(key, scales.get(key) or watched_target(scaler, kinds.targets), now=now)
            for key, scaler in kinds.scalers.items()
        }
        evidences = questions.read(answered, at=at, asked_at=self._prometheus.asked_at)
        return Assembly(kinds, targets=targets, evidences=evidences).snapshot()

    def _as_written(self, scaler: Key, target: Target, *, now: float) -> Target:
        wrote = self._written.get(scaler)
        if wrote is None:
            return target
        if isinstance(target, Missing) or target.replicas != wrote.from_replicas or now - wrote.at > WATCH_LAG_SECONDS:
            del self._written[scaler]
            return target
        return structs.replace(target, replicas=wrote.to_replicas)

    async def _read_sources(self, kinds: Kinds, *, now: float) -> dict[str, Source | Missing]:
        names = sorted({ref.name for pool in kinds.pools.values() if (ref := pool.spec.prometheus.secret_ref)})
        found = await asyncio.gather(*(self._sources.named(name, now=now) for name in names))
        return dict(zip(names, found, strict=True))
