"""Which tick made which version of what a policy serves, so that a flip in a client leads to the log of the tick that made it."""

from collections.abc import Iterable
from secrets import choice

from brownout.api.resources import Key
from brownout.decide.outcome import PolicyPlan
from brownout.decide.snapshot import StoredPolicy

LETTERS = "bcdfghjkmnpqrstvwxz23456789"
"""Nothing that spells a word, and nothing that is mistaken for something else when it is read out."""


class Decisions:
    """Names the ticks of one process, `begin`, and remembers which of them made a policy's version, `made`."""

    def __init__(self) -> None:
        self._process = "".join(choice(LETTERS) for _ in range(6))
        self._count = 0
        self._made: dict[Key, tuple[int, str]] = {}

    @property
    def current(self) -> str:
        """The id of the tick under way: six letters for the process and the tick's number."""
        return f"{self._process}-{self._count}"

    def begin(self) -> str:
        """A new tick; returns its id."""
        self._count += 1
        return self.current

    def made(self, plan: PolicyPlan, stored: StoredPolicy) -> str:
        """The id of the tick that made the plan's version: this one where it is new, else what is known of it."""
        known = self._made.get(plan.key)
        if known is None or known[0] != plan.version:
            as_stored = stored.status.version == plan.version
            known = self._made[plan.key] = plan.version, stored.status.decision if as_stored else self.current
        return known[1]

    def is_new(self, plan: PolicyPlan) -> bool:
        """Whether the tick under way made the plan's version."""
        return self._made.get(plan.key) == (plan.version, self.current)

    def not_made(self, keys: Iterable[Key]) -> None:
        """What this tick decided about these policies could not be written, so it made no version."""
        for key in keys:
            self._made.pop(key, None)

    def forget(self, known: set[Key]) -> None:
        """Keep nothing of policies that are no longer there."""
        self._made = {key: made for key, made in self._made.items() if key in known}
