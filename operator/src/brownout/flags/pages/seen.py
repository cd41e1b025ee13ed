"""What pages know besides what flags are rendered from: scalers and pools, as they were last heard.

Nothing that is served to a user depends on it. Where it cannot be read, for want of rights or of an API server, pages say less.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.schema import Resource
from brownout.flags.watch import Found, Part

log = logging.getLogger(__name__)


class Seen:
    """The listener of the watches of some kinds. `changed` is told of each object that came, changed or went."""

    def __init__(
        self, kinds: Sequence[Resource], *, namespaces: Sequence[str], changed: Callable[[Resource, Key], None]
    ) -> None:
        self._changed = changed
        self._objects: dict[str, dict[Key, Stored[Any, Any]]] = {kind.plural: {} for kind in kinds}
        self.lost_parts: dict[Part, str] = {}
        self.parts = [
            Part(kind, namespace) for kind in kinds for namespace in ((namespaces or [""]) if kind.namespaced else [""])
        ]

    def of(self, kind: Resource, namespace: str | None = None) -> list[Stored[Any, Any]]:
        """The objects of a kind by their keys, of one namespace or of all."""
        found = self._objects[kind.plural]
        return [found[key] for key in sorted(found) if namespace in (None, key.namespace)]

    def get(self, kind: Resource, key: Key) -> Stored[Any, Any] | None:
        return self._objects[kind.plural].get(key)

    # What the watches say

    def listed(self, part: Part, objects: list[Found]) -> None:
        self.heard(part)
        known = self._objects[part.resource.plural]
        before = {key for key in known if part.namespace in ("", key.namespace)}
        now = {each.key: each for each in objects}
        for key in before - now.keys():
            del known[key]
        for each in now.values():
            self._put(part, each)
        for key in before | now.keys():
            self._changed(part.resource, key)

    def changed(self, part: Part, found: Found) -> None:
        self._put(part, found)
        self._changed(part.resource, found.key)

    def deleted(self, part: Part, key: Key) -> None:
        self._objects[part.resource.plural].pop(key, None)
        self._changed(part.resource, key)

    def heard(self, part: Part) -> None:
        if self.lost_parts.pop(part, None) is not None:
            log.info("heard again", extra={"kind": part.resource.plural, "namespace": part.namespace})

    def lost(self, part: Part, reason: str) -> None:
        if part not in self.lost_parts:
            extra = {"kind": part.resource.plural, "namespace": part.namespace, "reason": reason}
            log.warning("pages know less: a kind cannot be watched", extra=extra)
        self.lost_parts[part] = reason

    def _put(self, part: Part, found: Found) -> None:
        """One that cannot be read stays as it was."""
        if not isinstance(found, InvalidObject):
            self._objects[part.resource.plural][found.key] = found
