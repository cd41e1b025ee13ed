"""How the parts measure, and how they say what they found."""

import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

MARK = "FIGURE "
"""What a line of a part's output begins with that is a figure."""


def report(name: str, values: Sequence[float], unit: str, **setting: Any) -> float:
    """Prints a figure: the median of repeated values, with the least and the most. Returns the median."""
    middle = median(values)
    figure = {"name": name, "unit": unit, "value": middle, "low": min(values), "high": max(values), **setting}
    print(MARK + json.dumps(figure), flush=True)
    return middle


def note(name: str, text: str, **setting: Any) -> None:
    """Prints something that was found and is no number."""
    print(MARK + json.dumps({"name": name, "note": text, **setting}), flush=True)


def settle() -> None:
    """Waits for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_each(work: Callable[[], Any], *, calls: int, repeats: int = 5) -> list[float]:
    """Seconds that one call takes, as the mean of `calls` in a row, `repeats` times; the device has then done all of it."""
    work()
    settle()
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        settle()
        found.append((time.perf_counter() - began) / calls)
    return found


def attempt(name: str, work: Callable[[], Any], **setting: Any) -> Any:
    """Runs one measurement; one that fails is said, and the others go on."""
    try:
        return work()
    except Exception as error:
        note(name, f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", **setting)
        return None
