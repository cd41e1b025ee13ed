"""The clusters of this user on this machine: which there are, and how one is ended from another process."""

import contextlib
import json
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from brownout_localcluster.processes import start_time
from brownout_localcluster.spec import ClusterState, Layout, clusters_folder

END_SECONDS = 20.0
_UNFINISHED_SECONDS = 60.0


class OrderRefusedError(Exception):
    """The supervisor of a cluster did not do what it was told."""


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster whose supervisor is alive."""

    layout: Layout
    state: ClusterState


def running_clusters() -> list[Running]:
    """Every cluster that runs, the oldest first. Folders of clusters that were killed are removed on the way."""
    clusters = []
    for folder in clusters_folder().iterdir():
        layout = Layout(folder)
        state = _read(layout)
        if state and is_alive(state):
            clusters.append(Running(layout, state))
        elif state or _is_old(layout):
            shutil.rmtree(folder, ignore_errors=True)
    return sorted(clusters, key=lambda cluster: cluster.state.started_at)


def is_alive(state: ClusterState) -> bool:
    """Whether the supervisor still runs: the same process, not a later one with its pid."""
    return start_time(state.pid) == state.start_time


def end(cluster: Running) -> None:
    """Ends a cluster and waits until its folder is gone. Only the process that the state file identifies is signalled."""
    deadline = time.monotonic() + END_SECONDS
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_alive(cluster.state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(cluster.state.pid, number)
        while is_alive(cluster.state) and time.monotonic() < deadline:
            time.sleep(0.02)
        deadline += 5
    shutil.rmtree(cluster.layout.root, ignore_errors=True)


def order(layout: Layout, do: str, process: str = "") -> dict[str, int]:
    """Gives the supervisor an order and returns the pids of the control plane. Raises OrderRefusedError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        try:
            connection.connect(str(layout.control_socket))
        except OSError as error:
            raise OrderRefusedError(f"the cluster in {layout.root} does not answer: {error}") from error
        connection.sendall(json.dumps({"do": do, "process": process}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            answer: dict[str, Any] = json.loads(lines.readline() or b"{}")
    if not answer.get("ok"):
        raise OrderRefusedError(answer.get("error", "the supervisor ended"))
    return dict(answer["processes"])


def _read(layout: Layout) -> ClusterState | None:
    try:
        return msgspec.json.decode(layout.state.read_bytes(), type=ClusterState)
    except (OSError, msgspec.MsgspecError):
        return None


def _is_old(layout: Layout) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - layout.root.stat().st_mtime > _UNFINISHED_SECONDS
    return False
