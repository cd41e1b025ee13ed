"""A client of the streams of events, as plain as a socket, so that thousands of them fit into one test."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from flags.process import Asked
from support.waiting import wait_for


class Event(NamedTuple):
    """What was read of an event, and when (monotonic seconds)."""

    id: str
    name: str
    data: Any
    at: float


class Stream:
    """An open stream; a thread reads it."""

    def __init__(self, server: Asked, path: str, headers: Mapping[str, str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.http_port), timeout=10)
        lines = [f"GET {path} HTTP/1.0", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._socket.settimeout(None)
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(": ")
            self.headers[name] = value
        self.events: list[Event] = []
        self.retry: list[int] = []
        self.comments = 0
        self.ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, count: int, *, seconds: float = 10) -> list[Event]:
        """The events, as soon as there are so many."""
        wait_for(lambda: len(self.events) >= count, f"{count} events came", seconds=seconds)
        return self.events

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reader.join(timeout=5)
        self._file.close()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for raw in self._file:
                line = raw.decode().rstrip("\n")
                name, _, value = line.partition(":")
                if not line:
                    self._take(fields)
                    fields = {}
                elif not name:
                    self.comments += 1
                else:
                    fields[name] = value.removeprefix(" ")
        except (OSError, ValueError):
            pass
        self.ended = True

    def _take(self, fields: Mapping[str, str]) -> None:
        if "retry" in fields:
            self.retry.append(int(fields["retry"]))
        if "data" in fields:
            data = json.loads(fields["data"])
            self.events.append(Event(fields.get("id", ""), fields.get("event", ""), data, time.monotonic()))


@contextmanager
def stream(server: Asked, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Stream]:
    """A stream for a while. HTTP/1.0, so that no chunks have to be taken apart."""
    opened = Stream(server, path, headers or {})
    try:
        yield opened
    finally:
        opened.close()
