"""Everything that the operator watches, listed once: the facts of every kind, and files in the place of what is there."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from msgspec import structs

from brownout.api.resources import InvalidObject, Key, Stored
from brownout.cli.validation.manifests import Manifest
from brownout.cli.validation.objects import is_ours, typed
from brownout.observe.watch import KINDS, Watched
from brownout.rest import send

PAGE = 500
TIMEOUT_SECONDS = 30.0

Facts = dict[str, dict[Key, Any]]
"""By kind and place, as the operator's indices have them."""


async def listed(client: ApiClient) -> Facts:
    """The facts of every kind. Raises ApiException where one may not be listed that the operator cannot do without."""
    found = await asyncio.gather(*(_list(client, kind) for kind in KINDS))
    return {kind.kind: facts for kind, facts in zip(KINDS, found, strict=True)}


async def _list(client: ApiClient, kind: Watched) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    onwards = ""
    while True:
        query = [("limit", str(PAGE))]
        query += [("fieldSelector", kind.field_selector)] if kind.field_selector else []
        query += [("continue", onwards)] if onwards else []
        response = await send(client, "GET", kind.path, query=query, timeout_seconds=TIMEOUT_SECONDS)
        if response.status in (403, 404) and kind.optional:
            return {}
        if response.status != 200:
            said = response.content.decode(errors="replace")
            raise ApiException(status=response.status, reason=response.reason, body=said)
        page = msgspec.json.decode(response.content)
        for item in page["items"]:
            fact: Any = kind.fact(item)
            found[fact.key] = fact
        onwards = page["metadata"].get("continue", "")
        if not onwards:
            return found


def replaced(facts: Facts, manifests: Iterable[Manifest], *, namespace: str, now: float) -> Facts:
    """The facts as they would be with these manifests applied: specs from the files, statuses from the cluster.

    What is new has no status yet and is made at `now` (Unix seconds); what names no namespace is in `namespace`.
    """
    merged = {kind: dict(found) for kind, found in facts.items()}
    for manifest in manifests:
        if not is_ours(manifest.body):
            continue
        resource, new = typed(manifest.body, namespace=namespace)
        old = facts[resource.kind].get(new.key)
        merged[resource.kind][new.key] = _in_place_of(old, new, now=now)
    return merged


def _in_place_of(old: Any, new: Stored[Any, Any] | InvalidObject, *, now: float) -> Any:
    if isinstance(new, InvalidObject):
        return new
    if not isinstance(old, Stored):
        return structs.replace(new, uid=f"new {new.key}", generation=1, created_at=now)
    if old.spec == new.spec:
        return old
    return structs.replace(old, spec=new.spec, generation=old.generation + 1)
