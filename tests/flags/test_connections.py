"""What strangers do to connections: heads and bodies that never end, answers that nobody reads, more connections than there may be."""

import contextlib
import http.client
import json
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.cli.main import main
from brownout.flags.connection import Limits, address_of
from brownout.flags.connections import open_files
from brownout.flags.server import allow_open_files
from brownout.flags.snapshot import encode, write
from flags.builders import NAMESPACE, TIERS, policy
from flags.hosted import hosted
from flags.process import NOWHERE, Asked, FlagServer, flag_server
from flags.streams import stream
from support.waiting import wait_for

BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
EVENTS = f"/{NAMESPACE}/ofrep/v1/events"
USER = {"context": {"targetingKey": "f", "plan": "free"}}
BODY = json.dumps(USER).encode()
HEAD = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n".encode()
BUSY = f"POST {BULK}?flagConfigEtag=of-another-replica HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
"""A request that waits for a set for a second."""

ENDED = "brownout_flags_connections_ended_total"


@contextmanager
def connected(server: Asked, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as connection:
        connection.sendall(sent)
        yield connection


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other side ends it."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return bytes(received)


# One connection


def test_a_head_that_never_ends_is_ended_with_a_word() -> None:
    with hosted(policy(), limits=Limits(head_seconds=0.5)) as server, connected(server, HEAD) as connection:
        began = time.monotonic()
        answer = everything(connection)
        assert time.monotonic() - began < 4
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n")
        assert answer.endswith(b"the head of the request was not there within 0.5 s\n")
        assert server.metric(ENDED, reason="head_timeout") == 1


def test_a_head_that_comes_in_drops_has_no_more_time() -> None:
    with hosted(policy(), limits=Limits(head_seconds=1.0)) as server, connected(server, HEAD) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 8:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_who_never_asks_anything_is_let_go_without_a_word() -> None:
    with hosted(policy(), limits=Limits(head_seconds=0.5)) as server, connected(server) as connection:
        assert everything(connection) == b""


@pytest.mark.parametrize("path", [BULK, f"{BULK}/image-generation", f"/{NAMESPACE}/v1/quota/image-generation/reserve"])
def test_a_body_that_never_ends_is_ended_with_a_word(path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode()
    with hosted(policy(), limits=Limits(body_seconds=0.5)) as server, connected(server, head) as connection:
        answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.endswith(b"the body of the request was not there within 0.5 s\n")
        assert server.metric(ENDED, reason="body_timeout") == 1


def test_an_idle_connection_is_closed_and_was_well_until_then() -> None:
    with hosted(policy(), limits=Limits(idle_seconds=1.5)) as server, connected(server) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"\r\n" + BODY)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.7)  # shorter than it may be idle, and together longer
        assert everything(connection) == b""
        assert server.metric(ENDED, reason="idle") == 1


def test_a_head_that_grows_is_refused_before_it_is_large() -> None:
    with hosted(policy(), limits=Limits(head_bytes=4096)) as server, connected(server, HEAD) as connection:
        sent = 0
        with contextlib.suppress(ConnectionError):
            for number in range(100):
                connection.sendall(b"X-%d: " % number + b"b" * 500 + b"\r\n")
                sent += 500
                time.sleep(0.01)
        assert sent < 20_000
        assert server.metric(ENDED, reason="head_too_large") == 1


def test_the_refusal_of_a_large_head_says_how_large_it_may_be() -> None:
    with hosted(policy(), limits=Limits(head_bytes=4096)) as server, connected(server, HEAD) as connection:
        connection.sendall(b"X-A: " + b"b" * 4096)
        answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert answer.endswith(b"larger than 4096 bytes together\n")


def test_no_refusal_is_written_into_an_answer_that_has_begun() -> None:
    ask = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with hosted(policy(), limits=Limits(head_bytes=1024)) as server, connected(server, ask) as connection:
        while b"retry: " not in connection.recv(65536):
            pass
        with contextlib.suppress(ConnectionError):
            connection.sendall(HEAD)
            for number in range(20):
                connection.sendall(b"X-%d: " % number + b"b" * 500 + b"\r\n")
        assert b"431" not in everything(connection)
        assert server.metric(ENDED, reason="head_too_large") == 1


def test_a_body_is_no_head() -> None:
    padded = json.dumps({**USER, "context": {**USER["context"], "much": "x" * 30_000}}).encode()
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(padded)}\r\n\r\n".encode()
    with hosted(policy(), limits=Limits(head_bytes=1024)) as server, connected(server, head) as connection:
        for start in range(0, len(padded), 1000):
            connection.sendall(padded[start : start + 1000])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_asks_and_does_not_read_is_let_go() -> None:
    with hosted(policy(), limits=Limits(unread_seconds=1.0)) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.http_port))
        deaf.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(2000):
                deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.metric(ENDED, reason="unread") == 1, "it is let go", seconds=10)
        assert server.metric("brownout_flags_connections") == 1  # who asks


def test_what_is_no_http_is_answered_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with hosted(policy()) as server:
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            with connected(server, nonsense) as connection:
                answer = everything(connection)
                assert answer.startswith(b"HTTP/1.")
                assert b" 400 " in answer.partition(b"\r\n")[0]
                assert len(answer) < 400
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


# All of them


def test_a_newcomer_takes_the_place_of_who_has_said_half_of_what_it_wants() -> None:
    with ExitStack() as open_connections:
        server = open_connections.enter_context(hosted(policy(), limits=Limits(most=8)))
        patient = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        open_connections.callback(patient.close)
        patient.request("POST", BULK, BODY)
        patient.getresponse().read()
        for _ in range(6):
            open_connections.enter_context(connected(server, HEAD))
        time.sleep(2.5)  # longer than a newcomer is spared, and the look at it after that
        for _ in range(6):
            assert server.ask(BULK, USER)[0] == 200
        for _ in range(4):
            open_connections.enter_context(connected(server, HEAD))
        assert server.ask(BULK, USER)[0] == 200
        assert server.metric(ENDED, reason="displaced") >= 3
        patient.request("POST", BULK, BODY)
        assert patient.getresponse().status == 200  # idle for all of that, but not half-said


def test_nobody_who_is_being_answered_is_displaced() -> None:
    with ExitStack() as open_connections:
        server = open_connections.enter_context(hosted(policy(), limits=Limits(most=2)))
        busy = [open_connections.enter_context(connected(server, BUSY)) for _ in range(2)]
        time.sleep(0.3)
        with connected(server) as newcomer:
            assert everything(newcomer) == b""
        for each in busy:
            assert each.recv(65536).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: server.metric(ENDED, reason="too_many") >= 1, "it is counted", seconds=5)


def test_streams_of_events_take_no_place_of_a_connection() -> None:
    with ExitStack() as open_streams:
        server = open_streams.enter_context(hosted(policy(), limits=Limits(most=2)))
        for number in range(6):
            open_streams.enter_context(stream(server, EVENTS))
            wait_for(
                lambda number=number: server.metric("brownout_flags_event_streams") == number + 1, "the stream is open"
            )
        assert server.ask(BULK, USER)[0] == 200
        assert server.metric("brownout_flags_connections") == 1  # who asks
        assert server.metric("brownout_flags_event_streams") == 6


def test_an_address_has_no_more_than_it_may_have() -> None:
    with ExitStack() as open_connections:
        server = open_connections.enter_context(hosted(policy(), limits=Limits(most_per_address=3)))
        for _ in range(3):
            connection = open_connections.enter_context(connected(server, HEAD + b"\r\n" + BODY))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        with connected(server) as one_too_many:
            assert everything(one_too_many) == b""
        elsewhere = open_connections.enter_context(socket.socket())
        elsewhere.bind(("127.0.0.2", 0))
        elsewhere.connect(("127.0.0.1", server.http_port))
        elsewhere.sendall(HEAD + b"\r\n" + BODY)
        assert elsewhere.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("203.0.113.9", 4711), "203.0.113.9"),
        (("2001:db8:1:2:3:4:5:6", 4711, 0, 0), "2001:db8:1:2"),
        (("2001:db8::6", 4711, 0, 0), "2001:db8:0:0"),
        (("::1", 4711, 0, 0), "0:0:0:0"),
        (("fe80::1%eth0", 4711, 0, 2), "fe80:0:0:0"),
        (("::ffff:203.0.113.9", 4711, 0, 0), "::ffff:203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        (None, ""),
        ("", ""),
    ],
)
def test_a_subscriber_is_an_address_or_half_of_one(peer: object, address: str) -> None:
    assert address_of(peer) == address


# A flood

FLOODERS, MOST = 600, 200
ANEW = 40
"""Of those that the server ended so many come back in a quarter of a second."""
QUESTIONS = 12


class Flood:
    """Connections that dribble, each opened anew when it is ended: heads, bodies, and questions whose answers nobody reads."""

    PREFIXES = (
        HEAD,
        HEAD + b"\r\n",
        b"".join(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" for _ in range(30)),
        b"",
    )

    def __init__(self, server: FlagServer) -> None:
        self.opened = 0
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Flood":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            connections = [self._open(selector, number) for number in range(FLOODERS)]
            try:
                while not self._stop.wait(0.25):
                    ended = [key for key, _ in selector.select(0) if key.data % 4 != 2 and self._has_ended(key.fileobj)]  # type: ignore[arg-type]
                    for key in ended[:ANEW]:
                        selector.unregister(key.fileobj)
                        connections[key.data].close()
                        connections[key.data] = self._open(selector, key.data)
                    for number, connection in enumerate(connections):
                        with contextlib.suppress(OSError):
                            connection.send((b"X", b" ", b"", b"")[number % 4])
            finally:
                for connection in connections:
                    connection.close()

    def _open(self, selector: selectors.BaseSelector, number: int) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", self._server.http_port))
        selector.register(connection, selectors.EVENT_READ, number)
        with contextlib.suppress(OSError):
            connection.setblocking(True)
            connection.settimeout(2)
            connection.sendall(self.PREFIXES[number % 4])
        connection.setblocking(False)
        self.opened += 1
        return connection

    @staticmethod
    def _has_ended(connection: socket.socket) -> bool:
        try:
            return connection.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


@pytest.fixture
def besieged(tmp_path: Path) -> Iterator[FlagServer]:
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    objects = {FEATURE_POLICY.plural: [policy()], USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: ()}
    write(snapshots, NAMESPACE, encode(objects, saved_at=0.0))
    (tmp_path / "kubeconfig").write_text(NOWHERE)
    options = ["--most-connections", str(MOST), "--head-timeout", "2", "--body-timeout", "2", "--unread-timeout", "2"]
    with flag_server(kubeconfig=tmp_path / "kubeconfig", snapshot_dir=snapshots, options=options) as server:
        yield server


def test_whoever_behaves_is_answered_during_a_flood_of_connections_in_bounded_memory(besieged: FlagServer) -> None:
    assert besieged.ask(BULK, USER)[0] == 200
    before = besieged.metric("process_resident_memory_bytes")
    with Flood(besieged) as flood:
        wait_for(lambda: flood.opened >= FLOODERS, "all of them have come", seconds=20)
        slowest, open_at_most = 0.0, 0.0
        for _ in range(QUESTIONS):
            each = time.monotonic()
            assert besieged.ask(BULK, USER)[0] == 200
            slowest = max(slowest, time.monotonic() - each)
            open_at_most = max(open_at_most, besieged.metric("brownout_flags_connections"))
        after = besieged.metric("process_resident_memory_bytes")
        displaced = besieged.metric(ENDED, reason="displaced")
    assert slowest < 5
    assert displaced > FLOODERS - MOST - 50
    assert open_at_most <= MOST
    assert after - before < 64 * 1024 * 1024


def test_fewer_open_files_than_connections_are_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    allow_open_files(open_files(Limits(most=1_000)))
    assert not caplog.records
    allow_open_files(open_files(Limits(most=1_000_000_000_000)))
    assert ["without them nobody new is heard" in record.message for record in caplog.records] == [True]


# The options


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--most-connections", "0", "would let nobody in"),
        ("--most-connections", "-1", "no whole number"),
        ("--head-timeout", "0", "seconds above 0"),
        ("--idle-timeout", "1m", "seconds above 0"),
        ("--unread-timeout", "nan", "seconds above 0"),
    ],
)
def test_a_limit_that_cannot_be_is_said_with_what_to_write(
    option: str,
    value: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "kubeconfig").write_text(NOWHERE)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with contextlib.suppress(SystemExit):
        assert main(["flags", "serve", option, value]) == 2
    error = capsys.readouterr().err
    assert option in error
    assert said in error
