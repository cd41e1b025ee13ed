"""The flag sets as the flag servers render them, from the same objects and with the same doubts about what disappears.

`render` and `Beliefs` are the data plane's own, and both are pure: one implementation, so that what one protocol shows the others
show. An override that ends makes another set by itself, as it does there.
"""

from collections.abc import Mapping
from typing import Any

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import InvalidObject, Stored
from brownout.api.tier import USER_TIER
from brownout.decide.snapshot import Snapshot
from brownout.flags.beliefs import KINDS, Beliefs
from brownout.flags.render import FlagSet, render

EMPTY_BELIEVED_AFTER_SECONDS = 300.0
"""On top of the time for which the operator itself does not believe that a whole kind is gone: together what flag servers wait."""

Objects = dict[str, list[Stored[Any, Any]]]


class FlagSets:
    """Renders what changed. Keep one for the life of the process."""

    def __init__(self) -> None:
        self._beliefs = Beliefs(empty_believed_after=EMPTY_BELIEVED_AFTER_SECONDS)
        self._rendered: dict[str, tuple[Objects, FlagSet]] = {}

    def of(self, snapshot: Snapshot, *, now: float, monotonic: float) -> Mapping[str, FlagSet]:
        """The set of each namespace that has policies or tiers, or had some, at `now` (Unix seconds), and is still there.

        While a kind is unseen, the last ones. A namespace with an object that could never be read is left out: without its flag,
        clients would serve their own default.
        """
        if not {"Namespace", *(kind.kind for kind in KINDS)} & set(snapshot.unseen):
            self._believe(snapshot, monotonic)
            believed = {kind.plural: self._beliefs.by_namespace(kind.plural) for kind in KINDS}
            namespaces = {*believed[FEATURE_POLICY.plural], *believed[USER_TIER.plural], *self._rendered}
            self._rendered = {name: made for name, made in self._rendered.items() if name in snapshot.namespaces}
            for namespace in namespaces & snapshot.namespaces.keys() - self._unreadable(snapshot):
                self._render(namespace, {kind: found.get(namespace, []) for kind, found in believed.items()}, now)
        return {namespace: flag_set for namespace, (_, flag_set) in self._rendered.items()}

    def _believe(self, snapshot: Snapshot, monotonic: float) -> None:
        """Tell what is there, and what is gone since the last time."""
        there: dict[str, list[Stored[Any, Any] | InvalidObject]] = {
            FEATURE_POLICY.kind: [policy.stored for policy in snapshot.policies.values()],
            USER_TIER.kind: list(snapshot.tiers.values()),
            FEATURE_OVERRIDE.kind: list(snapshot.overrides.values()),
        }
        for kind, invalid in snapshot.invalid:
            there.get(kind, []).append(invalid)
        for resource in KINDS:
            kind_of, found = self._beliefs.kinds[resource.plural], there[resource.kind]
            kind_of.listed = True  # there is no snapshot before every kind has been
            for key in kind_of.seen.keys() - {one.key for one in found}:
                kind_of.drop(key, monotonic)
            for one in found:
                kind_of.put(one)
        self._beliefs.judge(monotonic)

    def _unreadable(self, snapshot: Snapshot) -> set[str]:
        """The namespaces with an object of which not even an earlier state is known."""
        plurals = {kind.kind: kind.plural for kind in KINDS}
        return {
            invalid.key.namespace
            for kind, invalid in snapshot.invalid
            if kind in plurals and invalid.key not in self._beliefs.kinds[plurals[kind]].believed
        }

    def _render(self, namespace: str, objects: Objects, now: float) -> None:
        before = self._rendered.get(namespace)
        if before and before[0] == objects and (before[1].changes_at is None or now < before[1].changes_at):
            return
        flag_set = render(
            namespace,
            policies=objects[FEATURE_POLICY.plural],
            tiers=objects[USER_TIER.plural],
            overrides=objects[FEATURE_OVERRIDE.plural],
            now=now,
        )
        self._rendered[namespace] = objects, flag_set
