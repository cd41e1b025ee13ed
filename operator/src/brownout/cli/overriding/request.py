"""An override as a person asks for it in a command, held against what there is before the API server sees it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from brownout.api.override import FEATURE_OVERRIDE, MAX_OVERRIDE_SECONDS
from brownout.api.resources import Key, Stored
from brownout.api.schema import API_VERSION
from brownout.cli.durations import span
from brownout.cli.failure import failed
from brownout.cli.validation.objects import problems, typed
from brownout.cli.validation.references import override_problems
from brownout.flags.audience import Tier
from brownout.flags.cells import Override, Policy

LONGEST_NAME = 200
"""Of a generated name: what Kubernetes allows, less room for the moment."""


class Asked(Struct, frozen=True, kw_only=True):
    """What a person asks for. Without tiers: everybody. `cohort`: None is all of the tier, "" the rest of it."""

    variant: str
    seconds: float
    reason: str
    tiers: tuple[str, ...] = ()
    cohort: str | None = None
    name: str = ""


def manifest(asked: Asked, policy: Policy, tiers: Iterable[Tier], *, now: float) -> dict[str, Any]:
    """The FeatureOverride to create. `now` in Unix seconds. Raises CommandError, with what exists, for what does not."""
    if asked.seconds > MAX_OVERRIDE_SECONDS:
        raise failed(
            f"--for: found {span(asked.seconds)}; write at most {span(MAX_OVERRIDE_SECONDS)}: "
            "a person's word is never for ever"
        )
    body = _body(asked, policy, now)
    _, stored = typed(body, namespace=policy.key.namespace)
    wrong = [problem.message for problem in problems(body)]
    if isinstance(stored, Stored):
        known: dict[str, dict[Key, Stored[Any, Any]]] = {
            "FeaturePolicy": {policy.key: policy},
            "UserTier": {tier.key: tier for tier in tiers},
        }
        wrong += [problem.message for problem in override_problems(stored.key, stored, known)]
    if wrong:
        raise failed("; ".join(dict.fromkeys(wrong)))
    return body


def _body(asked: Asked, policy: Policy, now: float) -> dict[str, Any]:
    spec: dict[str, Any] = {"policyRef": {"name": policy.key.name}}
    if asked.tiers:
        cohort = {} if asked.cohort is None else {"cohort": asked.cohort}
        spec["cells"] = [{"tier": tier, **cohort} for tier in asked.tiers]
    spec |= {"variant": asked.variant, "expireTime": rfc3339(now + asked.seconds), "reason": asked.reason}
    name = asked.name or generated_name(policy.key.name, asked.tiers, now)
    meta = {"name": name, "namespace": policy.key.namespace}
    return {"apiVersion": API_VERSION, "kind": FEATURE_OVERRIDE.kind, "metadata": meta, "spec": spec}


def generated_name(policy: str, tiers: Sequence[str], now: float) -> str:
    """A name that tells at a glance what was overridden, and when: image-generation-free-1127-201503."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%m%d-%H%M%S")
    return f"{'-'.join([policy, *tiers])[:LONGEST_NAME].rstrip('-.')}-{moment}"


def rfc3339(at: float) -> str:
    """Unix seconds as an expireTime, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(body: dict[str, Any], *, namespace: str, now: float) -> Override:
    """A manifest as it would be stored at `now`."""
    from msgspec import structs

    _, found = typed(body, namespace=namespace)
    assert isinstance(found, Stored)
    return structs.replace(found, created_at=now)
