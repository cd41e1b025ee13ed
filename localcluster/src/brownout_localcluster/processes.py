"""Child processes that cannot outlive us, and that can be waited for without a thread each.

Every child leads a process group (so that its own children go with it) and is killed by the kernel should this process die
without having had the time to clean up.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills this child when the thread that started it ends, whatever the reason."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A running child. Make one with `Process.start` inside an event loop, in the main thread."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._descriptor = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_exit)

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> "Process":
        """Starts `command` with its output appended to `log`. Raises OSError where it cannot be executed."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return cls(_spawn(command, output=output, environment=environment, folder=folder))

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return not self._exited.done()

    async def wait(self) -> int:
        """Waits for the end; returns the exit status, negative for the signal that ended it."""
        return await asyncio.shield(self._exited)

    def signal(self, number: int) -> None:
        """Sends a signal to the process itself, as a kubelet does; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def kill_group(self) -> None:
        """Kills the process and whatever it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    async def stop(self, grace_seconds: float) -> int:
        """SIGTERM, then SIGKILL after `grace_seconds` (at once if 0); returns the exit status."""
        if self.alive and grace_seconds > 0:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace_seconds)
        if self.alive:
            self.kill_group()
        return await self.wait()

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        # What the process has left behind in its group must not outlive it. The group exists as long as the
        # leader is not reaped, so this cannot hit a stranger.
        self.kill_group()
        status = self._popen.wait()
        if not self._exited.done():
            self._exited.set_result(status)


def _spawn(
    command: Sequence[str | Path], *, output: IO[bytes], environment: Mapping[str, str], folder: Path | None
) -> "subprocess.Popen[bytes]":
    # Our supervisor has one thread, so preexec_fn is safe in it.
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def start_time(pid: int) -> int | None:
    """When the process `pid` began, in clock ticks since boot; None if there is none (or only its zombie).

    With the pid it identifies a process for good, which the pid alone does not.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def resident_bytes(pid: int) -> int:
    """Memory of the process `pid` that is in RAM, in bytes; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
