"""What scalers scale: the workloads, their pods, whoever else scales them, and the Events about any of it."""

from datetime import UTC, datetime
from typing import Any

from brownout.api.resources import Key, Stored
from brownout.api.scaler import ScaleTargetRef
from brownout.cli.diagnosing.api import Api, RefusedError
from brownout.cli.diagnosing.found import Body, Found
from brownout.cli.diagnosing.parts import Gathering

MOST_PODS = 500
MOST_EVENTS = 2000
AUTOSCALERS = (
    "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects",
)


async def workloads(to: Gathering) -> None:
    """Each scaler's target with its pods; autoscalers and Events of the namespaces that have scalers or policies."""
    plurals: dict[tuple[str, str], str] = {}
    try:
        for scaler in to.found.objects.get("InferenceScaler", ()):
            if isinstance(scaler, Stored):
                try:
                    await _target(to, scaler.key, scaler.spec.scale_target_ref, plurals)
                except RefusedError as error:
                    to.lacking("workloads", error)
        for namespace in sorted(namespaces(to.found)):
            await _others(to, namespace)
            await _events(to, namespace)
    finally:  # also where time is up
        to.bundle.objects("workloads/targets.yaml", to.found.targets.values())
        to.bundle.objects("workloads/pods.yaml", to.found.pods)
        to.bundle.objects("workloads/autoscalers.yaml", to.found.autoscalers)
        to.bundle.objects("events.yaml", to.found.events)


def namespaces(found: Found) -> set[str]:
    """Where there is anything of ours."""
    return {b["metadata"]["namespace"] for of in found.bodies.values() for b in of if "namespace" in b["metadata"]}


async def _target(to: Gathering, key: Key, ref: ScaleTargetRef, plurals: dict[tuple[str, str], str]) -> None:
    base = f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"
    plural = await _plural(to.api, base, ref, plurals)
    body: Body = await to.api.get(f"{base}/namespaces/{key.namespace}/{plural}/{ref.name}")
    to.found.targets[key] = body
    selector = ((body.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    if selector and len(to.found.pods) < MOST_PODS:
        labels = ",".join(f"{name}={value}" for name, value in sorted(selector.items()))
        to.found.pods += await to.api.list(f"/api/v1/namespaces/{key.namespace}/pods", labelSelector=labels)


async def _plural(api: Api, base: str, ref: ScaleTargetRef, known: dict[tuple[str, str], str]) -> str:
    if (ref.api_version, ref.kind) not in known:
        served: Any = await api.get(base)
        names = [
            one["name"] for one in served.get("resources", ()) if one["kind"] == ref.kind and "/" not in one["name"]
        ]
        if not names:
            raise RefusedError(f"{base}: there is no kind {ref.kind}")
        known[ref.api_version, ref.kind] = names[0]
    return known[ref.api_version, ref.kind]


async def _others(to: Gathering, namespace: str) -> None:
    for path in AUTOSCALERS:
        try:
            to.found.autoscalers += await to.api.list(path.format(namespace))
        except RefusedError as error:
            if error.status != 404:  # KEDA is not there
                to.lacking("autoscalers", error)


async def _events(to: Gathering, namespace: str) -> None:
    """Those that are young enough and about what is looked at, the newest first."""
    try:
        events = await to.api.list(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    except RefusedError as error:
        to.lacking("events", error)
        return
    oldest = to.found.now - to.asked.since_seconds
    names = _names(to.found)
    kept = [one for one in events if moment(one) >= oldest and (one.get("regarding") or {}).get("name") in names]
    to.found.events += sorted(kept, key=moment, reverse=True)[:MOST_EVENTS]


def _names(found: Found) -> set[str]:
    bodies = [*found.targets.values(), *found.pods, *(body for of in found.bodies.values() for body in of)]
    names = {body["metadata"]["name"] for body in bodies}
    owners = (owner for pod in found.pods for owner in pod["metadata"].get("ownerReferences") or ())
    return names | {owner["name"] for owner in owners}


def moment(event: Body) -> float:
    """When it last happened, in Unix seconds; 0 where it does not say."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime") or ""
    text = text or event["metadata"].get("creationTimestamp") or ""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError:
        return 0.0
