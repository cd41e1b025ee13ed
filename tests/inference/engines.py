"""An engine of one's own, which needs no torch, does what its prompts say, and says how it fares in the log of its process."""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from brownout_inference.engine.interface import DeviceFullError, Memory, Progress, StepReport, UnsuitableError
from brownout_inference.engine.load import EngineSpec
from brownout_inference.work import ImageWork, Work

FITS = 3
"""Requests in one step of FullEngine."""


class ObedientEngine:
    """Makes grey pictures, and breaks where a prompt says so: `poison` fails the batch, `nan` reports a failure, `crash` kills the process, `hang` never ends, `exit` leaves."""

    def __init__(self, spec: EngineSpec, progress: Progress) -> None:
        progress("a grey picture", 0.5)
        self._left: dict[int, int] = {}
        self._works: dict[int, ImageWork] = {}

    def warm_up(self, most: int) -> int:
        return most

    def memory(self) -> Memory:
        return Memory(used_bytes=len(self._left), most_bytes=100)

    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, ImageWork):
            raise TypeError("only pictures")
        if work.prompt == "long":
            raise UnsuitableError("the prompt has 9 tokens; write 8 at most")
        self._left[key], self._works[key] = work.steps, work

    def leave(self, key: int) -> None:
        self._left.pop(key, None)
        self._works.pop(key, None)

    def step(self, keys: Sequence[int]) -> StepReport:
        prompts = {self._works[key].prompt for key in keys}
        if "poison" in prompts:
            raise ValueError("a poisoned prompt")
        if "crash" in prompts:
            os.kill(os.getpid(), signal.SIGKILL)
        if "exit" in prompts:
            raise SystemExit(3)
        if "hang" in prompts:
            time.sleep(3600)
        failed = {key: ValueError("not a number") for key in keys if self._works[key].prompt == "nan"}
        for key in keys:
            self._left[key] -= 1
        done = [key for key in keys if self._left[key] <= 0 and key not in failed]
        finished = {key: [np.full((1, 8, 8), 128, np.uint8)] * self._works[key].pictures for key in done}
        for key in (*failed, *done):
            self.leave(key)
        return StepReport(finished=finished, failed=failed)


class FullEngine(ObedientEngine):
    """Has memory for a few requests at once."""

    def step(self, keys: Sequence[int]) -> StepReport:
        if len(keys) > FITS:
            raise DeviceFullError(f"{len(keys)} do not fit")
        return super().step(keys)


class SlowEngine(ObedientEngine):
    """Takes half a second for each step."""

    def step(self, keys: Sequence[int]) -> StepReport:
        time.sleep(0.5)
        return super().step(keys)


class CarelessEngine(ObedientEngine):
    """Makes one picture, however many were asked for."""

    def step(self, keys: Sequence[int]) -> StepReport:
        report = super().step(keys)
        return StepReport(finished={key: pictures[:1] for key, pictures in report.finished.items()})


class UnloadableEngine(ObedientEngine):
    """Fails while it loads."""

    def __init__(self, spec: EngineSpec, progress: Progress) -> None:
        raise RuntimeError("the weights are damaged")


class Secret(np.ndarray[Any, Any]):
    """A picture that says nothing."""

    def __reduce__(self) -> Any:
        raise TypeError("a secret")


class SecretiveEngine(ObedientEngine):
    """Answers with something that no other process can be told."""

    def step(self, keys: Sequence[int]) -> StepReport:
        report = super().step(keys)
        return StepReport(finished={key: [Secret((1, 8, 8), np.uint8)] for key in report.finished})


class IdleEngine(ObedientEngine):
    """Takes no time, so that what a step costs beside it can be measured."""

    def step(self, keys: Sequence[int]) -> StepReport:
        return StepReport(pieces=dict.fromkeys(keys, "a"))
