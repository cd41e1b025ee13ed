"""A function that stops wherever it calls a model, says what it wants of it, and goes on when it has been given it.

A library's own loop can so be advanced step by step, together with others, without being written anew. It runs in a thread of its own, but only while the
caller waits for it: nothing ever runs at the same time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any


@dataclass(frozen=True)
class Call:
    """What a strand waits for: a method of a model with these arguments."""

    model: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """The function has returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The function has raised."""

    error: Exception


class _EndedError(BaseException):
    """Unwinds a strand that nobody waits for; no `except Exception` of a library stops it."""


class Strand:
    """One such function, `run`, which is given the strand to `ask` with. It has run up to its first call when this returns."""

    def __init__(self, run: Callable[["Strand"], Any]) -> None:
        self.steps = 0
        """How many steps the function says it has made."""
        self._run = run
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._wishes: SimpleQueue[Call | Done | Failed] = SimpleQueue()
        threading.Thread(target=self._work, name="strand", daemon=True).start()
        self.state = self._wishes.get()
        """Where it stands."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for an answer; otherwise it is done."""
        return isinstance(self.state, Call)

    def answer(self, given: Any) -> None:
        """Gives the strand what it asked for, and returns when it asks again or is done."""
        self._answers.put(given)
        self.state = self._wishes.get()

    def end(self) -> None:
        """Unwinds the function where it stands. One that is done is no error."""
        if self.is_waiting:
            self.answer(_EndedError())

    def ask(self, call: Call) -> Any:
        """Inside the function: waits for the answer."""
        self._wishes.put(call)
        given = self._answers.get()
        if isinstance(given, _EndedError):
            raise given
        return given

    def _work(self) -> None:
        state: Done | Failed
        try:
            state = Done(self._run(self))
        except _EndedError as error:
            state = Failed(RuntimeError(repr(error)))
        except Exception as error:
            state = Failed(error)
        del self._run  # and with it what the function held
        self._wishes.put(state)
