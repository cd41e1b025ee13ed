"""A drill as it runs: readings, an override, readings, its end."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from kubernetes.aio.client.exceptions import ApiException
from msgspec import structs

from brownout.api.override import FEATURE_OVERRIDE, ends_at
from brownout.api.resources import Key, Stored
from brownout.cli.cluster import Cluster, read, refused
from brownout.cli.drilling.measurable import lost, unasked, unmeasured, unseen
from brownout.cli.drilling.reading import Reading, asked, from_evidence, from_status, predicted, with_override
from brownout.cli.drilling.report import Report, notes, saved
from brownout.cli.drilling.rung import By, Drilled, choose
from brownout.cli.durations import span
from brownout.cli.failure import failed
from brownout.cli.following import Following, following
from brownout.cli.gates.answer import feature, product
from brownout.cli.options import Where
from brownout.cli.overriding.request import Asked, manifest, rfc3339, stored
from brownout.cli.overriding.words import meets
from brownout.cli.overview import Objects
from brownout.flags.cells import Override, Policy, in_force
from brownout.observe.prometheus import Prometheus
from brownout.run.waiting import first_of

KINDS = ("FeaturePolicy", "UserTier", "FeatureOverride", "InferenceScaler")
EVERY_SECONDS = 2.0
TRIES, PAUSE_SECONDS = 5, 1.0


class Drill:
    """One drill. `choose` first, then `run`; `stop` ends it at once; `say` is told how it goes, a line each.

    `lost`: what could not be read any more in mid-drill, which ended it; empty where all could.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        where: Where,
        prometheus_url: str,
        stop: asyncio.Event,
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._where = where
        self._url = prometheus_url
        self._stop = stop
        self._say = say
        self._prometheus = Prometheus()
        self._policy: Policy
        self._drilled: Drilled
        self._body: dict[str, Any]
        self.lost = ""

    async def choose(
        self, name: str, *, tier: str, cohort: str | None, variant: str, reason: str, now: float, lasting: float
    ) -> None:
        """Find the rung, and the override for it. Raises CommandError where there is none, or a person's word stands there."""
        objects = await read(self._cluster, KINDS, self._namespace)
        seen, by = product(objects, self._namespace), _by_key(objects)
        self._policy = feature(seen.policies, name, self._namespace)
        self._drilled = choose(by, self._policy.key, tier=tier, cohort=cohort, variant=variant, now=now)
        wanted = Asked(
            variant=self._drilled.variant,
            seconds=lasting,
            reason=reason,
            tiers=(self._drilled.tier,),
            cohort=self._drilled.cohort,
        )
        self._body = manifest(wanted, self._policy, seen.tiers, now=now)
        word = stored(self._body, namespace=self._namespace, now=now)
        for other in in_force(seen.overrides, now):
            if other.spec.policy_ref.name == self._policy.key.name and meets(word, other):
                raise failed(f"{other.key.name} stands above the loop there: end it first, or drill another rung")

    async def run(self, *, before: float, settle: float, lasting: float) -> Report | None:
        """Measure, override, measure, end. None where it was stopped before anything was changed.

        Raises CommandError, before anything is changed, where nothing can be measured.
        """
        try:
            async with following(KINDS, self._where, self._namespace) as followed:
                return await self._run(followed, before=before, settle=settle, lasting=lasting)
        finally:
            await self._prometheus.close()

    async def _run(self, followed: Following, *, before: float, settle: float, lasting: float) -> Report | None:
        self._say(f"{self._policy.key.name}, {self._drilled.audience}: measuring for {span(before)} as it is")
        while not followed.complete and not self._stop.is_set():
            await followed.change(seconds=1.0)
        earlier = await self._readings(followed, seconds=before)
        if self.lost:
            raise failed(f"nothing can be measured, so nothing was taken from anybody: {self.lost}{self._hint()}")
        if self._stop.is_set():
            return None
        began = time.time()
        self._body["spec"]["expireTime"] = rfc3339(began + lasting + 1)  # it counts whole seconds
        made = await self._cluster.create(FEATURE_OVERRIDE, self._namespace, self._body)
        word = structs.replace(stored(made, namespace=self._namespace, now=began))
        later: list[Reading] = []
        ended, scalers = "not ended", _by_key(followed.objects)["InferenceScaler"]
        try:
            self._say(
                f"{word.key.name}: {self._drilled.variant} for {span(lasting)}; it ends by itself at "
                f"{rfc3339(ends_at(word.spec, created_at=began))}, and with Ctrl-C at once"
            )
            said = await self._predicted(followed, word)
            await self._readings(followed, seconds=settle, word=word, earlier=earlier)
            if not self.lost:
                rest = began + lasting - time.time()
                later = await self._readings(followed, seconds=rest, word=word, earlier=earlier)
        finally:
            ended = await self._end(word)
        found = saved(earlier, later, self._drilled.scalers, said)
        return Report(
            feature=self._policy.key.name,
            namespace=self._namespace,
            audience=self._drilled.audience,
            variant=self._drilled.variant,
            override=word.key.name,
            lasted=time.time() - began,
            ended=ended,
            source=self._url or "what the operator wrote into status",
            saved=_sum(one.saved for one in found),
            predicted=_sum(one.predicted for one in found),
            scalers=found,
            notes=(*notes(earlier, later), *self._doubts(followed, scalers)),
        )

    async def _readings(
        self, followed: Following, *, seconds: float, word: Override | None = None, earlier: Sequence[Reading] = ()
    ) -> list[Reading]:
        """Readings for so long, one at least where it is not stopped. Ends at once where there is nothing to be read."""
        found: list[Reading] = []
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (not found or time.monotonic() < until):
            objects = _by_key(followed.objects)
            one = await self._reading(objects if word is None else with_override(objects, word))
            self.lost = next(self._gaps(objects, one, earlier, followed.unheard), "")
            if self.lost:
                break
            found.append(one)
            await first_of(self._stop, seconds=min(EVERY_SECONDS, max(0.0, until - time.monotonic())))
        return found

    async def _reading(self, objects: By) -> Reading:
        now = time.time()
        if not self._url:
            return from_status(objects, self._drilled.scalers, now=now)
        evidence = await asked(objects, self._prometheus, self._url, now=now)
        drilled = self._drilled
        return from_evidence(objects, evidence, self._policy.key, drilled.scalers, now=now, whom=drilled.covers)

    def _gaps(self, objects: By, one: Reading, earlier: Sequence[Reading], unheard: str) -> Iterator[str]:
        """What keeps this reading from telling anything; once the override stands (`earlier`), also from being compared."""
        key, scalers = self._policy.key, self._drilled.scalers
        yield from unmeasured(one, scalers)
        yield from unseen(objects, key, scalers)
        if unheard and not self._url:
            yield f"status is not heard: {unheard}"
        if earlier:
            yield from lost(earlier[-1], one)
        else:
            yield from unasked(one, self._drilled.audience)

    def _hint(self) -> str:
        return "" if self._url else "; measured by status alone: a Prometheus is named by --prometheus-url"

    async def _predicted(self, followed: Following, word: Override) -> dict[Key, float]:
        """By what users ask for just when the override begins."""
        if not self._url:
            return {}
        now, objects = time.time(), _by_key(followed.objects)
        evidence = await asked(objects, self._prometheus, self._url, now=now)
        return predicted(objects, evidence, word, self._drilled.scalers, now=now)

    async def _end(self, word: Override) -> str:
        """Delete the override. Where that cannot be done it still ends by itself."""
        why = ""
        for _ in range(TRIES):
            try:
                await self._cluster.delete(FEATURE_OVERRIDE, word.key)
                if self.lost:
                    return f"ended early, because it could not be measured any more: {self.lost}"
                return "stopped" if self._stop.is_set() else "ended"
            except ApiException as error:
                if error.status == 404:
                    return "somebody else ended it"
                why = str(refused(error))
            except OSError as error:
                why = str(error)
            await asyncio.sleep(PAUSE_SECONDS)
        end = rfc3339(ends_at(word.spec, created_at=word.created_at))
        self._say(f"warning: {word.key.name} could not be ended ({why}); it ends by itself at {end}")
        return f"it ends by itself at {end}"

    def _doubts(self, followed: Following, scalers: dict[Key, Stored[Any, Any]]) -> Iterable[str]:
        if self._url:
            return
        yield "the plan's figure needs rates, which status does not hold; write --prometheus-url"
        now = _by_key(followed.objects)["InferenceScaler"]
        for key in self._drilled.scalers:
            if key in now and now[key].status == scalers[key].status:
                yield (
                    f"the operator did not write the status of {key} meanwhile, as it does for little moves: "
                    "its numbers are from before; write --prometheus-url"
                )


def _by_key(objects: Objects) -> dict[str, dict[Key, Stored[Any, Any]]]:
    return {kind: {one.key: one for one in found if isinstance(one, Stored)} for kind, found in objects.items()}


def _sum(values: Iterable[float | None]) -> float | None:
    """Of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
