"""Finds the programs of the cluster: those given, those installed, those built before, else builds them.

A program found on the machine is only taken if its version fits, because a controller manager newer than its API server, or a
Prometheus without the flags we set, fails later and less clearly.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from brownout_localcluster.build import CONTROL_PLANE, PROMETHEUS, GoModule, build_module

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Program:
    """A program we need. `accepts` are the lowest and highest (major, minor) of one found on the machine."""

    name: str
    module: GoModule
    version_arguments: tuple[str, ...]
    accepts: tuple[Version, Version]


_KUBERNETES = ((1, 36), (1, 36))
PROGRAMS = (
    Program("etcd", CONTROL_PLANE, ("--version",), ((3, 5), (3, 6))),
    Program("kube-apiserver", CONTROL_PLANE, ("--version",), _KUBERNETES),
    Program("kube-controller-manager", CONTROL_PLANE, ("--version",), _KUBERNETES),
    Program("kube-scheduler", CONTROL_PLANE, ("--version",), _KUBERNETES),
    Program("kubectl", CONTROL_PLANE, ("version", "--client"), ((1, 35), (1, 37))),
    Program("kwok", CONTROL_PLANE, ("--version",), ((0, 7), (0, 8))),
    Program("prometheus", PROMETHEUS, ("--version",), ((2, 42), (3, 99))),
    Program("promtool", PROMETHEUS, ("--version",), ((3, 5), (3, 99))),
)
ALL = frozenset(program.name for program in PROGRAMS)
CLUSTER = ALL - {"promtool"}
"""What a cluster runs. promtool tests the chart's alerts; nobody needs to wait for it who only wants a cluster."""


def find_binaries(names: Collection[str] = CLUSTER, *, say: Callable[[str], None] | None = None) -> dict[str, Path]:
    """Returns the path of each program, building what is neither installed nor cached (`say` is then told of progress).

    Looked for in this order: $KUBEBUILDER_ASSETS, $PATH, the cache. Raises BuildError with the log's path.
    """
    wanted = [program for program in PROGRAMS if program.name in names]
    found = {program.name: path for program in wanted if (path := _installed(program))}
    for module in (CONTROL_PLANE, PROMETHEUS):
        missing = [program.name for program in wanted if program.module is module and program.name not in found]
        if missing:
            folder = build_module(module, missing, say=say)
            found |= {name: folder / name for name in missing}
    return found


def _installed(program: Program) -> Path | None:
    folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", "")]
    for folder in os.pathsep.join(filter(None, folders)).split(os.pathsep):
        path = shutil.which(program.name, path=folder)
        if path and fits(program, _version_text(path, program)):
            return Path(path).absolute()
    return None


def _version_text(path: str, program: Program) -> str:
    try:
        asked = subprocess.run(
            [path, *program.version_arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout + asked.stderr


def fits(program: Program, version_text: str) -> bool:
    """Whether the first version number in `version_text` is one that we accept of `program`."""
    number = re.search(r"\bv?(\d+)\.(\d+)\.\d+", version_text)
    if not number:
        return False
    lowest, highest = program.accepts
    return lowest <= (int(number[1]), int(number[2])) <= highest
