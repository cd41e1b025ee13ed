"""What the server asks of a model: a batch whose members are chosen anew for every step.

Everything here is called from one thread, one call at a time, in the engine's own process. An engine knows nothing of tiers, queues, HTTP or time. Who takes
part in a step is said with each step: who is left out keeps its state and goes on where it stopped, which is all that preemption needs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from brownout_inference.work import Work

Progress = Callable[[str, float], None]
"""Told what is being loaded, and which part of all loading is done, 0..1."""


class DeviceFullError(Exception):
    """The device has no memory for this step or this request; nothing has changed, and fewer at once may fit."""


class UnsuitableError(ValueError):
    """The model cannot do this request as it is, such as one whose prompt is too long. The sentence is for whoever asked: what was found, and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of the device: in use by model and batch, and what there is for them in all; None where that cannot be known.

    `kv_places` of `kv_places_most` hold the state of a request (its key-value cache, for models that have one).
    """

    used_bytes: int | None = None
    most_bytes: int | None = None
    kv_places: int = 0
    kv_places_most: int = 0


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step brought: parts of answers, answers that are complete, requests that failed alone. Keys are the numbers under which requests joined.

    A request that finished or failed has left.
    """

    pieces: Mapping[int, Any] = field(default_factory=dict)
    finished: Mapping[int, Any] = field(default_factory=dict)
    failed: Mapping[int, Exception] = field(default_factory=dict)


class Engine(Protocol):
    """A model with its running batch."""

    def warm_up(self, most: int) -> int:
        """Does once everything that is slow the first time. Returns how many slots fit into one step, at most `most`, by memory measured."""

    def join(self, key: int, work: Work) -> None:
        """Makes room for a request.

        Raises DeviceFullError where there is none now and UnsuitableError where it can never be done; any other exception means that this request alone fails.
        """

    def leave(self, key: int) -> None:
        """Drops a request and frees what it holds; one that is not there is no error."""

    def step(self, keys: Sequence[int]) -> StepReport:
        """Advances exactly these requests by one step.

        An exception means that nothing has changed: the caller may try again with fewer, after DeviceFullError or to find out which request breaks the batch.
        """

    def memory(self) -> Memory:
        """What is used now."""
