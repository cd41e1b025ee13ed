"""Writing status: server-side apply on the status subresource, and only what is worth it.

Applied under one field manager, so what a status no longer says is removed, and what others put there is left alone. The
object's uid goes along: a status is never put on a later object of the same name. Who writes hears what was not written.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec
from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Struct

from brownout.api.reasons import Condition, Reason
from brownout.api.resources import BY_KIND, InvalidObject, Key
from brownout.api.schema import API_VERSION, GROUP, VERSION, Resource
from brownout.decide.recall import rfc3339
from brownout.publish.changed import Body, worth_writing
from brownout.publish.status import body
from brownout.publish.unwritten import Name, Unwritten, is_refusal
from brownout.rest import NOT_SENT

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 16
TIMEOUT_SECONDS = 5.0
LAG_SECONDS = 5.0
"""For so long after a write what was written is held against, rather than what the watch shows: it may not show it yet."""
FIELD_MANAGER = "brownout"
INVALID_FIELD_MANAGER = "brownout-invalid"
"""For objects that cannot be read: it owns the Ready condition alone, so that the rest of the status stays as it is."""


class Update(Struct, frozen=True, kw_only=True):
    """A status to be, and the one that is stored."""

    kind: str
    key: Key
    uid: str
    stored: msgspec.Struct
    status: msgspec.Struct


class _Stored(Struct, frozen=True):
    """What is stored, and the same as JSON values. It is the same object until somebody writes it."""

    status: msgspec.Struct
    body: Body


class _Last(Struct, frozen=True):
    uid: str
    body: Body
    at: float


class StatusWriter:
    """Writes statuses that changed. `on_write` and `on_error` are told the kind, for metrics.

    `now` is on a clock that is never set: what counts is how long ago something was written.
    """

    def __init__(self, client: ApiClient, *, on_write: Callable[[str], None], on_error: Callable[[str], None]) -> None:
        self._objects = CustomObjectsApi(client)
        self._on_write = on_write
        self._on_error = on_error
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._last: dict[Name, _Last] = {}
        self._complaints: dict[Name, str] = {}
        self._stored: dict[Name, _Stored] = {}
        self.unwritten = Unwritten()

    async def write(self, updates: Iterable[Update], *, now: float) -> set[Key]:
        """Write what is worth it. Returns the keys of what would have been and was not: it failed, or pauses after failures.

        Never raises: an object whose status cannot be written does not hold up the others. A write that fails may have been
        taken all the same, where its answer was lost.
        """
        updates = list(updates)
        outcomes = await asyncio.gather(*(self._write(update, now=now) for update in updates))
        return {update.key for update, well in zip(updates, outcomes, strict=True) if not well}

    async def refuse(self, invalid: Iterable[tuple[str, InvalidObject]], *, now: float, wall: float) -> None:
        """Say of objects that cannot be read why that is, once for each wording; `wall` is what status says of when."""
        await asyncio.gather(*(self._refuse(kind, one, now=now, wall=wall) for kind, one in invalid))

    def forget(self, known: Iterable[Name], *, now: float) -> None:
        """Keep nothing of objects that are no longer there."""
        keep = set(known)
        self.unwritten.forget(keep, now=now)
        self._last = {name: last for name, last in self._last.items() if name in keep}
        self._complaints = {name: text for name, text in self._complaints.items() if name in keep}
        self._stored = {name: stored for name, stored in self._stored.items() if name in keep}

    async def _write(self, update: Update, *, now: float) -> bool:
        """Whether what is stored says now what it should."""
        name, new = (update.kind, update.key), body(update.status)
        last = self._last.get(name)
        if last is not None and last.uid != update.uid:
            last = None
        since = None if last is None else now - last.at
        old = last.body if last is not None and now - last.at < LAG_SECONDS else self._stored_body(update)
        if not worth_writing(old, new, since_last_write=since):
            return True
        if self.unwritten.pause(name, now=now):
            return False
        if not await self._apply(update.kind, update.key, update.uid, new, FIELD_MANAGER, now=now):
            return False
        self._last[name] = _Last(update.uid, new, now)
        return True

    def _stored_body(self, update: Update) -> Body:
        name = (update.kind, update.key)
        known = self._stored.get(name)
        if known is None or known.status is not update.stored:
            known = self._stored[name] = _Stored(update.stored, body(update.stored))
        return known.body

    async def _refuse(self, kind: str, invalid: InvalidObject, *, now: float, wall: float) -> None:
        name, text = (kind, invalid.key), f"{invalid.generation} {invalid.message}"
        if (last := self._last.get(name)) and last.body == {"invalid": text}:
            return
        condition = {
            "type": str(Condition.READY),
            "status": "False",
            "reason": str(Reason.INVALID),
            "message": invalid.message[:1024],
            "lastTransitionTime": rfc3339(wall),
            "observedGeneration": invalid.generation,
        }
        if self.unwritten.pause(name, now=now):
            return
        if await self._apply(kind, invalid.key, "", {"conditions": [condition]}, INVALID_FIELD_MANAGER, now=now):
            self._last[name] = _Last("", {"invalid": text}, now)

    async def _apply(self, kind: str, key: Key, uid: str, status: Body, manager: str, *, now: float) -> bool:
        metadata = (
            {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {}) | ({"uid": uid} if uid else {})
        )
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}
        try:
            async with self._in_flight:
                await self._patch(BY_KIND[kind], key, document, manager)
        except Exception as error:
            self._complain(kind, key, error, now=now)
            return False
        self.unwritten.written((kind, key))
        if self._complaints.pop((kind, key), None):
            log.info("status of %s %s is written again", kind, key)
        self._on_write(kind)
        return True

    async def _patch(self, resource: Resource, key: Key, document: Body, manager: str) -> None:
        options = {
            "field_manager": manager,
            "force": True,
            "_content_type": "application/apply-patch+yaml",
            "_request_timeout": TIMEOUT_SECONDS,
        }
        if resource.namespaced:
            await self._objects.patch_namespaced_custom_object_status(
                GROUP, VERSION, key.namespace, resource.plural, key.name, document, **options
            )
        else:
            await self._objects.patch_cluster_custom_object_status(
                GROUP, VERSION, resource.plural, key.name, document, **options
            )

    def _complain(self, kind: str, key: Key, error: Exception, *, now: float) -> None:
        """Remember an error, and log it once until it changes. An object that is gone or new is none: the watch will say so.

        Neither is one that was not sent, because this operator does not lead any more: its end says so.
        """
        self._on_error(kind)
        http_status = error.status if isinstance(error, ApiException) else None
        if http_status == NOT_SENT:
            return
        text = f"HTTP {http_status}: {_said(error)}" if isinstance(error, ApiException) else type(error).__name__
        self.unwritten.failed((kind, key), text, refused=is_refusal(http_status), now=now)
        if http_status not in (404, 409) and self._complaints.get((kind, key)) != text:
            self._complaints[kind, key] = text
            log.error("status of %s %s cannot be written: %s; %s", kind, key, text, _consequence(kind))


def _consequence(kind: str) -> str:
    """What it means for users."""
    if kind == "FeaturePolicy":
        return "users keep what they have until it can be, and what was decided is not in force"
    return "it is tried again"


def _said(error: ApiException) -> str:
    """The API server's own sentence, for the log alone."""
    try:
        return str(msgspec.json.decode(error.body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return str(error.reason)
