"""A real Sentinel over a master and its replica, which a test can have fail over."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.redis import RedisServer, redis_server
from support.waiting import wait_for

SERVICE = "quotas"
DOWN_AFTER_MILLISECONDS = 1000
"""Less than one would set, for the test waits for it; more than a busy machine keeps a master from answering, or both would be masters for a while."""


class Sentinel(RedisServer):
    """A Sentinel of its own, with a word in what the master is: it is the only one."""

    def __init__(self, folder: Path, master: RedisServer, replica: RedisServer, *, program: str) -> None:
        super().__init__(folder, program=program)
        self.master = master
        self.replica = replica

    def start(self) -> None:
        """Start it, and wait until it knows the replica."""
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.master.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {SERVICE} 2000",
        ]
        settings = self._folder / "sentinel.conf"  # which it writes itself, later
        settings.write_text("\n".join(lines) + "\n")
        log = self._folder / "sentinel.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen([self._program, str(settings), "--sentinel"], stdout=output, stderr=output)
        known = f"127.0.0.1:{self.replica.port}".encode()
        wait_for(lambda: known in self.ask(f"SENTINEL REPLICAS {SERVICE}"), f"it knows the replica; {log}", seconds=15)

    def master_port(self) -> int:
        """Where it says that the master is."""
        lines = self.ask(f"SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}").split()
        return int(lines[-1])


@contextmanager
def sentinel(folder: Path, *, program: str) -> Iterator[Sentinel]:
    """A Sentinel, its master and its replica for a while."""
    with ExitStack() as running:
        quick = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        master = running.enter_context(redis_server(folder, *quick, program=program))
        options = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = running.enter_context(redis_server(folder, *quick, *options, program=program))
        wait_for(lambda: b"master_link_status:up" in replica.ask("INFO replication"), "it replicates", seconds=15)
        _pass_on(master, replica)
        found = Sentinel(folder, master, replica, program=program)
        running.callback(found.stop)
        found.start()
        yield found


def _pass_on(master: RedisServer, replica: RedisServer) -> None:
    """Waits until what is written comes over at once: after the first copy the master keeps it to itself until the replica has answered, up to a second."""
    for command, size in (("SET ping 1", b":1\r\n"), ("DEL ping", b":0\r\n")):
        master.ask(command)
        wait_for(lambda size=size: replica.ask("DBSIZE") == size, f"{command!r} came over", seconds=15)  # type: ignore[misc]


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes connections and never says anything, as a process that hangs does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
