"""The five kinds, and how a watched object becomes a typed one."""

from typing import Any, Generic, TypeVar

import msgspec

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.pool import GPU_POOL
from brownout.api.scaler import INFERENCE_SCALER
from brownout.api.schema import Object, Resource
from brownout.api.tier import USER_TIER

RESOURCES: tuple[Resource, ...] = (GPU_POOL, INFERENCE_SCALER, USER_TIER, FEATURE_POLICY, FEATURE_OVERRIDE)
BY_KIND: dict[str, Resource] = {resource.kind: resource for resource in RESOURCES}

S = TypeVar("S", bound=Object)
T = TypeVar("T", bound=Object)


class Key(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """An object's place: namespace (empty for cluster-scoped kinds) and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Stored(msgspec.Struct, Generic[S, T], frozen=True, kw_only=True):
    """A typed object as it is stored: what a person asked for (`spec`) and what we last said of it (`status`)."""

    key: Key
    uid: str
    generation: int
    created_at: float
    spec: S
    status: T


class InvalidObject(msgspec.Struct, frozen=True):
    """An object that cannot be read, and the sentence that says why: field, what was found."""

    key: Key
    message: str
    generation: int = 0


def decode(resource: Resource, body: dict[str, Any], created_at: float) -> "Stored[Any, Any] | InvalidObject":
    """A watched body as a typed object. Fields that we do not know are ignored, so that a rollback works.

    An unreadable status counts as none: it is ours to write again; an unreadable spec is the user's to mend.
    """
    meta = body.get("metadata", {})
    key = Key(meta.get("namespace", "") or "", meta.get("name", ""))
    generation = int(meta.get("generation", 0))
    try:
        spec = msgspec.convert(body.get("spec", {}), resource.spec, strict=True)
    except msgspec.ValidationError as error:
        return InvalidObject(key, f"{resource.kind} {key}: spec: {error}", generation)
    try:
        status = msgspec.convert(body.get("status") or {}, resource.status, strict=True)
    except msgspec.ValidationError:
        status = resource.status()
    return Stored(
        key=key, uid=meta.get("uid", ""), generation=generation, created_at=created_at, spec=spec, status=status
    )
