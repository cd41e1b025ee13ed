"""Waiting for a condition with a deadline: a test never sleeps for a time that somebody guessed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_SECONDS = 0.1


def wait_for(look: Callable[[], T | None], what: str, *, seconds: float = 30.0) -> T:
    """Calls `look` until it returns something true, and returns that. Fails the test with the last thing seen instead.

    A `look` that raises counts as not yet; the last error is then what is reported.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen, error = _look(look)
        if error is None and seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; seen instead: {error or seen!r}") from error
        time.sleep(_PAUSE_SECONDS)


async def wait_for_async(look: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = 30.0) -> T:
    """As `wait_for`, for a coroutine function, without holding the event loop."""
    deadline = time.monotonic() + seconds
    while True:
        seen: T | None = None
        error: Exception | None = None
        try:
            seen = await look()
        except Exception as raised:
            error = raised
        if error is None and seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; seen instead: {error or seen!r}") from error
        await asyncio.sleep(_PAUSE_SECONDS)


def holds_for(look: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Checks that `look` stays true for a time: for what must *not* happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"no longer so: {what}"
        time.sleep(_PAUSE_SECONDS)


def _look(look: Callable[[], T | None]) -> tuple[T | None, Exception | None]:
    try:
        return look(), None
    except Exception as error:
        return None, error
