"""How long a step takes: declared for a paced device, measured for a real one."""

FULL = 0.75
"""Steps with this part of the batch taken, or more, tell how long a full one takes."""

WEIGHT = 0.05
"""Of the newest measurement in the running mean."""


class Pace:
    """Seconds of a step. `declared` is the least that a step takes; 0 leaves all to measurement."""

    def __init__(self, declared: float) -> None:
        self.declared = declared
        self._measured: float | None = None
        self._measured_full = False

    @property
    def step_seconds(self) -> float:
        """Of a full step as far as is known; 0 before anything was measured where nothing is declared."""
        return max(self.declared, self._measured or 0.0)

    def stepped(self, seconds: float, *, fill: float) -> None:
        """A step took `seconds` with `fill` of the batch taken, 0..1. Steps that are nearly empty count until there were fuller ones."""
        full = fill >= FULL
        if self._measured_full and not full:
            return
        if self._measured is None or (full and not self._measured_full):
            self._measured = seconds
        else:
            self._measured += WEIGHT * (seconds - self._measured)
        self._measured_full = full
