"""Watching the cluster: kopf's indices hold small frozen facts, and an event does no more than wake the loop.

kopf is used for what it is good at (list, watch, reconnect, credentials) and kept from what we do not want: there is no
handler with state, no timer and no daemon, so it puts neither finalizers nor annotations on anybody's objects; event posting,
peering and the scan for new kinds are off. It therefore needs list and watch on the kinds below, and nothing else.

Three limits are kopf's, and are dealt with here. It tells nobody when the first LIST of every kind is in; but it holds back
every event handler until then, and namespaces always exist, so the first event of a namespace is that signal. An object
deleted while a watch was broken for long stays in its index; audit.py finds those, and has them hidden. And it watches all
kinds everywhere, or all of them in some namespaces; we need policies of some and pods of all, so two of them run then. Namespaces
of the second come and go by its own `Insights`, in which kopf keeps what is there to be watched: it is given one of ours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import kopf
from kopf._cogs.structs.references import Insights, NamespaceName
from msgspec import Struct, structs

from brownout.api.resources import RESOURCES, InvalidObject, Key, Stored, decode
from brownout.api.schema import GROUP, VERSION, Resource
from brownout.observe.facts import (
    NamespaceFact,
    NodeFact,
    PodFact,
    QuotaFact,
    TargetFact,
    created_at,
    key_of,
    namespace_fact,
    node_fact,
    pod_fact,
    quota_fact,
    target_fact,
)
from brownout.observe.wakeups import tell_of_changes_alone

Typed = Stored[Any, Any] | InvalidObject
Fact = NodeFact | PodFact | NamespaceFact | QuotaFact | TargetFact | Typed
F = TypeVar("F")

IDENTITY: Any = "brownout"
"""Whom kopf would call itself among its peers, of which there are none. Unasked it looks up the user's name; a container's uid has none."""


class Watched(Struct, frozen=True, kw_only=True):
    """A kind that is watched, and what is kept of its objects.

    `field_selector` narrows it on the server's side. An `optional` kind is left out where it may not be listed. A `confined`
    one is of interest only in the namespaces that are acted on, of the others everybody's objects count; `namespaces` are those in
    which it is watched, none for all.
    """

    kind: str
    group: str
    version: str
    plural: str
    fact: Callable[[dict[str, Any]], Fact]
    field_selector: str = ""
    optional: bool = False
    confined: bool = False
    namespaces: tuple[str, ...] = ()

    def within(self, namespaces: Iterable[str]) -> "Watched":
        """The kind as it is watched where these namespaces alone are acted on."""
        return structs.replace(self, namespaces=tuple(namespaces)) if self.confined else self

    @property
    def path(self) -> str:
        """Where the API server has all objects of the kind."""
        return f"{self._root}/{self.plural}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it has those that are watched."""
        named = tuple(f"{self._root}/namespaces/{namespace}/{self.plural}" for namespace in self.namespaces)
        return named or (self.path,)

    @property
    def _root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


class Entry(Struct, Generic[F], frozen=True):
    """One object as it is known: the fact, the uid that tells it from a later one of the same name, and its resourceVersion."""

    uid: str
    fact: F
    version: str = ""

    def says_the_same(self, other: "Entry[F]") -> bool:
        """Whether nothing that we go by is different; most versions of an object differ in what does not concern us."""
        return (self.uid, self.fact) == (other.uid, other.fact)


def _typed(resource: Resource) -> Callable[[dict[str, Any]], Fact]:
    return lambda body: decode(resource, body, created_at(body))


KINDS: tuple[Watched, ...] = (
    *(
        Watched(kind=r.kind, group=GROUP, version=VERSION, plural=r.plural, fact=_typed(r), confined=r.namespaced)
        for r in RESOURCES
    ),
    Watched(kind="Node", group="", version="v1", plural="nodes", fact=node_fact),
    Watched(
        kind="Pod",
        group="",
        version="v1",
        plural="pods",
        fact=pod_fact,
        field_selector="status.phase!=Succeeded,status.phase!=Failed",  # an ended pod holds nothing
    ),
    Watched(kind="Namespace", group="", version="v1", plural="namespaces", fact=namespace_fact),
    Watched(kind="ResourceQuota", group="", version="v1", plural="resourcequotas", fact=quota_fact),
    *(
        Watched(kind=kind, group="apps", version="v1", plural=plural, fact=target_fact, optional=True, confined=True)
        for kind, plural in (("Deployment", "deployments"), ("StatefulSet", "statefulsets"))
    ),
)


class Forever:
    """Waits between attempts, without an end: an API server that is away is waited for, not died of."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1, 2, 3, 5)
        while True:
            yield 5


class Watch:
    """Everything that is watched, each kind in its namespaces.

    `wake` is set by any change of a fact, `complete` once every kind has been listed, `relisted` whenever one is again.
    """

    def __init__(
        self,
        login: Callable[[], Awaitable[kopf.ConnectionInfo]],
        *,
        kinds: tuple[Watched, ...] = KINDS,
    ) -> None:
        self.kinds = self.every_kind = kinds
        """`kinds` are those that are watched anywhere now: no confined one where none of its namespaces is left."""
        self.wake = asyncio.Event()
        self.complete = asyncio.Event()
        self.relisted = asyncio.Event()
        self._gone: dict[str, set[str]] = {}
        self._ours: set[asyncio.Task[Any]] = set()
        self._login = login
        self._indices: dict[str, Mapping[Key, kopf.Store[Entry[Any]]]] = {}
        self._parts = [
            self._part(tuple(kind for kind in kinds if kind.namespaces == namespaces), namespaces)
            for namespaces in dict.fromkeys(kind.namespaces for kind in kinds)
        ]
        self._incomplete = {id(part.registry) for part in self._parts}

    def facts(self, kind: str) -> dict[Key, Any]:
        """All objects of a kind, as last seen; none of a kind that is not watched.

        Of two with one name (deleted and made anew) the later one is meant.
        """
        gone = self._gone.get(kind, set())
        return {
            key: entry.fact
            for key, store in self._indices.get(kind, {}).items()
            for entry in store
            if entry.uid not in gone
        }

    def has_namespace(self, namespace: str) -> bool:
        """Whether a namespace is there, as last seen."""
        return Key("", namespace) in self.facts("Namespace")

    async def take_up(self, namespace: str) -> None:
        """Watch the confined kinds in this namespace too."""
        await self._change(lambda names: names | {namespace})

    async def leave(self, namespace: str) -> None:
        """Watch them in this namespace no more; what is left of it in the index is found to be gone by the next check."""
        await self._change(lambda names: names - {namespace})
        self.relisted.set()

    async def _change(self, change: Callable[[set[str]], set[str]]) -> None:
        for part in self._parts:
            if part.namespaces:
                names = change({str(name) for name in part.insights.namespaces})
                confined = [kind.within(sorted(names)) for kind in self.every_kind if kind.confined] if names else []
                self.kinds = (*(kind for kind in self.every_kind if not kind.confined), *confined)
                async with part.insights.revised:
                    part.insights.namespaces.clear()
                    part.insights.namespaces.update(map(NamespaceName, names))
                    part.insights.revised.notify_all()

    def uids(self, kind: str) -> set[str]:
        """The uids of all objects of a kind that are still in the index."""
        return {entry.uid for store in self._indices[kind].values() for entry in store}

    def versions(self, kind: str) -> dict[str, str]:
        """The resourceVersion of each object of a kind as last seen, by uid."""
        return {entry.uid: entry.version for store in self._indices[kind].values() for entry in store}

    def hide(self, kind: str, uids: set[str]) -> int:
        """Take exactly these objects of a kind for gone, although the index has them. Returns how many of them are news."""
        news = len(uids - self._gone.get(kind, set()))
        self._gone[kind] = uids
        return news

    async def start(self, stop: asyncio.Event) -> Collection[asyncio.Task[Any]]:
        """Start watching, until `stop` is set. Puts kopf's signal handlers in place of whatever was there."""
        tell_of_changes_alone()
        self._ours = asyncio.all_tasks()
        tasks: list[asyncio.Task[Any]] = []
        for part in self._parts:
            where: dict[str, Any] = {"namespaces": part.namespaces} if part.namespaces else {"clusterwide": True}
            tasks += await kopf.spawn_tasks(
                registry=part.registry,
                settings=part.settings,
                standalone=True,
                stop_flag=stop,
                identity=IDENTITY,
                insights=part.insights,
                **where,
            )
        return tasks

    async def follow(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """Wait for the end. Raises where a watch ended by itself: going on would mean not seeing changes."""
        await kopf.run_tasks(tasks, ignored=self._ours)

    def _part(self, kinds: tuple[Watched, ...], namespaces: tuple[str, ...]) -> "_Part":
        """What one kopf watches. Where it has no namespaces among its kinds it hears of them all the same: see above."""
        part = _Part(kopf.OperatorRegistry(), _settings(kinds), namespaces, Insights())

        @kopf.on.login(id="login", registry=part.registry)
        async def log_in(**_: Any) -> kopf.ConnectionInfo:
            return await self._login()

        for kind in kinds:
            self._index(kind, part)

        @kopf.on.event("", "v1", "namespaces", id="listed", registry=part.registry)
        async def listed(**_: Any) -> None:
            self._incomplete.discard(id(part.registry))
            if not self._incomplete:
                self.complete.set()

        return part

    def _index(self, kind: Watched, part: "_Part") -> None:
        index_id = f"index_{kind.plural}"
        where = (kind.group, kind.version, kind.plural)

        @kopf.on.startup(id=f"capture_{kind.plural}", registry=part.registry)
        async def capture(**kwargs: Any) -> None:
            self._indices[kind.kind] = kwargs[index_id]

        @kopf.index(*where, id=index_id, registry=part.registry)
        async def keep(body: kopf.Body, **kwargs: Any) -> dict[Key, Entry[Any]]:
            raw = dict(body)
            key = key_of(raw)
            metadata = body.metadata
            entry = Entry(str(metadata.get("uid")), kind.fact(raw), str(metadata.get("resourceVersion", "")))
            if not any(known.says_the_same(entry) for known in kwargs[index_id].get(key, ())):
                self.wake.set()
            return {key: entry}

        @kopf.on.event(*where, id=f"event_{kind.plural}", registry=part.registry)
        async def seen(type: str | None, **_: Any) -> None:  # noqa: A002  kopf's own name
            if type is None and self.complete.is_set():
                self.relisted.set()
            if type == "DELETED":
                self.wake.set()


class _Part(NamedTuple):
    """One kopf: what it is told, in which namespaces it watches at the start, none for all, and what it keeps of those."""

    registry: kopf.OperatorRegistry
    settings: kopf.OperatorSettings
    namespaces: tuple[str, ...]
    insights: Insights


def _settings(kinds: tuple[Watched, ...]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Forever()
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.process.ultimate_exiting_timeout = None
    settings.queueing.exit_timeout = 0.5
    for kind in kinds:
        if kind.field_selector:
            settings.watching.field_selectors[kind.group, kind.version, kind.plural] = kind.field_selector
    return settings
