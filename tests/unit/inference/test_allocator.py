"""Memory that was freed is kept for the next step, where nobody has said otherwise."""

import platform
import subprocess
import sys

PIECES = """
import resource, sys
from brownout_inference.allocator import keep_freed_memory

print("no" not in sys.argv and keep_freed_memory(64 * 2**20))
def steps():
    for _ in range(100):
        [bytearray(b"1") * 2**20 for _ in range(4)]
steps()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
steps()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GLIBC = platform.libc_ver()[0] == "glibc"


def kept_and_faults(*arguments: str, **environment: str) -> tuple[bool, int]:
    """Whether memory is kept, and how many pages were taken anew in a hundred steps with four pieces of 256 pages each."""
    out = subprocess.run(
        [sys.executable, "-c", PIECES, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    kept, faults = out.stdout.split()
    return kept == "True", int(faults)


def test_a_step_finds_the_memory_of_the_one_before() -> None:
    kept, faults = kept_and_faults()
    assert kept is GLIBC
    assert faults < 1024 or not GLIBC
    _, otherwise = kept_and_faults("no")
    assert otherwise > 10 * 1024 or not GLIBC


def test_what_the_environment_says_counts() -> None:
    kept, faults = kept_and_faults(MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="65536")
    assert not kept
    assert faults > 10 * 1024 or not GLIBC
