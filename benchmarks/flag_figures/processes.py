"""Servers as processes of their own, each pinned to one core, and what they cost."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]

NOWHERE = """{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
 "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
 "users": [{"name": "nobody", "user": {}}],
 "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}]}"""
"""A kubeconfig of an API server that is not there."""


class Server:
    """A process that serves HTTP on a port of 127.0.0.1."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Processor time so far, of the process and all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    ready: str,
    environment: Mapping[str, str] | None = None,
    core: int | None = None,
) -> Iterator[Server]:
    """A server for a while. `ready` is a path that it answers once it serves."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE if core is None else core}),
    )
    try:
        server = Server(process, port)
        wait_until_answers(server, ready)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def wait_until_answers(server: Server, path: str, *, seconds: float = 60.0) -> None:
    """Ask until anything but an error of the connection or a 5xx comes back."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(server.url + path, timeout=1):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.process.args!r} does not answer {path}")
        time.sleep(0.002)


def wait_until_idle(server: Server, *, seconds: float = 60.0) -> None:
    """Wait until a server that is not asked takes next to nothing of its core: until what it does at its start is done."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(1.0)
        if server.cpu_seconds() - before < 0.02:
            return
    raise RuntimeError(f"{server.process.args!r} is never idle")


@contextlib.contextmanager
def flag_server(
    directory: Path, *, port: int, kubeconfig: Path | None = None, options: Sequence[str] = (), core: int | None = None
) -> Iterator[Server]:
    """`brownout flags serve` with its snapshot in `directory`; without a kubeconfig there is no API server."""
    if kubeconfig is None:
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(NOWHERE)
    command = [sys.executable, "-m", "brownout.cli.main", "flags", "serve", "--http-port", str(port)]
    command += ["--grpc-port", str(port + 1), "--snapshot-dir", str(directory), "--log-level", "error", *options]
    with running(command, port, ready="/readyz", environment={"KUBECONFIG": str(kubeconfig)}, core=core) as server:
        yield server
