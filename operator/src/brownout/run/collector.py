"""What the garbage collector need not look at, and how often it looks.

A tick makes some hundred thousand small objects and lets go of them by their reference counts; next to none are in cycles. Python's
collector nevertheless looks at all that there is several times in a tick, the facts of the whole cluster included: with a thousand
scalers a quarter of the tick. So what there is after the first tick is taken out of its sight, and it looks less often.
"""

import gc

THRESHOLDS = (50_000, 20, 100)
"""New objects before a look at the youngest, such looks before one at the middle ones, and those before one at all of them."""


def spare_what_stays() -> None:
    """Once: take what there is now for something that stays. Garbage that there is at this moment goes first."""
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
