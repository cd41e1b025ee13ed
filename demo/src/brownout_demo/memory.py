"""What the whole demo weighs: proportional memory of this process and everything that it started, as Linux counts it.

Proportional set size shares the pages of libraries among the processes that map them, so the sum is what the machine gives.
"""

import os
from pathlib import Path

PROC = Path("/proc")
# The first that a command line contains names the program; ours mention others in their arguments.
NAMES = (
    "brownout-inference",
    "brownout operator",
    "brownout flags",
    "brownout_localcluster",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
    "kwok",
    "prometheus",
)


def weigh() -> dict[str, float]:
    """MiB by program, and `total`. A process that ends meanwhile is left out."""
    parents = {pid: parent for pid in _pids() if (parent := _parent(pid)) is not None}
    found: dict[str, float] = {}
    for pid in parents:
        if not _descends(pid, parents):
            continue
        try:
            weight = _proportional_mib(pid)
            command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue
        name = next((name for name in NAMES if name in command), "demo")
        found[name] = round(found.get(name, 0.0) + weight, 1)
    found["total"] = round(sum(found.values()), 1)
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _descends(pid: int, parents: dict[int, int]) -> bool:
    own, at = os.getpid(), pid
    while at in parents and at != own:
        at = parents[at]
    return at == own


def _proportional_mib(pid: int) -> float:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no Pss")
