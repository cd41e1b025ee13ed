"""Spans of time as people write them in a command: 90s, 15m, 1h30m, 7d."""

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")


def seconds(text: str) -> float:
    """The seconds of a span. Raises ValueError, saying what to write, for anything else and for no time at all."""
    parts = _PART.findall(text)
    total = sum(float(count) * _UNITS[unit] for count, unit in parts)
    if "".join(count + unit for count, unit in parts) != text or total <= 0:
        raise ValueError(f"found {text!r}; write a span such as 90s, 15m, 1h30m or 2d")
    return total


def span(duration: float) -> str:
    """Seconds as a person reads them, in the two greatest units: 1h 30m, 2d 3h, 45s. Nothing is below 0s."""
    left, found = max(0, round(duration)), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            found.append(f"{count}{unit}")
    return " ".join(found[:2]) or "0s"
