"""The console for operators, read-only: on a listener of its own, off unless a port is given.

It shows what the status page does not: names, numbers, reasons, single users. Nobody signs in to it; who may see it is a matter
of who reaches it. So it never shares a port with what applications and users ask, where a path that an Ingress lets through would
be enough: it listens on loopback, inside a pod therefore to `kubectl port-forward` alone, which Kubernetes' own rights govern. What
asks under another name than that of loopback is refused, so that no web page can reach it by way of an operator's browser; a proxy
that authenticates people is given its name by `--console-host-name`.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from brownout.api.policy import FEATURE_POLICY
from brownout.api.pool import GPU_POOL
from brownout.api.resources import Key
from brownout.api.scaler import INFERENCE_SCALER
from brownout.api.schema import Resource
from brownout.flags.metrics import Heard
from brownout.flags.pages import answers
from brownout.flags.pages.changes import Changes, news
from brownout.flags.pages.console_decisions import Flips, StoredScaler
from brownout.flags.pages.console_state import State, StoredPool, state
from brownout.flags.pages.content import Content
from brownout.flags.pages.history import Ring, Series
from brownout.flags.pages.seen import Seen
from brownout.flags.snapshot import Objects

FRESH_SECONDS = 0.5
LONGEST_SECONDS = 5.0
"""What is sent is made anew this often at least, for moments pass, ..."""
LEAST_REST = 20
"""... and never sooner than so many times what making it took: users who ask for flags on the same processor come first."""
UNHEARD_SECONDS = 90.0
MOST_ASKED = 64
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

POOL_COLUMNS = ("saturation", "capacity", "granted", "held", "taken", "total")
SCALER_COLUMNS = ("saturation", "offered", "admitted", "capacity", "ready", "coming", "desired", "demanded")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Console:
    """What it knows, and its addresses."""

    def __init__(self, heard_from: Heard, *, namespaces: Sequence[str], host_names: Sequence[str] = ()) -> None:
        self.seen = Seen([GPU_POOL, INFERENCE_SCALER], namespaces=namespaces, changed=self._changed)
        self._heard_from = heard_from
        self._host_names = {*LOOPBACK, *(name.lower() for name in host_names)}
        self._products: dict[str, Objects] = {}
        self._flips = Flips()
        self._rings: dict[tuple[str, Key], Ring] = {}
        self._changes = Changes()
        self._started_at = time.time()
        self._made_at = float("-inf")
        self._took_seconds = 0.0
        self._content = Content(b"", "application/json")
        self._version = ""
        self._stale = True

    def believe(self, namespace: str, objects: Objects) -> None:
        """The objects of a namespace are these from now on."""
        self._products[namespace] = objects
        self._flips.look(namespace, objects.get(FEATURE_POLICY.plural, ()), now=time.time())
        self._wake()

    def application(self) -> web.Application:
        """Its pages, for a listener of its own."""

        @web.middleware
        async def known_hosts_only(request: web.Request, handler: Handler) -> web.StreamResponse:
            host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
            if host.lower() not in self._host_names:
                sentence = f"the console does not answer to the name {host!r}; give it with --console-host-name\n"
                raise web.HTTPForbidden(text=sentence, headers=answers.HEADERS)
            return await handler(request)

        app = web.Application(middlewares=[known_hosts_only])
        app.add_routes(
            [
                web.get("/", self._front),
                web.get("/console", self._page),
                web.get("/console/state.json", self._state),
                web.get("/console/history.json", self._history),
                web.get("/console/events", self._events),
                web.get(r"/console/{asset:[a-z_]+\.(?:css|js|svg)}", answers.send_asset),
            ]
        )
        app.on_shutdown.append(self._shut)
        return app

    async def _shut(self, _: web.Application) -> None:
        self._changes.close()

    # What the watches say

    def _changed(self, kind: Resource, key: Key) -> None:
        one = self.seen.get(kind, key)
        if one is None:
            self._rings.pop((kind.plural, key), None)
        else:
            columns, numbers = (
                (POOL_COLUMNS, pool_numbers(one)) if kind is GPU_POOL else (SCALER_COLUMNS, scaler_numbers(one))
            )
            self._rings.setdefault((kind.plural, key), Ring(columns)).add(time.time(), numbers)
        self._wake()

    def _wake(self) -> None:
        self._stale = True
        self._changes.tell()

    # What is asked

    async def _front(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("console")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return answers.page(request, answers.assets()["console.html"])

    async def _state(self, request: web.Request) -> web.StreamResponse:
        self._look()
        return answers.page(request, self._content)

    async def _history(self, request: web.Request) -> web.StreamResponse:
        """The histories of the pools and scalers that are named, `since` a moment."""
        try:
            since = float(request.query.get("since", "0"))
        except ValueError:
            raise web.HTTPBadRequest(text="since: write Unix seconds\n", headers=answers.HEADERS) from None
        asked = [
            (kind, name)
            for parameter, kind in (("pool", GPU_POOL.plural), ("scaler", INFERENCE_SCALER.plural))
            for name in request.query.getall(parameter, [])[:MOST_ASKED]
        ]
        found: dict[str, dict[str, Series]] = {GPU_POOL.plural: {}, INFERENCE_SCALER.plural: {}}
        for kind, name in asked:
            namespace, _, short = name.rpartition("/")
            if (ring := self._rings.get((kind, Key(namespace, short)))) is not None:
                found[kind][name] = ring.after(since)
        content = msgspec.json.encode({"now": time.time(), "startedAt": self._started_at, **found})
        return answers.page(request, Content(content, "application/json"))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await news(request, self._changes, self._look)

    def _look(self) -> str:
        """Bring what is sent up to date, and return its version."""
        now = time.monotonic()
        age = self._heard_from.least_age_seconds()
        due = FRESH_SECONDS if self._stale else LONGEST_SECONDS
        if now - self._made_at >= max(due, LEAST_REST * self._took_seconds):
            found = self._gather()
            lost = {part.resource.plural: reason for part, reason in self.seen.lost_parts.items()}
            unheard = age is None or age > UNHEARD_SECONDS
            heard_at = None if age is None or not unheard else round(time.time() - age)
            content = {"unheard": unheard, "heardAt": heard_at, "lost": lost, "state": found}
            encoded = msgspec.json.encode(content)
            self._content = Content(encoded, "application/json")
            self._version = hashlib.sha256(encoded).hexdigest()[:16]
            self._made_at, self._stale = now, False
            self._took_seconds = time.monotonic() - now
        return self._version

    def _gather(self) -> State:
        pools: list[StoredPool] = self.seen.of(GPU_POOL)
        scalers: list[StoredScaler] = self.seen.of(INFERENCE_SCALER)
        return state(self._products, pools, scalers, self._flips.seen, now=time.time())


def pool_numbers(pool: StoredPool) -> dict[str, float | None]:
    """A pool's numbers by column; None is a gap in the plot, and 0 is a measured 0."""
    gpus, ladder = pool.status.gpus, pool.status.ladder
    return {
        "saturation": pool.status.saturation.percent,
        "capacity": gpus.capacity,
        "granted": gpus.granted,
        "held": gpus.held,
        "taken": ladder.taken,
        "total": ladder.total,
    }


def scaler_numbers(scaler: StoredScaler) -> dict[str, float | None]:
    """A scaler's numbers by column, likewise."""
    replicas, demand = scaler.status.replicas, scaler.status.demand
    return {
        "saturation": scaler.status.saturation_percent,
        "offered": _number(demand.offered),
        "admitted": _number(demand.admitted),
        "capacity": _number(demand.capacity),
        "ready": replicas.ready,
        "coming": replicas.coming,
        "desired": replicas.desired,
        "demanded": replicas.demanded,
    }


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
