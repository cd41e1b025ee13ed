"""Targets that are not watched: whatever has a /scale subresource is read there.

Deployments and StatefulSets are watched where that is allowed. Other kinds are not, because that would need list and watch on kinds that are known only from a scaler's spec; their /scale
is read instead, at most every few seconds. A kind's plural comes from API discovery, and is remembered.
"""

import asyncio
from collections.abc import Collection
from typing import Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException

from brownout.api.resources import Key
from brownout.api.scaler import ScaleTargetRef
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import StoredScaler
from brownout.observe.facts import TargetFact
from brownout.observe.selectors import parse

WELL_KNOWN = {("apps/v1", "Deployment"): "deployments", ("apps/v1", "StatefulSet"): "statefulsets"}
TTL_SECONDS = 4.0
RETRY_SECONDS = 15.0

Target = TargetFact | Missing


def watched_target(scaler: StoredScaler, targets: dict[tuple[str, Key], TargetFact]) -> Target:
    """The Deployment or StatefulSet that a scaler names, among those that are watched (by kind and key)."""
    ref, namespace = scaler.spec.scale_target_ref, scaler.key.namespace
    found = targets.get((ref.kind, Key(namespace, ref.name)))
    if found is not None:
        return found
    existing = sorted(key.name for kind, key in targets if kind == ref.kind and key.namespace == namespace)
    return Missing(
        f"InferenceScaler {scaler.key}: spec.scaleTargetRef.name: no {ref.kind} {ref.name!r} in {namespace}; "
        f"write the name of one that exists ({', '.join(existing[:5]) or 'none'}), or create it"
    )


class ScaleReader:
    """Reads /scale of kinds that are not watched, each at most every few seconds. `watched` are those that are."""

    def __init__(self, client: ApiClient, *, watched: Collection[str]) -> None:
        self._objects = CustomObjectsApi(client)
        self._watched = {(api_version, kind) for api_version, kind in WELL_KNOWN if kind in watched}
        self._plurals = dict(WELL_KNOWN)
        self._known: dict[Key, tuple[float, ScaleTargetRef, Target]] = {}

    async def read_all(self, scalers: list[StoredScaler], *, now: float) -> dict[Key, Target]:
        """What stands behind each scaler whose target is not watched, by the scaler's key."""
        wanted = [s for s in scalers if not self._is_watched(s.spec.scale_target_ref)]
        self._known = {key: known for key, known in self._known.items() if key in {s.key for s in wanted}}
        found = await asyncio.gather(*(self._read_cached(scaler, now=now) for scaler in wanted))
        return {scaler.key: target for scaler, target in zip(wanted, found, strict=True)}

    def _is_watched(self, ref: ScaleTargetRef) -> bool:
        return (ref.api_version, ref.kind) in self._watched

    async def _read_cached(self, scaler: StoredScaler, *, now: float) -> Target:
        known = self._known.get(scaler.key)
        if known and now < known[0] and known[1] == scaler.spec.scale_target_ref:
            return known[2]
        target = await self._read(scaler)
        lasts = RETRY_SECONDS if isinstance(target, Missing) else TTL_SECONDS
        self._known[scaler.key] = (now + lasts, scaler.spec.scale_target_ref, target)
        return target

    async def _read(self, scaler: StoredScaler) -> Target:
        ref, where = scaler.spec.scale_target_ref, f"InferenceScaler {scaler.key}: spec.scaleTargetRef"
        group, slash, version = ref.api_version.partition("/")
        if not slash:
            return Missing(
                f"{where}.apiVersion: {ref.api_version} has no kinds that we scale; write one such as apps/v1"
            )
        try:
            plural = await self.plural(ref)
            if plural is None:
                return Missing(
                    f"{where}.kind: {ref.api_version} has no kind {ref.kind} with a /scale; write one that has"
                )
            scale: Any = await self._objects.get_namespaced_custom_object_scale(
                group, version, scaler.key.namespace, plural, ref.name, _request_timeout=5.0
            )
        except ApiException as error:
            return Missing(_refusal(scaler, error.status))
        except Exception as error:  # the API server is away, or too slow
            return Missing(f"{where}: /scale of {ref.kind} {ref.name} cannot be read ({type(error).__name__})")
        return _fact(scaler, scale)

    async def plural(self, ref: ScaleTargetRef) -> str | None:
        """The plural of a kind that has a /scale; None where there is none. Raises ApiException."""
        group, _, version = ref.api_version.partition("/")
        if (ref.api_version, ref.kind) not in self._plurals:
            listed: Any = await self._objects.get_api_resources(group, version, _request_timeout=5.0)
            names = {resource.name for resource in listed.resources}
            for resource in listed.resources:
                if resource.kind == ref.kind and f"{resource.name}/scale" in names:
                    self._plurals[ref.api_version, ref.kind] = resource.name
        return self._plurals.get((ref.api_version, ref.kind))


def _refusal(scaler: StoredScaler, status: int) -> str:
    ref, namespace = scaler.spec.scale_target_ref, scaler.key.namespace
    where = f"InferenceScaler {scaler.key}: spec.scaleTargetRef"
    match status:
        case 404:
            return f"{where}.name: no {ref.kind} {ref.name!r} in {namespace}; write the name of one that exists, or create it"
        case 403:
            return f"{where}: the operator may not read /scale of {ref.kind}; list the kind in the chart's scaleTargets"
        case _:
            return f"{where}: /scale of {ref.kind} {ref.name} cannot be read (HTTP {status})"


def _fact(scaler: StoredScaler, scale: dict[str, Any]) -> Target:
    ref, where = scaler.spec.scale_target_ref, f"InferenceScaler {scaler.key}: spec.scaleTargetRef"
    selector = (scale.get("status") or {}).get("selector")
    if not selector:
        return Missing(f"{where}: /scale of {ref.kind} {ref.name} names no selector, so its pods cannot be counted")
    try:
        return TargetFact(
            key=Key(scaler.key.namespace, ref.name),
            replicas=int((scale.get("spec") or {}).get("replicas") or 0),
            selector=parse(selector),
            requests=None,
        )
    except ValueError as error:
        return Missing(f"{where}: /scale of {ref.kind} {ref.name}: {error}")
