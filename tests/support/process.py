"""What Linux tells of a process, and on which processors it may run."""

import os
from pathlib import Path

MIB = 2**20


def pin(pid: int, processors: set[int]) -> None:
    """All its threads, and what it starts from now on, run on these processors alone."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), processors)


def processor_seconds(pid: int) -> float:
    """The processor time that it has used, in user and system mode; on a machine with others it says more than the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int, *, at_most: bool = False) -> int:
    """The memory that it holds now, or the most that it ever held."""
    name = "VmHWM:" if at_most else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {name}")
