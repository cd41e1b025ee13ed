"""Writing replicas: one field of one subresource, by merge patch, after a fresh look.

The look tells whether somebody else moved the number since it was decided upon; then this tick's decision rests on a world
that is gone, and is dropped. The write names the version that was looked at, so that it is refused where anything changed since,
however late it arrives. What cannot be written comes back as a sentence for the scaler's condition; nothing here raises.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Struct

from brownout import rest
from brownout.api.resources import Key
from brownout.api.scaler import ScaleTargetRef
from brownout.decide.outcome import ScalePlan

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 16
TIMEOUT_SECONDS = 5.0


class Written(Struct, frozen=True):
    """Replicas that were written."""

    key: Key
    from_replicas: int
    to_replicas: int


class NotWritten(Struct, frozen=True):
    """A write that did not happen: `failed` where something is wrong, not where the decision was merely out of date."""

    key: Key
    message: str
    failed: bool = True


Result = Written | NotWritten


class ScaleWriter:
    """Carries out decisions about replicas. `plural` finds the plural of a target's kind; None where it has no /scale."""

    def __init__(self, client: ApiClient, *, plural: Callable[[ScaleTargetRef], Awaitable[str | None]]) -> None:
        self._objects = CustomObjectsApi(client)
        self._plural = plural
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def carry_out(self, plans: Iterable[tuple[ScalePlan, ScaleTargetRef]]) -> list[Result]:
        """Write what the plans say to write and is not so already."""
        due = [(plan, ref) for plan, ref in plans if plan.write and plan.replicas != plan.current]
        return list(await asyncio.gather(*(self._write(plan, ref) for plan, ref in due)))

    async def _write(self, plan: ScalePlan, ref: ScaleTargetRef) -> Result:
        where = f"InferenceScaler {plan.key}: {ref.kind} {ref.name}"
        async with self._in_flight:
            try:
                return await self._look_and_write(plan, ref, where)
            except ApiException as error:
                return NotWritten(plan.key, f"{where}: {_words(error.status, plan, ref)}", failed=error.status != 409)
            except TimeoutError:
                return NotWritten(plan.key, f"{where}: the API server did not answer within {TIMEOUT_SECONDS:g} s")
            except Exception as error:
                log.exception("scaling %s", plan.key)
                return NotWritten(plan.key, f"{where}: replicas cannot be written ({type(error).__name__})")

    async def _look_and_write(self, plan: ScalePlan, ref: ScaleTargetRef, where: str) -> Result:
        group, _, version = ref.api_version.partition("/")
        plural = await self._plural(ref)
        if plural is None:
            return NotWritten(plan.key, f"{where}: {ref.api_version} {ref.kind} has no /scale")
        place = (group, version, plan.key.namespace, plural, ref.name)
        scale: Any = await self._objects.get_namespaced_custom_object_scale(*place, _request_timeout=TIMEOUT_SECONDS)
        replicas = int((scale.get("spec") or {}).get("replicas") or 0)
        if replicas == plan.replicas:
            return NotWritten(plan.key, f"{where} has {replicas} replicas already", failed=False)
        if replicas != plan.current:
            return NotWritten(
                plan.key,
                f"{where} went from {plan.current} to {replicas} replicas while {plan.replicas} were decided; left for the next tick",
                failed=False,
            )
        looked_at = {"resourceVersion": (scale.get("metadata") or {}).get("resourceVersion")}
        await self._objects.patch_namespaced_custom_object_scale(
            *place,
            {"metadata": looked_at, "spec": {"replicas": plan.replicas}},
            field_manager="brownout",
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT_SECONDS,
        )
        return Written(plan.key, replicas, plan.replicas)


def _words(status: int, plan: ScalePlan, ref: ScaleTargetRef) -> str:
    """What an HTTP status of the API server means for a write to /scale, and what to do about it."""
    match status:
        case rest.NOT_SENT:
            return "left to the operator that leads; the lease of this one may have run out"
        case 403:
            return (
                f"the operator may not write its /scale (HTTP 403); list {ref.kind} in the chart's scaleTargets, "
                f"or see whether an admission policy forbids {plan.replicas} replicas"
            )
        case 404:
            return f"gone while {plan.replicas} replicas were decided (HTTP 404)"
        case 409:
            return "changed at the same moment (HTTP 409); tried again at the next tick"
        case 422:
            return f"does not take {plan.replicas} replicas (HTTP 422); mend minReplicas or maxReplicas"
        case 429 | 500 | 503 | 504:
            return f"the API server does not take replicas now (HTTP {status}); tried again at the next tick"
        case _:
            return f"replicas cannot be written (HTTP {status})"
