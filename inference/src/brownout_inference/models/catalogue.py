"""The models by name, and what a step of each costs beside the best one. Nothing here imports torch: flags are read before it is there.

A share is counted, not timed: the multiply-adds of one step of one picture (one character of one text) over those of the best model at its own size, to two decimals. Timing would
say what one machine does at one fill; on a small batch a small network costs more than its share, on a GPU that is full it does not.
"""

from collections.abc import Mapping

SIDES = (28, 14)
"""The sizes in pixels in which pictures are made, the models' own first."""

IMAGE_SHARES: Mapping[tuple[str, int], float] = {
    ("full", 28): 1.0,
    ("full", 14): 0.3,
    ("lite", 28): 0.26,
    ("lite", 14): 0.08,
    ("distilled", 28): 1.0,
    ("distilled", 14): 0.3,
}
"""By model and size."""

TEXT_SHARES: Mapping[str, float] = {"full": 1.0, "lite": 0.2}
"""By model; attention looks at a full window."""

IMAGE_MODELS = tuple(dict.fromkeys(model for model, _ in IMAGE_SHARES))
TEXT_MODELS = tuple(TEXT_SHARES)
"""Best first."""
