"""What looks wrong: rules in the order in which they matter, each a function from what was found to sentences. Pure.

A finding says what was seen and where to look, and never more than was seen: what could not be looked at is told as such.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from brownout.api.generate import definition
from brownout.api.reasons import Condition
from brownout.api.resources import RESOURCES, InvalidObject, Key, Stored
from brownout.api.schema import GROUP
from brownout.cli.diagnosing.found import Body, Found, is_true
from brownout.cli.durations import span

STALE_SECONDS = 60.0
"""No tick for so long: thirty of the usual ones."""

WAITING = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "Unschedulable")
MOST_OF_A_RULE = 8


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that looks wrong, by the rule that saw it."""

    rule: str
    sentence: str


def findings(found: Found) -> list[Finding]:
    """What looks wrong, the gravest first; of one rule a few, and how many more there are."""
    told: list[Finding] = []
    for name, rule in RULES:
        sentences = list(dict.fromkeys(rule(found)))
        told += [Finding(rule=name, sentence=sentence) for sentence in sentences[:MOST_OF_A_RULE]]
        if (more := len(sentences) - MOST_OF_A_RULE) > 0:
            told.append(Finding(rule=name, sentence=f"and {more} more like it; the bundle has all"))
    return told


def definitions_lack(found: Found) -> Iterator[str]:
    """A kind that is not there, not established, or of another version than this command's."""
    ours = {f"{resource.plural}.{GROUP}": definition(resource) for resource in RESOURCES}
    for name, body in sorted(found.definitions.items()):
        if body is None:
            yield f"the kind {name} is not there; install the chart's CustomResourceDefinitions"
        elif not is_true(body, "Established"):
            yield f"the kind {name} is not established; see definitions.yaml"
        elif _schema(body) != _schema(ours[name]):
            yield f"the kind {name} has another schema than brownout {found.cli_version}; upgrade whichever is older"


def nobody_decides(found: Found) -> Iterator[str]:
    """No operator, or none that is ready."""
    if not found.looked_for_processes:
        return
    operators = [one for one in found.processes if one.component == "operator"]
    if not operators:
        yield "no pod of the operator was found; replicas and features stay as they are"
    elif not any(one.ready for one in operators):
        yield f"no pod of the operator is ready: {', '.join(one.name for one in operators)}; see processes/ and logs/"
    if found.processes and not any(one.component == "flags" for one in found.processes):
        yield "no pod of a flag server was found; who evaluates flags gets the defaults of their own code"


def ticks_are_stale(found: Found) -> Iterator[str]:
    """Of several operators one decides: the youngest tick counts."""
    operators = [one for one in found.processes if one.component == "operator" and one.metrics is not None]
    ticks = {one.name: one.number("brownout_last_tick_timestamp_seconds") or 0.0 for one in operators}
    if ticks and (age := found.now - max(ticks.values())) > STALE_SECONDS:
        ended = f"the last tick ended {span(age)} ago" if max(ticks.values()) > 0 else "no tick has ended yet"
        yield f"{ended} ({', '.join(ticks)}); see its log: it says what it waits for"
    for one in operators:
        if errors := one.number("brownout_tick_errors_total"):
            yield f"{errors:.0f} ticks of {one.name} ended in an error; search its log for `a tick failed`"


def processes_suffer(found: Found) -> Iterator[str]:
    """Restarts, and containers that cannot start."""
    for one in found.processes:
        for status in one.statuses:
            if reason := ((status.get("state") or {}).get("waiting") or {}).get("reason"):
                yield f"{one.name}: {status['name']} waits: {reason}"
            if restarts := status.get("restartCount"):
                ended = ((status.get("lastState") or {}).get("terminated") or {}).get("reason", "")
                yield f"{one.name}: {status['name']} was restarted {restarts} times{f' ({ended})' if ended else ''}"
        if one.component == "flags" and (age := one.number("brownout_flags_sync_age_seconds")) is not None:
            if age < 0:
                yield f"{one.name} has never heard the API server"
            elif age > STALE_SECONDS:
                yield f"{one.name} last heard the API server {span(age)} ago, and serves what was known then"
        if one.component == "flags" and one.number("brownout_flags_quota_available") == 0:
            yield f"{one.name}: the storage of quotas does not answer; policies' whenUnavailable decides"


def rights_lack(found: Found) -> Iterator[str]:
    """What a process of ours may not do. What the caller may not is told by what is missing in the bundle."""
    lacking: dict[str, list[str]] = {}
    for right in found.rights:
        if right.allowed is False and right.who != "you":
            lacking.setdefault(right.who, []).append(right.deed)
    for who, what in lacking.items():
        yield f"{who} may not: {', '.join(what)}; grant it, as the chart's roles do (a role for single namespaces is not looked at)"


def objects_are_unreadable(found: Found) -> Iterator[str]:
    """Objects that cannot be read, and those that are not in use."""
    for kind, objects in found.objects.items():
        for one in objects:
            if isinstance(one, InvalidObject):
                yield one.message
            elif sentence := _condition(one, Condition.READY):
                yield f"{kind} {one.key} is not in use: {sentence}"


def nobody_looked_at_it(found: Found) -> Iterator[str]:
    """Objects of which status speaks of an older generation, or not at all."""
    for kind, objects in found.objects.items():
        if kind == "FeatureOverride":
            continue
        for one in objects:
            if not isinstance(one, Stored) or found.now - one.created_at < STALE_SECONDS:
                continue
            if one.status.observed_generation < one.generation:
                yield f"{kind} {one.key}: the operator has not looked at its present generation {one.generation}"


def evidence_is_missing(found: Found) -> Iterator[str]:
    """What decisions rest on and could not be read, by the operator's own word."""
    for kind, objects in found.objects.items():
        for one in objects:
            if isinstance(one, Stored) and (sentence := _condition(one, Condition.METRICS_AVAILABLE)):
                yield f"{kind} {one.key}: evidence is missing: {sentence}"


def queries_fail(found: Found) -> Iterator[str]:
    """What Prometheus said when it was asked just now."""
    for one in found.answers:
        if one.missing:
            yield f"{one.owner}: {one.field}: {one.result}"


def pods_do_not_start(found: Found) -> Iterator[str]:
    """Pods of the workloads that wait for something other than time."""
    for pod in found.pods:
        meta, status = pod["metadata"], pod.get("status") or {}
        reasons = [
            ((one.get("state") or {}).get("waiting") or {}).get("reason", "")
            for one in status.get("containerStatuses") or ()
        ]
        reasons += [one.get("reason", "") for one in status.get("conditions") or () if one["status"] == "False"]
        if wrong := [reason for reason in dict.fromkeys(reasons) if reason in WAITING]:
            yield f"pod {meta['namespace']}/{meta['name']} does not start: {', '.join(wrong)}"


def somebody_else_scales(found: Found) -> Iterator[str]:
    """Another autoscaler on a scaler's target: the two undo each other's replicas."""
    targets: dict[tuple[str, str, str], Key] = {}
    for one in found.objects.get("InferenceScaler", ()):
        if isinstance(one, Stored) and one.spec.mode == "Auto":
            ref = one.spec.scale_target_ref
            targets[one.key.namespace, ref.kind, ref.name] = one.key
    for body in found.autoscalers:
        named = (body.get("spec") or {}).get("scaleTargetRef") or {}
        meta = body["metadata"]
        scaler = targets.get((meta["namespace"], named.get("kind", "Deployment"), named.get("name", "")))
        if scaler is not None:
            yield (
                f"{body['kind']} {meta['namespace']}/{meta['name']} and InferenceScaler {scaler} both scale "
                f"{named.get('name')}; delete one of them, or set the scaler's mode: Paused"
            )


def versions_differ(found: Found) -> Iterator[str]:
    """Processes of ours of different images, or of another version than this command's."""
    images = {image for one in found.processes for image in one.images if one.component in ("operator", "flags")}
    if len(images) > 1:
        yield f"our processes run {len(images)} different images: {', '.join(sorted(images))}"
    labels = {one.pod["metadata"]["labels"].get("app.kubernetes.io/version", "") for one in found.processes} - {""}
    for version in sorted(labels - {found.cli_version}):
        yield f"the chart is of version {version}, this command of {found.cli_version}"


RULES: tuple[tuple[str, Callable[[Found], Iterator[str]]], ...] = (
    ("definitions", definitions_lack),
    ("operator", nobody_decides),
    ("ticks", ticks_are_stale),
    ("rights", rights_lack),
    ("processes", processes_suffer),
    ("unreadable", objects_are_unreadable),
    ("unseen", nobody_looked_at_it),
    ("evidence", evidence_is_missing),
    ("prometheus", queries_fail),
    ("autoscalers", somebody_else_scales),
    ("pods", pods_do_not_start),
    ("versions", versions_differ),
)


def _condition(one: Stored, kind: Condition) -> str:  # type: ignore[type-arg]
    """The sentence of a condition that is False; empty where it is not."""
    for condition in one.status.conditions:
        if condition.type == str(kind) and condition.status == "False":
            return re.sub(r"\s+", " ", f"{condition.reason}: {condition.message}")
    return ""


def _schema(body: Body) -> object:
    return [(one["name"], one.get("schema")) for one in body["spec"]["versions"]]
