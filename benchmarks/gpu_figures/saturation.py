"""An engine that always has as much to do as it can: what it finishes, and how long its steps last."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from brownout_inference.engine.interface import DeviceFullError, Engine
from brownout_inference.work import Work
from gpu_figures.timing import settle


@dataclass
class Saturated:
    """What was done in `seconds`."""

    seconds: float = 0.0
    results: list[Any] = field(default_factory=list)
    steps: int = 0
    slot_steps: float = 0.0
    """Steps times the slots that took part in them."""
    refused: int = 0
    """Times that the device was full."""


def saturate(engine: Engine, works: Callable[[int], Work], *, slots: float, seconds: float) -> Saturated:
    """Keeps `slots` of the engine busy; a first second is not counted. A request that does not fit now is tried again later."""
    done, running, numbers = Saturated(), {}, itertools.count(1)
    following: Work | None = None
    settle()
    began = time.perf_counter()
    counted_from: float | None = None
    while (now := time.perf_counter()) - began < seconds + 1.0:
        if counted_from is None and now - began >= 1.0:
            done, counted_from = Saturated(), now
        while True:
            following = following or works(next(numbers))
            if sum(work.slots for work in running.values()) + following.slots > slots:
                break
            key = next(numbers)
            try:
                engine.join(key, following)
            except DeviceFullError:
                done.refused += 1
                break
            running[key], following = following, None
        try:
            found = engine.step(list(running))
        except DeviceFullError:
            done.refused += 1
            last = list(running)[-1]
            engine.leave(last)
            following = running.pop(last)
            continue
        done.steps += 1
        done.slot_steps += sum(work.slots for work in running.values())
        done.results += found.finished.values()
        for key in (*found.finished, *found.failed):
            del running[key]
    settle()
    done.seconds = time.perf_counter() - (counted_from or began)
    for key in running:
        engine.leave(key)
    return done
