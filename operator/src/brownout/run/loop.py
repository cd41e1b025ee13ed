"""The loop: look, decide, act, publish; again when something changed, or after a while.

One loop over one snapshot, so that scalers can be weighed against each other. It decides nothing itself. What goes wrong with one
object is that object's condition; what goes wrong with a tick is logged and counted, and the next tick starts from the same memory.
What could not be written of a policy has not happened: users have what its status says, and the next tick starts from that.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator

from msgspec import structs

from brownout.act.scale import Result, ScaleWriter, Written
from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.memory import Memory
from brownout.decide.moments import moved_by
from brownout.decide.outcome import Plan, ScalePlan, Verdict
from brownout.decide.snapshot import Snapshot
from brownout.decide.tick import plan as decide
from brownout.decide.unwritten import forgotten, memory_without, plan_without
from brownout.logs import DECISION
from brownout.observe.observer import Observer
from brownout.publish.apply import StatusWriter
from brownout.publish.decisions import Decisions
from brownout.publish.events import Events, Said
from brownout.publish.feature_flags import FeatureFlags
from brownout.publish.metrics import Metrics
from brownout.publish.updates import other_updates, policy_updates, uids
from brownout.run.clock import AGREED_SECONDS, Clock
from brownout.run.collector import spare_what_stays
from brownout.run.health import Health
from brownout.run.rivals import Rivals
from brownout.run.waiting import first_of, unless

log = logging.getLogger(__name__)

LEAST_PAUSE_SECONDS = 0.3
"""Changes come in bursts (a Deployment's pods); what comes within this is one tick. A pause also lasts as long as the tick
before it did, so that no cluster is busy enough to have us ask without a pause."""


class Loop:
    """Everything a tick needs. `wake` is set when something changed."""

    def __init__(
        self,
        *,
        clock: Clock,
        observer: Observer,
        scale: ScaleWriter,
        status: StatusWriter,
        events: Events,
        metrics: Metrics,
        health: Health,
        wake: asyncio.Event,
        tick_seconds: float,
        feature_flags: FeatureFlags | None = None,
        may_decide: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._scale = scale
        self._status = status
        self._events = events
        self._metrics = metrics
        self._health = health
        self._wake = wake
        self._tick_seconds = tick_seconds
        self._feature_flags = feature_flags
        self._may_decide = may_decide
        self._decisions = Decisions()
        self._memory = Memory()
        self._not_written: dict[Key, str] = {}
        self._rivals = Rivals()

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set; a tick that only looks is left, and one that has decided is finished."""
        self._health.decides()
        self._metrics.leader.set(1)
        try:
            while not stop.is_set():
                await self._run_once(stop)
        finally:
            self._metrics.leader.set(0)

    async def _run_once(self, stop: asyncio.Event) -> None:
        self._wake.clear()
        began = self._clock.elapsed()
        token, well = DECISION.set(self._decisions.begin()), False
        try:
            with self._metrics.tick_seconds.time():
                await self.tick(stop)
            well = True
            spare_what_stays()
        except Exception:
            self._metrics.tick_errors.inc()
            log.exception("a tick failed; the next one starts anew")
        finally:
            DECISION.reset(token)
        self._health.ticked(well=well)
        self._metrics.last_tick.set(self._clock())
        pause = max(LEAST_PAUSE_SECONDS, self._clock.elapsed() - began)
        await first_of(stop, seconds=pause)
        await first_of(stop, self._wake, seconds=max(0.0, self._tick_seconds - pause))

    async def tick(self, stop: asyncio.Event) -> None:
        """One tick: look, decide, act, publish. Only looks where told to stop meanwhile, or where it may not decide any more."""
        began_at = self._clock.began_at
        if step := self._clock.follow():
            self._memory = moved_by(self._memory, step, since=began_at, now=self._clock())
        looking = self._observer.look(self._clock, elapsed=self._clock.elapsed)
        snapshot = await unless(stop, looking)  # a Prometheus that hangs holds up no end
        if snapshot is None or not self._may_decide():
            return
        if self._feature_flags is not None:
            self._feature_flags.offer(snapshot)
        now, since_boot = self._clock(), self._clock.elapsed()
        if _has_answers(snapshot, since=now - AGREED_SECONDS):
            self._clock.agrees()
        self._rivals.look(_replicas(snapshot), now=since_boot)
        snapshot, before = self._as_written(snapshot, now=since_boot)
        plan, memory = decide(snapshot, before, now)
        policies = list(policy_updates(plan, memory, snapshot, now=now, decisions=self._decisions))
        for key, scaler in plan.scalers.items():
            if scaler.write:
                self._rivals.tries(key, scaler.replicas)
        results, failed = await asyncio.gather(
            self._scale.carry_out(
                (scaler, snapshot.scalers[key].stored.spec.scale_target_ref) for key, scaler in plan.scalers.items()
            ),
            self._status.write(policies, now=since_boot),
        )
        if failed:
            self._decisions.not_made(failed)
            memory = memory_without(memory, before, snapshot, failed)
            plan = plan_without(plan, memory, snapshot, failed)
        self._memory = memory
        self._tell(plan, snapshot, now=since_boot)
        self._heed(results)
        said = self._with_failures(self._with_rivals(plan, snapshot))
        await self._status.write(other_updates(said, self._memory, snapshot, now=now), now=since_boot)
        await self._status.refuse(snapshot.invalid, now=since_boot, wall=now)
        self._metrics.show(snapshot, plan, self._memory)
        self._metrics.show_unwritten(self._status.unwritten.all())

    def _as_written(self, snapshot: Snapshot, *, now: float) -> tuple[Snapshot, Memory]:
        """The snapshot with the policies that cannot be written now, and the memory of what users have.

        A write whose answer was lost may have been taken after all: then status says more than we remember.
        """
        taken = {
            key
            for kind, key in self._status.unwritten.all()
            if kind == "FeaturePolicy"
            and (policy := snapshot.policies.get(key))
            and policy.stored.status.version > self._memory.versions.get(key, 0)
        }
        unwritten = self._status.unwritten.pausing("FeaturePolicy", now=now)
        return structs.replace(snapshot, unwritten=unwritten), forgotten(self._memory, taken)

    def _tell(self, plan: Plan, snapshot: Snapshot, *, now: float) -> None:
        """Logs and Events of what was decided anew, and has been written."""
        known = uids(snapshot)
        if not snapshot.unseen:
            self._status.forget(known, now=now)
            self._decisions.forget({key for kind, key in known if kind == "FeaturePolicy"})
        for note in plan.notes:
            log.info(
                note.message,
                extra={"kind": note.kind, "object": str(note.key), "reason": str(note.reason)},
            )
        for key, policy in plan.policies.items():
            if self._decisions.is_new(policy):
                what = {"kind": "FeaturePolicy", "object": str(key), "policyVersion": policy.version}
                log.info("what is served changes: %s", policy.summary, extra=what)
        self._events.post(
            Said(note, known[note.kind, note.key], decision=self._decisions.current)
            for note in plan.notes
            if (note.kind, note.key) in known
        )

    def _heed(self, results: list[Result]) -> None:
        """Remember what was written, so that it is not decided twice, and what could not be, so that it is said."""
        for result in results:
            if isinstance(result, Written):
                self._metrics.scale_writes.labels("written").inc()
                self._observer.wrote(result.key, result.from_replicas, result.to_replicas, at=self._clock.elapsed())
                self._not_written.pop(result.key, None)
            elif result.failed:
                self._metrics.scale_writes.labels("failed").inc()
                if self._not_written.get(result.key) != result.message:
                    log.error(result.message, extra={"kind": "InferenceScaler", "object": str(result.key)})
                self._not_written[result.key] = result.message
            else:
                self._metrics.scale_writes.labels("out_of_date").inc()
                self._not_written.pop(result.key, None)
                log.info(result.message, extra={"kind": "InferenceScaler", "object": str(result.key)})

    def _with_rivals(self, plan: Plan, snapshot: Snapshot) -> Plan:
        """The plan as it is to be published: a scaler whose replicas somebody else keeps changing is not ready."""
        scalers = dict(plan.scalers)
        for key in self._rivals.contested():
            spec = snapshot.scalers[key].stored.spec
            if spec.mode == "Auto":
                target = f"{spec.scale_target_ref.kind} {spec.scale_target_ref.name}"
                scalers[key] = _not_ready(scalers[key], Reason.CONTESTED, self._rivals.sentence(key, target))
        return structs.replace(plan, scalers=scalers)

    def _with_failures(self, plan: Plan) -> Plan:
        """The plan as it is to be published: a scaler whose replicas could not be written is not ready."""
        scalers = dict(plan.scalers)
        for key, message in list(self._not_written.items()):
            scaler = scalers.get(key)
            if scaler is None or not scaler.write:
                del self._not_written[key]
                continue
            scalers[key] = _not_ready(scaler, Reason.NOT_WRITTEN, message)
        return structs.replace(plan, scalers=scalers)


def _has_answers(snapshot: Snapshot, *, since: float) -> bool:
    """Whether Prometheus has given any `since` then: one that is more than a minute from the clock is none."""
    return any(isinstance(evidence, Sample) and evidence.at >= since for evidence in _answers(snapshot))


def _answers(snapshot: Snapshot) -> Iterator[Evidence]:
    for scaler in snapshot.scalers.values():
        yield from scaler.metrics.values()
    for policy in snapshot.policies.values():
        if not isinstance(policy.offered, Missing):
            yield from policy.offered.values()


def _replicas(snapshot: Snapshot) -> dict[Key, int]:
    """The replicas of each workload that could be read."""
    return {
        key: scaler.workload.replicas
        for key, scaler in snapshot.scalers.items()
        if not isinstance(scaler.workload, Missing)
    }


def _not_ready(scaler: ScalePlan, reason: Reason, message: str) -> ScalePlan:
    """A scaler's plan that says why it is not ready, whatever was said of that before."""
    failed = Verdict(type=Condition.READY, status=False, reason=reason, message=message)
    others = tuple(verdict for verdict in scaler.verdicts if verdict.type is not Condition.READY)
    return structs.replace(scaler, verdicts=(failed, *others))
