"""One client with a thousand idle streams has all of them for as long as nobody else wants one."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from brownout.flags.connection import Limits
from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted
from support.waiting import wait_for

BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
EVENTS = f"/{NAMESPACE}/ofrep/v1/events"
GREEDY, OTHER = "127.0.0.1", "127.0.0.2"
MOST = 1_000


class Answered:
    """A request from an address of loopback, and what came of it as far as its head and one piece more."""

    def __init__(self, opened: ExitStack, server: HostedServer, address: str, request: str) -> None:
        self.socket = opened.enter_context(socket.socket())
        self.socket.bind((address, 0))
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", server.http_port))
        self.socket.sendall(request.encode())
        self.received = b""
        while b"\r\n\r\n" not in self.received:
            piece = self.socket.recv(65536)
            if not piece:
                break
            self.received += piece

    @property
    def status(self) -> int:
        return int(self.received.split()[1])

    def ended(self) -> bool:
        """Whether the server has ended it; what it still said is read."""
        self.socket.settimeout(0.01)
        with contextlib.suppress(TimeoutError):
            while self.socket.recv(65536):
                pass
            return True
        return False


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(opened: ExitStack, server: HostedServer, address: str) -> Answered:
    return Answered(opened, server, address, f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n")


def where(opened: ExitStack, server: HostedServer, address: str) -> list[object]:
    """The streams that a bulk answer names to who asks from an address."""
    request = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    found = Answered(opened, server, address, request)
    while piece := found.socket.recv(65536):
        found.received += piece
    streams: list[object] = json.loads(found.received.partition(b"\r\n\r\n")[2])["eventStreams"]
    return streams


def test_a_thousand_idle_streams_of_one_client_keep_nobody_else_away(opened: ExitStack) -> None:
    server = opened.enter_context(hosted(policy(), most_event_streams=MOST))
    greedy = [listen(opened, server, GREEDY) for _ in range(MOST)]
    wait_for(lambda: server.metric("brownout_flags_event_streams") == MOST, "all of them are open")
    assert listen(opened, server, GREEDY).status == 503
    assert where(opened, server, GREEDY) == []

    assert len(where(opened, server, OTHER)) == 1
    others = [listen(opened, server, OTHER) for _ in range(5)]
    assert {each.status for each in others} == {200}
    wait_for(lambda: all(each.ended() for each in greedy[:5]), "those that came first have gone")
    assert not greedy[5].ended()
    assert server.metric("brownout_flags_event_streams") == MOST
    assert server.metric("brownout_flags_event_streams_displaced_total") == 5
    version = server.publish(policy(cells=[cell("free", "denied")])).version.encode()
    for each in (*others, greedy[-1]):
        each.socket.settimeout(10)
        while version not in each.received:
            each.received += each.socket.recv(65536)


def test_behind_a_gateway_nobody_is_displaced(opened: ExitStack) -> None:
    """There everybody has its address."""
    server = opened.enter_context(hosted(policy(), most_event_streams=10))
    first = [listen(opened, server, GREEDY) for _ in range(10)]
    wait_for(lambda: server.metric("brownout_flags_event_streams") == 10, "all of them are open")
    assert [listen(opened, server, GREEDY).status for _ in range(5)] == [503] * 5
    assert not any(each.ended() for each in first)


def test_an_address_may_be_kept_to_a_number_of_streams_and_connections(opened: ExitStack) -> None:
    server = opened.enter_context(hosted(policy(), limits=Limits(most_per_address=4)))
    for _ in range(4):
        assert listen(opened, server, OTHER).status == 200
    with pytest.raises((IndexError, ConnectionError)):
        assert listen(opened, server, OTHER).status
    assert where(opened, server, GREEDY)
