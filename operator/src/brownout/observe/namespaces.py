"""Namespaces that come and go while we watch: which of those that are to be watched are acted in.

Objects refer only to their own namespace, so one that does not exist costs nobody else anything. It is left out, with a sentence,
and taken up once it is there and may be read. What has not been listed is not known to be empty: it is acted in only when
everything that is stored in it has been seen. Meanwhile its pods are somebody's whom we do not know, and hold their GPUs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from kubernetes.aio.client import ApiClient

from brownout.observe.catch_up import has_seen
from brownout.observe.metadata import list_versions
from brownout.observe.preflight import ABSENT, ENDING, FORBIDDEN, absence, refusals
from brownout.observe.watch import Watch

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
"""How often it is looked for what is left out, and for what has gone."""
LONGEST_SECONDS = 60.0
"""For so long the first list of a namespace that came is waited for."""

SENTENCES = {
    ABSENT: "namespace {} does not exist and is left out: create it and `helm upgrade`, or take it out of watchNamespaces",
    ENDING: "namespace {} is being deleted and is left out: take it out of watchNamespaces",
    FORBIDDEN: "namespace {} may not be read and is left out: `helm upgrade` grants its Role, or take it out of watchNamespaces",
}


class NotListedError(Exception):
    """A namespace that came was not listed. kopf holds back news of other objects until it is, so we begin anew without it."""


class Namespaces:
    """Those that are `wanted`. `left_out`: why some are not watched, at first as of the start; `on_change` is told of it."""

    def __init__(
        self,
        client: ApiClient,
        watch: Watch,
        *,
        wanted: Collection[str],
        left_out: Mapping[str, str],
        on_change: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._client = client
        self._watch = watch
        self._wanted = tuple(wanted)
        self._left_out = dict(left_out)
        self._unlisted: dict[str, float] = {}
        """When those were taken up that are not listed yet, on the event loop's clock."""
        self._on_change = on_change
        for namespace in self._left_out:
            self._say(namespace)

    def acted_in(self) -> Collection[str] | None:
        """The namespaces whose objects count; None where all do."""
        return frozenset(self._wanted) - self._left_out.keys() if self._wanted else None

    async def run(self) -> None:
        """Look for what comes and goes, until cancelled. Raises NotListedError."""
        await self._watch.complete.wait()
        while True:
            for namespace in self._wanted:
                try:
                    await self._look(namespace)
                except NotListedError:
                    raise
                except Exception as error:  # the API server is away; what was known stays
                    log.debug("namespace %s: %s", namespace, error)
            await asyncio.sleep(EVERY_SECONDS)

    async def _look(self, namespace: str) -> None:
        if namespace in self._unlisted:
            await self._admit(namespace)
        elif namespace in self._left_out:
            why = await absence(self._client, namespace)
            if not why:
                why = FORBIDDEN if await refusals(self._client, self._watch.every_kind, namespace) else ""
            if why:
                self._leave_out(namespace, why)
                return
            self._unlisted[namespace] = asyncio.get_running_loop().time()
            await self._watch.take_up(namespace)
        elif not self._watch.has_namespace(namespace) and (why := await absence(self._client, namespace)):
            await self._watch.leave(namespace)
            self._leave_out(namespace, why)

    async def _admit(self, namespace: str) -> None:
        """Act in a namespace as soon as all that is stored in it has been seen. Raises NotListedError."""
        if asyncio.get_running_loop().time() - self._unlisted[namespace] > LONGEST_SECONDS:
            raise NotListedError(f"namespace {namespace} came, and is not listed after {LONGEST_SECONDS:g} s")
        for kind in self._watch.every_kind:
            if kind.confined:
                stored = await list_versions(self._client, kind.within((namespace,)))
                if not has_seen(self._watch.versions(kind.kind), stored):
                    return
        del self._unlisted[namespace]
        del self._left_out[namespace]
        self._on_change(self._left_out)
        log.info("namespace %s is there, and is watched from now on", namespace)
        self._watch.wake.set()

    def _leave_out(self, namespace: str, why: str) -> None:
        if self._left_out.get(namespace) != why:
            self._left_out[namespace] = why
            self._say(namespace)

    def _say(self, namespace: str) -> None:
        log.warning(sentence(namespace, self._left_out[namespace]))
        self._on_change(self._left_out)


def sentence(namespace: str, why: str) -> str:
    """What is to be done about a namespace that is left out."""
    return SENTENCES[why].format(namespace)
