"""All objects of a kind vanish at once: a deleted CRD, a pruned release, a restored backup, an API server that answers with
an empty list. To take that for "there are none" would give every feature back, or take every GPU away, in one tick.

So the last objects known stay for a while, and the kind is named as not known; nothing changes while there is one. "At once" is
from one look to the next, however far apart they are, or within seconds where looks come faster than objects go. Kinds whose
absence names itself (a target, a quota that somebody refers to) need no such guard, and overrides are deleted in bulk as a
matter of course.
"""

from typing import Any

from msgspec import Struct

from brownout.api.resources import Key

GUARDED = frozenset({"GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy", "Node", "Pod"})
AT_ONCE_SECONDS = 5.0
HOLD_SECONDS = 300.0


class _Seen(Struct):
    """The last time that there were at least two objects of a kind, and which. `just_before`: no look since had fewer."""

    objects: dict[Key, Any]
    at: float
    just_before: bool = True
    held_until: float | None = None


class Vanishing:
    """Remembers each guarded kind's last objects. Times are seconds on a clock that is never set."""

    def __init__(self, *, hold_seconds: float = HOLD_SECONDS) -> None:
        self._hold_seconds = hold_seconds
        self._seen: dict[str, _Seen] = {}

    def admit(self, kind: str, objects: dict[Key, Any], *, now: float) -> tuple[dict[Key, Any], bool]:
        """The objects to go by, and whether they are held: kept although the cluster shows none."""
        if kind not in GUARDED:
            return objects, False
        if objects:
            if len(objects) >= 2:
                self._seen[kind] = _Seen(objects, now)
            elif seen := self._seen.get(kind):
                seen.just_before = False
                if seen.held_until or now - seen.at > AT_ONCE_SECONDS:
                    del self._seen[kind]
            return objects, False
        seen = self._seen.get(kind)
        if seen is None:
            return objects, False
        if seen.held_until is None:
            if not seen.just_before and now - seen.at > AT_ONCE_SECONDS:
                del self._seen[kind]
                return objects, False
            seen.held_until = now + self._hold_seconds
        if now >= seen.held_until:
            del self._seen[kind]
            return objects, False
        return seen.objects, True
