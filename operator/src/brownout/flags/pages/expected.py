"""When a cell is expected back, and how sure that is: no more than what status says.

The operator writes a moment only where it knows one, and the rule that refuses says which kind of moment it is:

- a person's word ends when it says: `Scheduled`. Where the loop had taken the cell too, that is only the soonest;
- a dwell, a step or a budget ends at a known time, and then the gate is asked again: `NotBefore`;
- replicas that are loading are expected by half of the cold starts that were seen: `Estimated`. Where those were learned, the
  time by which 19 of 20 were ready is known besides.

A moment that has passed, and no moment at all, are None: nothing is invented.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from brownout.api.override import ends_at
from brownout.api.policy import CellStatus
from brownout.api.reasons import Reason
from brownout.api.scaler import InferenceScalerStatus
from brownout.flags.cells import Override, Policy

Certainty = Literal["Scheduled", "NotBefore", "Estimated"]

WAITS_FOR_REPLICAS = frozenset({Reason.STILL_SATURATED, Reason.DOES_NOT_FIT})
"""Refusals whose moment is that at which loading replicas are ready."""

Scalers = Mapping[str, InferenceScalerStatus]
"""What is known of the scalers of a namespace, by name; one that is absent adds nothing."""


class Return(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A moment in Unix seconds; `latest`, where it is known, is not passed in 19 of 20 cases."""

    at: float
    certainty: Certainty
    latest: float | None = None


def expected(
    policy: Policy, line: CellStatus | None, *, word: Override | None, scalers: Scalers, now: float
) -> Return | None:
    """The expected return of one cell: `line` is what status says of it, `word` the override in force for it."""
    if word is not None:
        at = ends_at(word.spec, created_at=word.created_at)
        whole = line is None or (line.variant, line.percent) == (policy.spec.variants[0].name, 100)
        return Return(at=at, certainty="Scheduled" if whole else "NotBefore") if at > now else None
    at_or_none = moment(line.expected_return) if line is not None else None
    if line is None or at_or_none is None or at_or_none <= now:
        return None
    if line.refused_by not in WAITS_FOR_REPLICAS:
        return Return(at=at_or_none, certainty="NotBefore")
    return Return(at=at_or_none, certainty="Estimated", latest=_latest(policy, at_or_none, scalers))


def _latest(policy: Policy, at: float, scalers: Scalers) -> float | None:
    """By when the replicas that are expected `at` were ready in 19 of 20 cases: of the scalers that carry this feature, that
    whose replicas are expected then."""
    names = {cost.scaler for variant in policy.spec.variants for cost in variant.costs}
    late = [
        at + slow - usual
        for name in sorted(names & scalers.keys())
        if moment(scalers[name].coming_ready_at) == at
        for usual, slow in [
            (scalers[name].learned.cold_start_p50_seconds, scalers[name].learned.cold_start_p95_seconds)
        ]
        if usual and slow and usual <= slow
    ]
    return max(late, default=None)


def moment(text: str) -> float | None:
    """Unix seconds of a time in status; None where there is none, or none that can be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
