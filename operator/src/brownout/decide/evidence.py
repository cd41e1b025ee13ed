"""A number with the moment it was true, or the reason why there is none. Missing is never zero."""

from msgspec import Struct


class Sample(Struct, frozen=True, gc=False):
    """A finite value, and when it was evaluated (seconds, same clock as `now`)."""

    value: float
    at: float


class Missing(Struct, frozen=True, gc=False):
    """No evidence, and the sentence that says why: what was asked and what came back, never a response body."""

    message: str


Evidence = Sample | Missing


def fresh(evidence: Evidence, *, now: float, within_seconds: float) -> Evidence:
    """The evidence, or Missing where it is older than `within_seconds`, which is never below 0."""
    if isinstance(evidence, Sample) and now - evidence.at > within_seconds:
        return Missing(f"last sample is {now - evidence.at:.0f} s old, older than {within_seconds:.0f} s")
    return evidence
