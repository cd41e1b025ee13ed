"""The servers that are compared, each as processes of its own, ended with all their children."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PAGE = os.sysconf("SC_PAGE_SIZE")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}
"""Of all that is compared: one thread, and what our server tells the allocator by itself, with which the bare loop makes a third more pictures, too."""

AT_ONCE_SECONDS = 0.5
"""An idle server answers within this."""


@dataclass
class Running:
    """A server: its first process and where it listens."""

    process: "subprocess.Popen[bytes]"
    url: str

    def pids(self) -> list[int]:
        """The process and all that come from it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting += [int(child) for child in children.read_text().split()]
        return found

    def memory_bytes(self) -> int:
        """Resident memory of all of them, what they share counted once for each."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        return total


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    ready: str,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    ready_seconds: float = 120.0,
) -> Iterator[Running]:
    """A server for a while, in a session of its own so that what it leaves behind can be ended too."""
    output = log.open("wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    server = Running(process, f"http://127.0.0.1:{port}")
    try:
        wait_until_ready(server, ready, seconds=ready_seconds)
        yield server
    finally:
        mine = server.pids()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if log:
            output.close()  # type: ignore[union-attr]


def wait_until_ready(server: Running, path: str, *, seconds: float) -> None:
    """Asks until the path is answered with less than 400. Raises RuntimeError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(server.url + path, timeout=2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{server.process.args!r} was not ready within {seconds:.0f} s")


def is_idle_within(seconds: float, server: Running, path: str, body: Mapping[str, object]) -> bool:
    """Asks until an answer comes at once, which says that nothing of an earlier load is left to do."""
    request = urllib.request.Request(
        server.url + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=AT_ONCE_SECONDS) as response:
            response.read()
            return True
        time.sleep(0.1)
    return False


def ours(port: int, *options: str, log: Path | None = None) -> contextlib.AbstractContextManager[Running]:
    """`brownout-inference serve` of the shipped image model at the speed of the machine."""
    command = [sys.executable, "-m", "brownout_inference.main", "serve", "--port", str(port)]
    command += ["--workload", "image", "--features", "image-generation", "--step-seconds", "0", *options]
    return running(command, port, ready="/readyz", log=log, environment={"POD_IP": "127.0.0.1"})


def other(name: str, python: Path, port: int, batch: int, *, log: Path) -> contextlib.AbstractContextManager[Running]:
    """LitServe, Ray Serve or FastAPI with the same model, from `references/NAME.py`."""
    script = HERE / "references" / f"{name}.py"
    return running([str(python), str(script), str(port), str(batch)], port, ready="/health", log=log)
