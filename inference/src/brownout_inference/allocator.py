"""What glibc's allocator does with memory that was freed: it is kept for what is needed next.

By itself it gives a large piece back to the system as soon as it is free, and the next step or picture of the same size takes it anew, zeroed page by page: with the shipped image model that is a quarter of
a step of 32 pictures on a CPU. Other allocators, and other systems' libraries, are left as they are.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""

MOST_ASKED_OF_HEAP = 32 * 2**20
"""Larger pieces are the system's at once; the largest value that mallopt(3) takes on 64 bits."""

CHOSEN_ELSEWHERE = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory(most_bytes: int) -> bool:
    """From now on up to `most_bytes` that this process has freed stay its own. False where that cannot be said, or the environment has said otherwise."""
    if any(name in os.environ for name in CHOSEN_ELSEWHERE):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # no glibc
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MOST_ASKED_OF_HEAP)) and bool(mallopt(M_TRIM_THRESHOLD, most_bytes))
