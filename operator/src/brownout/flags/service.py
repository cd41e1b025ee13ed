"""Objects in, sets out: hears what the watches say, renders what changed, puts it on the board and on disk.

One task renders. However many events come, it looks once at what is believed then; it also looks when an override ends or
something that had disappeared is to be believed, so that neither needs the operator or the API server.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import InvalidObject, Key
from brownout.api.tier import USER_TIER
from brownout.flags.beliefs import KINDS, Beliefs, Kind
from brownout.flags.board import Board
from brownout.flags.metrics import Heard, Metrics
from brownout.flags.render import FlagSet, render
from brownout.flags.snapshot import Objects, Writer, read
from brownout.flags.watch import Found, Part

LONGEST_NAP_SECONDS = 5.0
"""Wall clocks jump: the end of an override is looked for at least this often."""

MOST_DECISIONS_SAID = 20
"""Ids of ticks in a line of the log."""

log = logging.getLogger(__name__)


class Service:
    """The listener of every watch, and the one that publishes."""

    def __init__(
        self,
        *,
        board: Board,
        metrics: Metrics,
        namespaces: Sequence[str],
        snapshot_dir: Path | None,
        empty_believed_after: float,
        heard_from: Heard | None = None,
        believed: Sequence[Callable[[str, Objects], None]] = (),
    ) -> None:
        """Each of `believed` is told the objects of a namespace whenever they have changed."""
        self.board = board
        self.metrics = metrics
        self.heard_from = heard_from or Heard()
        self.parts = [Part(kind, namespace) for kind in KINDS for namespace in namespaces or [""]]
        self._namespaces = list(namespaces)
        self._snapshot_dir = snapshot_dir
        self._believed = believed
        self._beliefs = {one: Beliefs(empty_believed_after=empty_believed_after) for one in namespaces or [""]}
        self._awake = asyncio.Event()
        self._rendered: dict[str, tuple[Objects, float | None]] = {}
        self.restored = False
        self._lost: set[Part] = set()
        self.writer = Writer(snapshot_dir, self._snapshot_failed) if snapshot_dir else None
        for part in self.parts:
            self.heard_from.expect(part)
            metrics.missing.labels(part.resource.plural).set(0)
        metrics.sync_age.set_function(lambda: -1.0 if (age := self.heard_from.age_seconds()) is None else age)

    # What the watches say

    def listed(self, part: Part, objects: list[Found]) -> None:
        self.heard(part)
        for invalid in self._kind(part).replace(objects, time.monotonic()):
            self._unreadable(part, invalid)
        log.info("listed", extra={"kind": part.resource.plural, "namespace": part.namespace, "objects": len(objects)})
        self._awake.set()

    def changed(self, part: Part, found: Found) -> None:
        self._kind(part).put(found)
        if isinstance(found, InvalidObject):
            self._unreadable(part, found)
        self._awake.set()

    def deleted(self, part: Part, key: Key) -> None:
        self._kind(part).drop(key, time.monotonic())
        self._awake.set()

    def heard(self, part: Part) -> None:
        self.heard_from.now(part)
        if part in self._lost:
            self._lost.remove(part)
            log.info("API server back", extra={"kind": part.resource.plural, "namespace": part.namespace})

    def lost(self, part: Part, reason: str) -> None:
        self._kind(part).lost(time.monotonic())
        self.board.asked_in_vain(part.namespace)
        self.metrics.sync_errors.labels(part.resource.plural).inc()
        if part not in self._lost:
            self._lost.add(part)
            extra = {"kind": part.resource.plural, "namespace": part.namespace, "reason": reason}
            log.warning("API server lost, serving what is known", extra=extra)

    def _kind(self, part: Part) -> Kind:
        return self._beliefs[part.namespace].kinds[part.resource.plural]

    def _unreadable(self, part: Part, invalid: InvalidObject) -> None:
        self.metrics.unreadable.labels(part.resource.plural).inc()
        known = invalid.key not in self._kind(part).unknown
        sentence = "its last readable state stays" if known else "and never could, so that nothing is known of it"
        log.error(f"object cannot be read, {sentence}", extra={"reason": invalid.message})

    # What is made of it

    def restore(self) -> None:
        """Serve what is on disk, until the API server has been heard."""
        if self._snapshot_dir is None:
            return
        self._snapshot_dir.mkdir(parents=True, exist_ok=True)
        found = read(self._snapshot_dir, namespaces=self._namespaces, failed=partial(self._snapshot_failed, "read"))
        for plural, objects in found.items():
            for watched, beliefs in self._beliefs.items():
                beliefs.remember(plural, [each for each in objects if watched in ("", each.key.namespace)])
        self.restored = any(found.values())
        if self.restored:
            self.publish()
            log.info("serving from the snapshot", extra={"namespaces": self.board.namespaces()})

    def publish(self) -> float:
        """Bring the board up to date. Returns seconds until it is to be looked at again."""
        judge_again = [due for each in self._beliefs.values() if (due := each.judge(time.monotonic())) is not None]
        for kind in KINDS:
            missing = any(each.kinds[kind.plural].missing for each in self._beliefs.values())
            self.metrics.missing.labels(kind.plural).set(missing)
        self._withhold()
        now = time.time()
        moments = [LONGEST_NAP_SECONDS, *(due - time.monotonic() for due in judge_again)]
        for watched, beliefs in self._beliefs.items():
            for namespace, objects in self._by_namespace(watched, beliefs).items():
                if namespace in self.board.withheld:
                    continue
                changes_at = self._render(namespace, objects, now, known=beliefs.listed)
                moments += [] if changes_at is None else [changes_at - now]
            if beliefs.listed:
                self.board.completed(watched)
        return max(0.0, min(moments))

    def _withhold(self) -> None:
        """Serve nothing of a namespace that has no set yet and has an object of which nothing is known."""
        unknown = {
            namespace: objects
            for beliefs in self._beliefs.values()
            for namespace, objects in beliefs.unknown().items()
            if self.board.get(namespace) is None
        }
        for namespace in unknown.keys() - self.board.withheld:
            extra = {"namespace": namespace, "objects": unknown[namespace]}
            log.error("a namespace is not served until these can be read: nothing is known of them", extra=extra)
        self.board.withhold(unknown)
        self.metrics.withheld.set(len(unknown))

    def _by_namespace(self, watched: str, beliefs: Beliefs) -> dict[str, Objects]:
        """What is believed of what is watched at once, by namespace and kind. A namespace that has been served goes on being served.

        Before the kinds have been listed only what the snapshot has: of another namespace nothing is known, not even nothing.
        """
        believed = {kind.plural: beliefs.by_namespace(kind.plural) for kind in KINDS}
        namespaces = {*believed[FEATURE_POLICY.plural], *believed[USER_TIER.plural]}
        if beliefs.listed:
            namespaces |= {watched} if watched else {*self.board.namespaces()}
        return {
            namespace: {plural: found.get(namespace, []) for plural, found in believed.items()}
            for namespace in sorted(namespaces)
        }

    def _render(self, namespace: str, objects: Objects, now: float, *, known: bool) -> float | None:
        """Render and publish one namespace, if need be. Returns when its set changes by itself (Unix seconds).

        known: its objects are those of the API server, and to be kept.
        """
        before, changes_at = self._rendered.get(namespace, (None, None))
        if before == objects and (changes_at is None or now < changes_at):
            return changes_at
        served = self.board.get(namespace)
        try:
            flag_set = render(
                namespace,
                policies=objects[FEATURE_POLICY.plural],
                tiers=objects[USER_TIER.plural],
                overrides=objects[FEATURE_OVERRIDE.plural],
                now=now,
                before=served.flag_set if served is not None else None,
            )
            changed = self.board.publish(flag_set)
        except Exception:  # one namespace's trouble is not another's, and the last good set goes on being served
            self.metrics.renders.labels("failed").inc()
            log.exception("a namespace could not be rendered, its last set stays", extra={"namespace": namespace})
            return None
        self._rendered[namespace] = (objects, flag_set.changes_at)
        for tell in self._believed:
            tell(namespace, objects)
        self.metrics.renders.labels("changed" if changed else "unchanged").inc()
        if changed:
            self._say(flag_set, served.flag_set if served is not None else None)
        if self.writer is not None and known:
            self.writer.keep(namespace, objects)
        return flag_set.changes_at

    def _say(self, flag_set: FlagSet, before: FlagSet | None) -> None:
        self.metrics.set_info.clear()
        for namespace, version in self.board.versions().items():
            self.metrics.set_info.labels(namespace, version).set(1)
        self.metrics.sets.set(len(self.board.namespaces()))
        decisions = decisions_behind(flag_set, before)
        log.info(
            "serving",
            extra={"namespace": flag_set.namespace, "version": flag_set.version}
            | ({"decisions": decisions[:MOST_DECISIONS_SAID]} if decisions else {}),
        )

    def _snapshot_failed(self, operation: str, sentence: str) -> None:
        self.metrics.snapshot_errors.labels(operation).inc()
        log.error("snapshot", extra={"operation": operation, "reason": sentence})

    async def run(self) -> None:
        """Publish whenever something may have changed. Ends only by being cancelled."""
        while True:
            self._awake.clear()
            nap = self.publish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(nap):
                    await self._awake.wait()


def decisions_behind(flag_set: FlagSet, before: FlagSet | None) -> list[str]:
    """The ids of the operator's ticks that made what is new in a set, as the statuses of its policies name them."""
    known = {} if before is None else before.parts
    new = (part.policy.status.decision for key, part in flag_set.parts.items() if known.get(key) is not part)
    return sorted({decision for decision in new if decision})
