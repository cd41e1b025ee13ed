"""Writes the `FeatureFlag` resource of each namespace by server-side apply, in the background; the tick never waits for it.

It fights nobody. A resource without our label is somebody else's and is left alone, also one that appears while ours is being made;
fields that somebody else owns are not forced, and then the whole resource stays as it is. Either is said in a metric, the log and an
Event. Nothing is ever deleted: a client that finds no flags serves its own defaults. Where the kind is not served it is looked for
again, and so is whether a resource is still as it was written.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.outcome import Note
from brownout.decide.snapshot import Snapshot
from brownout.flags.render import FlagSet
from brownout.publish.events import Events, Said
from brownout.publish.feature_flag import (
    API_VERSION,
    GROUP,
    KIND,
    PLURAL,
    US,
    VERSION,
    Body,
    Found,
    State,
    document,
    found,
    nothing,
)
from brownout.publish.flag_sets import FlagSets
from brownout.rest import JSON, send

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
"""How often it is looked whether everything is still as it was written."""
TIMEOUT_SECONDS = 10.0
ATTEMPTS = 3
"""How often an object that changed between the look and the write is looked at again."""
NO_KIND = f"the kind {KIND} ({API_VERSION}) is not served; install the OpenFeature operator's definitions"
METADATA_ALONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Outcome(Struct, frozen=True):
    """What became of one namespace, and in words where it is not as it should be. uid: of the resource, if there is one."""

    state: State
    message: str = ""
    uid: str = ""


class _Answer(Struct, frozen=True):
    status: int
    body: Body


class FeatureFlags:
    """Give it snapshots with `offer`, and start `run` as a task. `name`: of the resource in each namespace."""

    def __init__(
        self,
        client: ApiClient,
        *,
        name: str,
        events: Events,
        clock: Callable[[], float],
        on_outcome: Callable[[Mapping[str, State]], None],
        on_write: Callable[[], None],
    ) -> None:
        self._client = client
        self._name = name
        self._events = events
        self._clock = clock
        self._on_outcome = on_outcome
        self._on_write = on_write
        self._sets = FlagSets()
        self._snapshot: Snapshot | None = None
        self._awake = asyncio.Event()
        self._written: dict[str, Found] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._with_metadata = True

    def offer(self, snapshot: Snapshot) -> None:
        """The newest snapshot. Returns at once."""
        self._snapshot = snapshot
        self._awake.set()

    async def run(self) -> None:
        """Write for ever. Ends only by being cancelled."""
        looked_at = -LOOK_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._awake.wait()
            self._awake.clear()
            look = time.monotonic() - looked_at >= LOOK_SECONDS
            looked_at = time.monotonic() if look else looked_at
            try:
                await self._round(look_at_all=look)
            except Exception:  # serving does not rest on this, and the next round begins anew
                log.exception("the FeatureFlag resources could not be brought up to date")

    async def _round(self, *, look_at_all: bool) -> None:
        """Bring up to date what changed, or everything."""
        if self._snapshot is None:
            return
        sets = self._sets.of(self._snapshot, now=self._clock(), monotonic=time.monotonic())
        self._outcomes = {name: outcome for name, outcome in self._outcomes.items() if name in sets}
        no_kind = False
        for namespace, flag_set in sorted(sets.items()):
            before = self._written.get(namespace)
            known = namespace in self._outcomes
            if known and not look_at_all and (before is None or before.version == flag_set.version):
                continue
            outcome = Outcome(State.NO_KIND, NO_KIND) if no_kind else await self._bring(flag_set)
            no_kind = outcome.state is State.NO_KIND
            self._tell(namespace, outcome)
        self._on_outcome({namespace: outcome.state for namespace, outcome in self._outcomes.items()})

    async def _bring(self, flag_set: FlagSet) -> Outcome:
        """Look, and write if need be."""
        try:
            for _ in range(ATTEMPTS):
                outcome = await self._try(flag_set)
                if outcome is not None:
                    break
            else:
                outcome = Outcome(State.FAILED, f"changed {ATTEMPTS} times between a look and a write")
        except Exception as error:
            outcome = Outcome(State.FAILED, f"the API server did not answer ({type(error).__name__})")
        if outcome.state is not State.WRITTEN:
            self._written.pop(flag_set.namespace, None)
        return outcome

    async def _try(self, flag_set: FlagSet) -> Outcome | None:
        """One look and one write; None where the object changed in between."""
        looked = await self._ask("GET", flag_set.namespace)
        if looked.status == 404 and not (looked.body.get("details") or {}).get("name"):
            return Outcome(State.NO_KIND, NO_KIND)
        if looked.status not in (200, 404):
            return _failed(looked)
        onto = found(looked.body["metadata"]) if looked.status == 200 else None
        if onto is not None and not onto.ours:
            return self._not_ours(onto)
        if onto is not None and onto == self._written.get(flag_set.namespace) and onto.version == flag_set.version:
            return Outcome(State.WRITTEN)
        wrote = await self._apply(flag_set, onto)
        if wrote.status == 409:
            return _conflict(wrote, onto)
        if wrote.status not in (200, 201):
            return _failed(wrote)
        stands = found(wrote.body["metadata"])
        if onto is None and wrote.status == 200:  # somebody made one while we looked
            await self._ask("PATCH", flag_set.namespace, nothing(flag_set.namespace, self._name, onto=stands))
            return None
        self._written[flag_set.namespace] = stands
        if onto is None or onto.resource_version != stands.resource_version:
            self._on_write()
        return Outcome(State.WRITTEN)

    async def _apply(self, flag_set: FlagSet, onto: Found | None) -> _Answer:
        def wanted() -> Body:
            return document(flag_set, self._name, onto=onto, with_metadata=self._with_metadata)

        answer = await self._ask("PATCH", flag_set.namespace, wanted())
        if self._with_metadata and answer.status >= 400 and "field not declared in schema" in _said(answer):
            self._with_metadata = False
            log.info("the %s kind declares no metadata; flags are written without it", KIND)
            answer = await self._ask("PATCH", flag_set.namespace, wanted())
        return answer

    def _not_ours(self, onto: Found) -> Outcome:
        return Outcome(
            State.NOT_OURS,
            f"{KIND} {self._name} is not ours: it lacks the label app.kubernetes.io/managed-by={US}, and is left as it is; "
            f"delete it, or give ours another name",
            onto.uid,
        )

    def _tell(self, namespace: str, outcome: Outcome) -> None:
        """Log a change, and post an Event about a resource that stays as somebody else wants it."""
        before = self._outcomes.get(namespace)
        self._outcomes[namespace] = outcome
        if before == outcome or (before is None and outcome.state is State.WRITTEN):
            return
        key = Key(namespace, self._name)
        if outcome.state is State.WRITTEN:
            log.info("written again", extra={"kind": KIND, "object": str(key)})
            return
        log.warning(outcome.message, extra={"kind": KIND, "object": str(key), "reason": str(outcome.state)})
        if outcome.uid:
            reason = Reason.NOT_OURS if outcome.state is State.NOT_OURS else Reason.OWNED_BY_OTHERS
            note = Note(kind=KIND, key=key, reason=reason, message=outcome.message, warning=True)
            self._events.post([Said(note, outcome.uid, API_VERSION)])

    async def _ask(self, verb: str, namespace: str, body: Body | None = None) -> _Answer:
        """A GET of the metadata, or an apply without force."""
        response = await send(
            self._client,
            verb,
            f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{self._name}",
            query=[("fieldManager", US)] if body else [],
            headers=JSON | {"Content-Type": "application/apply-patch+yaml"} if body else {"Accept": METADATA_ALONE},
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        return _Answer(response.status, response.document)


def _said(answer: _Answer) -> str:
    return str(answer.body.get("message", ""))


def _conflict(answer: _Answer, onto: Found | None) -> Outcome | None:
    """Of fields that another manager owns; None where the object was another one than the one looked at."""
    causes = (answer.body.get("details") or {}).get("causes") or []
    owned = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if not owned:
        return None
    first = f"{owned[0].get('message', '')}: {owned[0].get('field', '')}"
    more = f" and {len(owned) - 1} more" if len(owned) > 1 else ""
    message = f"somebody else owns fields of it, so it stays as it is ({first}{more}); let them go, or delete it"
    return Outcome(State.CONFLICT, message, onto.uid if onto else "")


def _failed(answer: _Answer) -> Outcome:
    grant = "; the chart grants it where operator.featureFlag is set" if answer.status == 403 else ""
    return Outcome(State.FAILED, f"HTTP {answer.status}: {_said(answer)[:500]}{grant}")
