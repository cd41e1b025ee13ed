"""The status page's addresses: `/{namespace}/status` and its feed, `/{namespace}/status.json`.

Without the namespace they work where only one is served. A page is rendered once for each choice of languages among
those that are there, and compressed once, while nothing changes: what else a reader asks for makes no other page. That
something has changed an open page hears on OFREP's stream of events: what is limited is what the flag set says, so that one
notice, spread out as for everybody else, serves both.
"""

import hashlib
import time
from collections.abc import Sequence

import msgspec
from aiohttp import web

from brownout.api.scaler import INFERENCE_SCALER
from brownout.flags.board import Board
from brownout.flags.metrics import Heard
from brownout.flags.names import LONGEST_NAMESPACE, shown
from brownout.flags.pages import answers
from brownout.flags.pages.content import Content, Kept
from brownout.flags.pages.languages import negotiated, of_languages
from brownout.flags.pages.limits import Feature, features, locales_of
from brownout.flags.pages.reader import reader
from brownout.flags.pages.seen import Seen
from brownout.flags.pages.status_feed import feed
from brownout.flags.pages.status_page import Hearing, document
from brownout.flags.snapshot import Objects

FRESH_SECONDS = 1.0
"""What was made of the objects is looked at again after this long, were it only because a moment has passed, ..."""
LEAST_SECONDS = 0.2
LEAST_REST = 10
"""... and where something has changed after this, or so many times what making it took: flags on the same processor come first."""
UNHEARD_SECONDS = 180.0
"""A watch is renewed every minute: an API server that was not heard for longer is away."""
FIRST_HEARD_SECONDS = 30.0
MOST_PAGES = 256
MOST_PAGE_BYTES = 16 * 1024 * 1024

ANYBODY = {"Access-Control-Allow-Origin": "*"}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a namespace's page says, when it was made (monotonic seconds), what that took, and whether something has changed since.

    locales: the lists of languages in which texts of it are there, each once.
    """

    features: tuple[Feature, ...]
    locales: tuple[tuple[str, ...], ...]
    feed: Content
    version: str
    made_at: float
    took_seconds: float
    stale: bool = False


class StatusPages:
    """The pages of every namespace."""

    def __init__(self, board: Board, heard_from: Heard, *, namespaces: Sequence[str]) -> None:
        self.seen = Seen([INFERENCE_SCALER], namespaces=namespaces, changed=lambda _, key: self._forget(key.namespace))
        self._board = board
        self._heard_from = heard_from
        self._started_at = time.monotonic()
        self._objects: dict[str, Objects] = {}
        self._known: dict[str, Known] = {}
        self._pages = Kept(most=MOST_PAGES, most_bytes=MOST_PAGE_BYTES)

    def believe(self, namespace: str, objects: Objects) -> None:
        """The objects of a namespace are these from now on."""
        self._objects[namespace] = objects
        self._forget(namespace)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(prefix + path, handler)
            for prefix in ("", "/{namespace}")
            for path, handler in (
                ("/status", self._page),
                ("/status.json", self._feed),
                (r"/status/{asset:[a-z_]+\.(?:css|js|svg)}", answers.send_asset),
            )
        ]

    async def _page(self, request: web.Request) -> web.Response:
        namespace = self._namespace(request)
        known = self._look(namespace)
        shown = reader(
            accept_language=request.headers.get("Accept-Language", ""),
            asked=request.query.get("lang", ""),
            now=time.time() // 60 * 60,
        )
        heard = self._hearing(namespace)
        version = known.version if known else ""
        evaluator = self._board.get(namespace)
        set_version = evaluator.flag_set.version if evaluator else ""
        locales = known.locales if known else ()
        texts = negotiated(locales, of_languages(locales, shown.wanted))
        content = self._pages.get(
            (namespace, version, set_version, shown.now, heard, shown.locale, texts),
            lambda: Content(
                document(
                    namespace,
                    known.features if known else None,
                    reader=shown,
                    version=version,
                    set_version=set_version,
                    heard=heard,
                    assets="status/",
                ).encode(),
                "text/html",
            ),
        )
        return answers.page(request, content, {"Content-Language": shown.locale}, vary="Accept-Language")

    async def _feed(self, request: web.Request) -> web.Response:
        known = self._look(self._namespace(request))
        if known is None:
            sentence, headers = '{"error": "nothing is known yet"}', {**answers.HEADERS, **ANYBODY}
            raise web.HTTPServiceUnavailable(text=sentence, content_type="application/json", headers=headers)
        return answers.page(request, known.feed, ANYBODY)

    def _namespace(self, request: web.Request) -> str:
        """The namespace that is asked for. Raises a 404 that says what to write."""
        namespace = request.match_info.get("namespace") or self._board.only()
        if namespace is None:
            raise web.HTTPNotFound(text="name a namespace: /{namespace}/status\n", headers=answers.HEADERS)
        if self._board.get(namespace) is None and (
            len(namespace) > LONGEST_NAMESPACE or not self._board.may_come(namespace)
        ):
            raise web.HTTPNotFound(
                text=f"nothing is served for namespace {shown(namespace)!r}\n", headers=answers.HEADERS
            )
        return namespace

    def _hearing(self, namespace: str) -> Hearing:
        """Whether what is shown of a namespace may be old. A server that has just started listens before it says that it hears nothing."""
        age = self._heard_from.age_seconds(namespace)
        if age is None:
            return Hearing(time.monotonic() - self._started_at > FIRST_HEARD_SECONDS)
        return Hearing(False) if age < UNHEARD_SECONDS else Hearing(True, (time.time() - age) // 60 * 60)

    def _look(self, namespace: str) -> Known | None:
        """What is known of a namespace now; None before anything is."""
        objects = self._objects.get(namespace)
        if objects is None:
            return None
        known, now = self._known.get(namespace), time.monotonic()
        if known is not None:
            due = LEAST_SECONDS if known.stale else FRESH_SECONDS
            if now - known.made_at < max(due, LEAST_REST * known.took_seconds):
                return known
        scalers = {scaler.key.name: scaler.status for scaler in self.seen.of(INFERENCE_SCALER, namespace)}
        found = features(objects, scalers=scalers, now=time.time())
        if known is not None and known.features == found:
            known = msgspec.structs.replace(known, made_at=now, stale=False)
        else:
            content = feed(namespace, found)
            version = hashlib.sha256(content).hexdigest()[:16]
            known = Known(
                features=found,
                locales=locales_of(found),
                feed=Content(content, "application/json"),
                version=version,
                made_at=now,
                took_seconds=time.monotonic() - now,
            )
        self._known[namespace] = known
        return known

    def _forget(self, namespace: str) -> None:
        """Something has changed: look again."""
        if (known := self._known.get(namespace)) is not None:
            self._known[namespace] = msgspec.structs.replace(known, stale=True)
