"""What the server asks of a model: a batch that requests join and leave between steps.

Everything here is called from one thread, one call at a time. An engine knows nothing of tiers, queues, HTTP or time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from brownout_inference.work import Work


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step brought: parts of answers, and answers that are complete. Keys are the numbers under which requests joined."""

    pieces: Mapping[int, Any] = field(default_factory=dict)
    finished: Mapping[int, Any] = field(default_factory=dict)


class Engine(Protocol):
    """A model with its running batch."""

    def warm_up(self) -> None:
        """Does once everything that is slow the first time."""

    def join(self, key: int, work: Work) -> None:
        """Takes a request into the batch. An exception means that this request alone fails."""

    def leave(self, key: int) -> None:
        """Drops a request from the batch; one that is not in it is no error."""

    def step(self) -> StepReport:
        """Advances every request in the batch by one step. An exception means that the whole batch fails."""
