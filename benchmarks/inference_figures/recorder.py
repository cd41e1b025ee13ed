"""An engine that makes no pictures: each request takes its steps and is written down when it is done. What is measured is the server."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brownout_inference.engine.interface import Memory, StepReport
from brownout_inference.engine.load import EngineSpec
from brownout_inference.work import ImageWork, Work

DONE_IN = "BENCHMARK_DONE_IN"
"""The file to which the prompt of every finished request is appended, if there is one."""

STEP_SECONDS = "BENCHMARK_STEP_SECONDS"


class Recorder:
    """The interface of an engine, and nothing behind it."""

    def __init__(self, spec: EngineSpec, progress: object) -> None:
        self._left: dict[int, int] = {}
        self._work: dict[int, ImageWork] = {}
        self._done = Path(os.environ[DONE_IN]) if DONE_IN in os.environ else None
        self._step_seconds = float(os.environ.get(STEP_SECONDS, "0"))

    def warm_up(self, most: int) -> int:
        return most

    def memory(self) -> Memory:
        return Memory()

    def join(self, key: int, work: Work) -> None:
        assert isinstance(work, ImageWork)
        self._left[key], self._work[key] = work.steps, work

    def leave(self, key: int) -> None:
        self._left.pop(key, None)
        self._work.pop(key, None)

    def step(self, keys: Sequence[int]) -> StepReport:
        time.sleep(self._step_seconds)
        for key in keys:
            self._left[key] -= 1
        done = [key for key in keys if not self._left[key]]
        picture = np.zeros((1, 8, 8), dtype=np.uint8)
        finished = {key: [picture] * self._work[key].pictures for key in done}
        if self._done and done:
            with self._done.open("a") as file:
                file.writelines(f"{self._work[key].prompt}\n" for key in done)
        for key in done:
            self.leave(key)
        return StepReport(finished=finished)
