"""Kubernetes Events: one for each changed decision, so that `kubectl describe` tells the story.

They are posted in the background: a slow API server delays no tick. What does not fit in the queue is dropped and counted; a
sentence that was said of the same object a short while ago is not said again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.api.schema import API_VERSION
from brownout.decide.outcome import Note
from brownout.rest import JSON_BOTH_WAYS, send

log = logging.getLogger(__name__)

QUEUE = 1000
AGAIN_SECONDS = 300.0
LONGEST_NOTE = 1000
POST_SECONDS = 5.0
COMPONENT = "brownout.dev/operator"
DECISION_ANNOTATION = "brownout.dev/decision"
"""On an Event: the id of the tick that decided, which every line of its log has."""


class Said(Struct, frozen=True):
    """A note, and the uid of the object that it is about; `api_version` is that of its kind. `decision`: the id of the tick."""

    note: Note
    uid: str
    api_version: str = API_VERSION
    decision: str = ""


class Events:
    """Posts notes as Events. Start `run` as a task; `post` never waits."""

    def __init__(self, client: ApiClient, *, instance: str, on_drop: Callable[[], None]) -> None:
        self._client = client
        self._instance = instance
        self._on_drop = on_drop
        self._queue: asyncio.Queue[Said] = asyncio.Queue(QUEUE)
        self._said: dict[tuple[str, str, str], float] = {}

    def post(self, said: Iterable[Said]) -> None:
        """Queue what has not been said of the same object a short while ago."""
        now = time.monotonic()
        self._said = {what: at for what, at in self._said.items() if now - at < AGAIN_SECONDS}
        for one in said:
            what = (one.uid, one.note.reason, one.note.message)
            if what in self._said:
                continue
            try:
                self._queue.put_nowait(one)
            except asyncio.QueueFull:
                self._on_drop()
            else:
                self._said[what] = now

    async def run(self) -> None:
        """Post for ever."""
        while True:
            said = await self._queue.get()
            try:
                await self._create(event(said, at=datetime.now(UTC), instance=self._instance))
            except Exception as error:
                self._on_drop()
                log.debug(
                    "event about %s %s not posted: %s",
                    said.note.kind,
                    said.note.key,
                    error,
                    extra={"decision": said.decision} if said.decision else {},
                )
            finally:
                self._queue.task_done()

    async def flush(self, timeout_seconds: float) -> None:
        """Wait until everything queued is posted, or for so long."""
        try:
            await asyncio.wait_for(self._queue.join(), timeout_seconds)
        except TimeoutError:
            log.debug("events left unposted: %s", self._queue.qsize())

    async def _create(self, document: dict[str, Any]) -> None:
        namespace = document["metadata"]["namespace"]
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        response = await send(
            self._client, "POST", path, headers=JSON_BOTH_WAYS, body=document, timeout_seconds=POST_SECONDS
        )
        if response.status >= 300:
            raise RuntimeError(f"HTTP {response.status}")


def event(said: Said, *, at: datetime, instance: str) -> dict[str, Any]:
    """A note as an Event of events.k8s.io/v1. Those about cluster-scoped objects live in `default`, as Kubernetes has it."""
    note = said.note
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{note.key.name[:200]}.{uuid4().hex[:16]}",
            "namespace": note.key.namespace or "default",
            **({"annotations": {DECISION_ANNOTATION: said.decision}} if said.decision else {}),
        },
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": COMPONENT,
        "reportingInstance": instance[:128],
        "action": "Decide",
        "reason": str(note.reason)[:128],
        "type": "Warning" if note.warning else "Normal",
        "note": note.message[:LONGEST_NOTE],
        "regarding": {
            "apiVersion": said.api_version,
            "kind": note.kind,
            "name": note.key.name,
            **({"namespace": note.key.namespace} if note.key.namespace else {}),
            "uid": said.uid,
        },
    }
