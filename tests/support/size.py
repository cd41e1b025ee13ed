"""How much of a test is run: everything (`BROWNOUT_TESTS=whole`), or a bounded part of it that `make test` has time for.

No test is left out of either; what differs is how long a fault lasts, and how often it is repeated.
"""

import os
from typing import TypeVar

T = TypeVar("T")

WHOLE = os.environ.get("BROWNOUT_TESTS", "bounded") == "whole"


def sized(*, bounded: T, whole: T) -> T:
    """One of the two."""
    return whole if WHOLE else bounded
