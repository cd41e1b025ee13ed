"""An engine that goes on: a request that breaks the batch fails alone, and a batch that does not fit is made smaller.

An exception of a step means that nothing has changed, so the culprit is found by bisecting: each half makes the same step, and the half that fails is halved
again. The others have then made their step and notice nothing but the time that it took.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from brownout_inference.engine.interface import DeviceFullError, Engine, UnsuitableError
from brownout_inference.engine.messages import Advance, Advanced
from brownout_inference.work import Work

log = logging.getLogger(__name__)

PROBE = -2
"""The key under which a request is tried whose like has worked before."""

LONE_FAILURES = 3
"""So many failures in a row, with nothing to try the engine with, are the engine's."""

ROUNDING = 1e-9
"""Slots may be fractions, whose sums are not exact."""

MEMORY_SECONDS = 1.0
"""How often memory is looked at: asking a driver takes time."""


@dataclass
class _Step:
    stepped: list[int] = field(default_factory=list)
    pieces: dict[int, Any] = field(default_factory=dict)
    finished: dict[int, Any] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unsuitable: list[int] = field(default_factory=list)
    full: bool = False


class Worker:
    """One engine, used with care. `unfit` says what is wrong with a result for a work, '' where nothing is."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float] = time.monotonic,
        unfit: Callable[[Work, object], str] = lambda work, result: "",
    ) -> None:
        self._unfit = unfit
        self._engine = engine
        self._clock = clock
        self._works: dict[int, Work] = {}
        self._good: Work | None = None
        self._failures_in_a_row = 0
        self._look_at_memory_at = clock()

    def advance(self, asked: Advance) -> Advanced:
        """Does what was asked. An exception means that the engine is of no use any more."""
        for key in asked.leaves:
            self._leave(key)
        step, no_room = _Step(), []
        for key, work in asked.joins:
            if key in self._works:
                continue  # it was seated from standby while this message was on its way
            try:
                self._engine.join(key, work)
                self._works[key] = work
            except Exception as error:
                if isinstance(error, UnsuitableError):
                    step.unsuitable.append(key)
                    step.failed[key] = str(error)
                elif _is_full(error):
                    no_room.append(key)
                else:
                    self._fail(step, key, error)
        keys = [key for key in asked.keys if key in self._works]
        began = self._clock()
        if keys:
            self._step(step, keys)
        seconds = self._clock() - began
        if step.stepped:
            self._remember(step)
        broken = self._judge(step)
        for key in (*step.finished, *step.failed):
            self._works.pop(key, None)
        advanced = Advanced(
            number=asked.number,
            stepped=tuple(step.stepped),
            pieces=step.pieces,
            finished=step.finished,
            failed=step.failed,
            unsuitable=tuple(step.unsuitable),
            no_room=tuple(no_room),
            full=step.full,
            broken=broken,
            seconds=seconds,
            memory=self._memory(),
        )
        return self._going_on(asked, advanced)

    def _going_on(self, asked: Advance, advanced: Advanced) -> Advanced:
        """Says whether there is something to go on with, and who is seated where somebody has finished."""
        if not asked.go_on or advanced.full or advanced.failed or advanced.no_room:
            return advanced
        alive = [key for key in asked.keys if key in self._works]
        seated: list[int] = []
        if advanced.finished:
            free = asked.slots - sum(self._works[key].slots for key in alive)
            for (key, work), _ in zip(asked.standby, advanced.finished, strict=False):
                if work.slots > free + ROUNDING:
                    break
                seated.append(key)
                free -= work.slots
            if not seated and not asked.past_ends and not asked.standby:
                return advanced
        return replace(advanced, going_on=bool(alive or seated), seated=tuple(seated))

    def _step(self, step: _Step, keys: Sequence[int]) -> None:
        half = (len(keys) + 1) // 2
        try:
            report = self._engine.step(keys)
        except Exception as error:
            if _is_full(error):
                step.full = True
                if len(keys) > 1:
                    self._step(step, keys[:half])
            elif len(keys) == 1:
                self._fail(step, keys[0], error)
            else:
                self._step(step, keys[:half])
                self._step(step, keys[half:])
            return
        failed = {key: _words(error) for key, error in report.failed.items()}
        for key, result in report.finished.items():
            if key in self._works and (why := self._unfit(self._works[key], result)):
                failed[key] = f"what the engine answered is of no use: {why}"
        step.stepped += [key for key in keys if key not in failed]
        step.pieces.update(report.pieces)
        step.finished.update({key: result for key, result in report.finished.items() if key not in failed})
        step.failed.update(failed)

    def _fail(self, step: _Step, key: int, error: Exception) -> None:
        log.error("request %d failed", key, exc_info=error)
        self._leave(key)
        step.failed[key] = _words(error)

    def _leave(self, key: int) -> None:
        self._works.pop(key, None)
        self._engine.leave(key)

    def _remember(self, step: _Step) -> None:
        self._failures_in_a_row = 0
        self._good = self._works.get(step.stepped[0], self._good)

    def _judge(self, step: _Step) -> str:
        """Where everybody failed, it may be the engine: it is tried with a request that has worked before."""
        if step.stepped or len(step.failed) == len(step.unsuitable):
            return ""
        self._failures_in_a_row += len(step.failed)
        if self._good is None:
            return next(iter(step.failed.values())) if self._failures_in_a_row >= LONE_FAILURES else ""
        try:
            self._engine.join(PROBE, self._good)
            report = self._engine.step([PROBE])
            return _words(report.failed[PROBE]) if PROBE in report.failed else ""
        except Exception as error:
            return "" if _is_full(error) else _words(error)
        finally:
            self._engine.leave(PROBE)

    def _memory(self) -> Any:
        if self._clock() < self._look_at_memory_at:
            return None
        self._look_at_memory_at = self._clock() + MEMORY_SECONDS
        return self._engine.memory()


def _is_full(error: Exception) -> bool:
    """torch has names and sentences of its own for this, and an engine of somebody's own may not have translated them."""
    if isinstance(error, DeviceFullError | MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
