"""What the flag server holds to be true of the objects: the last known state, because Missing is not empty.

An API server that has lost its data, a CRD that is reinstalled or a watch that breaks off must not make features vanish: a
client that finds no flag serves the code's own default, often "on". So nothing is rendered before every kind has been listed
(a snapshot stands in until then), and what disappears is believed with a delay:

- A deleted policy or tier is gone after `SETTLE_SECONDS` without another deletion of its kind.
- Where the last object of a kind goes, alone or with all others, the kind is Missing, and what was served stays. Only after
  `empty_believed_after` seconds, through all of which the API server could be reached and went on to say that the kind exists
  and has no objects, is it so. A kind that is unknown or forbidden (404, 403) is Missing for ever.
- An override ends when it is deleted, at once, as long as there are policies: ending it is a person's word too, and the loop
  stands beneath.

An object that cannot be read leaves its last readable state in place. Where there is none, as in a new server, it is not known what it
would say: a set without a tier makes its users those of a lesser one, a set without a policy makes clients serve the code's default. So
a namespace that has no set yet gets none while there is such an object. One that has a set goes on: nobody was told of the object yet.

Where namespaces are watched one by one each has beliefs of its own: objects refer to their own namespace alone, so that one which
cannot be listed keeps no other from being served.
"""

from collections.abc import Iterable
from typing import Any

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.schema import Resource
from brownout.api.tier import USER_TIER

KINDS: tuple[Resource, ...] = (FEATURE_POLICY, USER_TIER, FEATURE_OVERRIDE)
"""What flags are rendered from. Policies come first: overrides look at them."""

SETTLE_SECONDS = 10.0


class Kind:
    """One kind, in the namespaces that are watched at once: in one of them, or in all.

    `listed`: at least once. Times are of the monotonic clock, in seconds.
    """

    def __init__(self, *, settle_seconds: float, empty_believed_after: float) -> None:
        self.settle_seconds = settle_seconds
        self.empty_believed_after = empty_believed_after
        self.seen: dict[Key, Stored[Any, Any]] = {}
        self.believed: dict[Key, Stored[Any, Any]] = {}
        self.unknown: set[Key] = set()
        """Objects that are there and cannot be read, and never could."""
        self.removed_at: float | None = None
        self.listed = False

    @property
    def missing(self) -> bool:
        """It had objects, and all of them are gone."""
        return self.listed and not self.seen and bool(self.believed)

    def replace(self, objects: Iterable[Stored[Any, Any] | InvalidObject], now: float) -> list[InvalidObject]:
        """A LIST. Returns the objects that could not be read."""
        found = list(objects)
        invalid = [each for each in found if isinstance(each, InvalidObject)]
        keys = {each.key for each in found}
        gone = [key for key in {*self.seen, *self.believed, *self.unknown} if key not in keys]
        self.listed = True
        for each in found:
            self.put(each)
        for key in gone:
            self.drop(key, now)
        return invalid

    def put(self, each: Stored[Any, Any] | InvalidObject) -> None:
        """An object was added or changed. One that cannot be read stays as it was, if it was."""
        self.unknown.discard(each.key)
        if isinstance(each, Stored):
            self.seen[each.key] = each
        elif (before := self.seen.get(each.key) or self.believed.get(each.key)) is not None:
            self.seen[each.key] = before
        else:
            self.unknown.add(each.key)

    def drop(self, key: Key, now: float) -> None:
        """An object is gone, as far as the API server says."""
        self.seen.pop(key, None)
        self.unknown.discard(key)
        if key in self.believed:
            self.removed_at = now

    def lost(self, now: float) -> None:
        """The API server could not be asked: what is gone has to stay gone for the whole time again."""
        if self.removed_at is not None:
            self.removed_at = now

    def judge(self, now: float, *, hold: bool = False) -> float | None:
        """Bring `believed` up to date. Returns when to judge again, None where nothing is in doubt.

        hold: what is gone stays believed, whatever the time.
        """
        due = None
        if self.removed_at is not None:
            due = self.removed_at + (self.settle_seconds if self.seen else self.empty_believed_after)
        if hold or (due is not None and now < due):
            self.believed.update(self.seen)
            return due
        self.removed_at = None
        self.believed = dict(self.seen)
        return None


class Beliefs:
    """The three kinds together, in the namespaces that are watched at once."""

    def __init__(self, *, empty_believed_after: float, settle_seconds: float = SETTLE_SECONDS) -> None:
        self.kinds = {
            kind.plural: Kind(
                settle_seconds=0.0 if kind is FEATURE_OVERRIDE else settle_seconds,
                empty_believed_after=0.0 if kind is FEATURE_OVERRIDE else empty_believed_after,
            )
            for kind in KINDS
        }

    def remember(self, plural: str, objects: Iterable[Stored[Any, Any]]) -> None:
        """Take objects from a snapshot: believed until the kinds have been listed."""
        self.kinds[plural].believed.update({each.key: each for each in objects})

    @property
    def listed(self) -> bool:
        """Every kind has been listed."""
        return all(kind.listed for kind in self.kinds.values())

    def judge(self, now: float) -> float | None:
        """Bring what is believed up to date (monotonic seconds). Returns when to judge again; None where nothing is in doubt.

        Until every kind has been listed nothing changes: a mixture of old and new could deny somebody for no reason.
        """
        if not self.listed:
            return None
        policies = self.kinds[FEATURE_POLICY.plural]
        again = []
        for plural, kind in self.kinds.items():
            hold = plural == FEATURE_OVERRIDE.plural and policies.missing
            again.append(kind.judge(now, hold=hold))
        return min((due for due in again if due is not None and due > now), default=None)

    def unknown(self) -> dict[str, list[str]]:
        """The objects that cannot be read and never could, as `plural/name`, by namespace."""
        found: dict[str, list[str]] = {}
        for plural, kind in self.kinds.items():
            for key in sorted(kind.unknown):
                found.setdefault(key.namespace, []).append(f"{plural}/{key.name}")
        return found

    def by_namespace(self, plural: str) -> dict[str, list[Stored[Any, Any]]]:
        """What is believed of one kind, by namespace and in the order of names."""
        found: dict[str, list[Stored[Any, Any]]] = {}
        for key, each in sorted(self.kinds[plural].believed.items()):
            found.setdefault(key.namespace, []).append(each)
        return found
