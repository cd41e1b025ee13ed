"""The last decisions and their reasons, newest first: what scalers' statuses keep, and flips of cells as they are seen. Pure but
for what `Flips` remembers."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from brownout.api.policy import CellStatus
from brownout.api.reasons import Reason
from brownout.api.resources import Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus
from brownout.flags.cells import Policy
from brownout.flags.pages.expected import moment

MOST_FLIPS = 300
MOST_DECISIONS = 200

NOT_DECIDED = frozenset({Reason.SERVED, Reason.PLAN, ""})
"""Reasons of cells that nothing was ever decided about."""

StoredScaler = Stored[InferenceScalerSpec, InferenceScalerStatus]
Cell = tuple[str, str, str]
"""Tier, cohort, user."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One decision: of what object, what it changed, and the rule that spoke with its numbers. `at` is in Unix seconds."""

    at: float
    kind: str
    namespace: str
    name: str
    what: str
    rule: str
    why: str
    audience: str = ""
    worse: bool = False


class Flips:
    """The flips of cells: those that statuses tell of at first sight, then each one that is seen. A policy that goes is forgotten."""

    def __init__(self) -> None:
        self.seen: deque[Decision] = deque(maxlen=MOST_FLIPS)
        self._policies: dict[str, dict[Key, Policy]] = {}

    def look(self, namespace: str, policies: Iterable[Policy], *, now: float) -> None:
        """Compare all policies of a namespace with what they said before."""
        before = self._policies.get(namespace, {})
        self._policies[namespace] = {policy.key: policy for policy in policies}
        for key, policy in self._policies[namespace].items():
            known = before.get(key)
            if known is policy:
                continue
            lines = {} if known is None else _lines(known)
            names = [variant.name for variant in policy.spec.variants]
            for cell, line in _lines(policy).items():
                if (flip := _flip(policy, names, cell, line, lines.get(cell), now)) is not None:
                    self.seen.append(flip)


def _lines(policy: Policy) -> dict[Cell, CellStatus]:
    return {(line.tier, line.cohort, line.user): line for line in policy.status.cells}


def _flip(
    policy: Policy, names: list[str], cell: Cell, line: CellStatus, before: CellStatus | None, now: float
) -> Decision | None:
    if before is None and (line.reason in NOT_DECIDED or line.overridden_to):
        return None
    if before is not None and _level(before) == _level(line):
        return None
    what = _words(names, line) if before is None else f"{_words(names, before)} → {_words(names, line)}"
    tier, cohort, user = cell
    audience = f"{tier}/{cohort}" if cohort else tier
    return Decision(
        at=moment(line.since) or now,
        kind="FeaturePolicy",
        namespace=policy.key.namespace,
        name=policy.key.name,
        what=what,
        rule=line.reason,
        why=line.message,
        audience=f"{user} of {audience}" if user else audience,
        worse=_depth(names, line) > (0 if before is None else _depth(names, before)),
    )


def _level(line: CellStatus) -> tuple[str, int, str]:
    return line.variant, line.percent, line.overridden_to


def _depth(names: list[str], line: CellStatus) -> int:
    """How far down, in percent of a variant."""
    variant = line.overridden_to or line.variant
    step = names.index(variant) if variant in names else len(names) - 1
    return 100 * step + (0 if line.overridden_to else 100 - line.percent)


def _words(names: list[str], line: CellStatus) -> str:
    if line.overridden_to:
        return f"{line.overridden_to} by override"
    return line.variant if line.percent == 100 else f"{line.variant} {line.percent} %"


def decisions(scalers: Iterable[StoredScaler], flips: Sequence[Decision]) -> list[Decision]:
    """The newest of both, newest first; `flips` are in the order in which they were seen."""
    found = [
        Decision(
            at=moment(one.at) or 0.0,
            kind="InferenceScaler",
            namespace=scaler.key.namespace,
            name=scaler.key.name,
            what=f"{one.from_replicas} → {one.to_replicas} replicas",
            rule=one.rule,
            why=one.message,
        )
        for scaler in scalers
        for one in scaler.status.decisions
    ]
    return sorted([*reversed(flips), *found], key=lambda one: -one.at)[:MOST_DECISIONS]
