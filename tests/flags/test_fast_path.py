"""The fast path beside the application: what it answers is, to the byte, what the application would have."""

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.flags.board import Board
from brownout.flags.callers import Callers, CallerSettings
from brownout.flags.cors import Cors
from brownout.flags.fast_path import FastPath, address
from brownout.flags.metrics import Metrics
from brownout.flags.notices import Notices
from brownout.flags.ofrep import Address, Ofrep
from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted

KEY = "image-generation"
PAGE = "https://app.example.com"
FREE = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "f"}
POLICIES = (policy(cells=[cell("free", "full", 50)]), policy("chat", cells=[cell("free", "denied")]))
DATE = re.compile(rb"\r\nDate: [^\r]+")


class Wire:
    """A connection that is kept open, and the bytes that go over it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._reader = self._socket.makefile("rb")

    def ask(self, request: bytes) -> bytes:
        """The whole response to a request."""
        self._socket.sendall(request)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._reader.readline()
            assert line, f"the connection has ended after {head!r}"
            head += line
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        return head + self._reader.read(int(length[1]) if length else 0)

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


def asking(
    path: str, body: bytes = b"", *, method: str = "POST", version: str = "1.1", chunked: bool = False, **headers: str
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: flags"]
    lines += ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else b"0\r\n\r\n" if chunked else body
    return "\r\n".join([*lines, "", ""]).encode() + sent


def the_long_way(path: str) -> str:
    """The same path with a letter escaped: the fast path decodes nothing."""
    return path.replace("evaluate", "%65valuate")


@pytest.fixture(scope="module")
def inside() -> Iterator[HostedServer]:
    with hosted(*POLICIES) as running:
        yield running


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedServer]:
    keys = tmp_path_factory.mktemp("keys") / "api-keys"
    keys.write_text("gateway-key\nother-key other\n")
    callers = CallerSettings(trust_context=False, required=True, api_keys_file=keys)
    with hosted(*POLICIES, callers=callers, cors_origins=(PAGE,)) as running:
        yield running


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
attributes = st.dictionaries(
    st.sampled_from(["plan", "targetingKey", "accountCreatedAt", "country"]),
    st.sampled_from(["free", "pro", 1_500_000_000]) | scalars | st.lists(scalars, max_size=2),
    max_size=4,
)
bodies = (
    st.builds(lambda context: msgspec.json.encode({"context": context}), attributes)
    | st.binary(max_size=20)
    | st.sampled_from([b"", b" ", b"[]", b'{"context": 1}', b'{"context": {"a": 1, "a": 2}}', b"x" * 70_000])
)
paths = st.sampled_from(
    [
        f"{prefix}/ofrep/v1/evaluate/flags{key}"
        for prefix in ("", f"/{NAMESPACE}", "/elsewhere")
        for key in ("", f"/{KEY}", "/chat", "/brownout.audience", "/nothing")
    ]
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Origin": st.sampled_from([PAGE, "https://evil.example.com", "null"]),
        "X_API_Key": st.sampled_from(["gateway-key", "other-key", "wrong"]),
        "Authorization": st.sampled_from(["Bearer gateway-key", "Bearer wrong", "Basic eDp5", "Bearer"]),
        "If_None_Match": st.sampled_from(["*", '"0"', 'W/"0", *']),
        "Content_Type": st.sampled_from(["application/json", "text/plain"]),
    },
)


@pytest.mark.parametrize("name", ["inside", "public"])
def test_the_fast_path_answers_what_the_application_answers(name: str, request: pytest.FixtureRequest) -> None:
    server: HostedServer = request.getfixturevalue(name)
    wire = Wire(server.http_port)

    @settings(max_examples=150, deadline=None)
    @given(path=paths, body=bodies, headers=headers, chunked=st.booleans())
    def holds(path: str, body: bytes, headers: dict[str, str], chunked: bool) -> None:
        both = [wire.ask(asking(each, body, chunked=chunked, **headers)) for each in (path, the_long_way(path))]
        fast, slow = (DATE.sub(b"", answer, count=1) for answer in both)
        assert fast == slow
        assert all(DATE.search(answer) for answer in both)

    try:
        holds()
    finally:
        wire.close()


def test_both_are_counted_alike(inside: HostedServer) -> None:
    wire = Wire(inside.http_port)
    path = f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}"
    counted = [inside.metric("brownout_flags_evaluations_total", endpoint="single", outcome="ok")]
    for each in (path, the_long_way(path)):
        wire.ask(asking(each, msgspec.json.encode({"context": FREE})))
        counted.append(inside.metric("brownout_flags_evaluations_total", endpoint="single", outcome="ok"))
    wire.close()
    assert counted == [counted[0], counted[0] + 1, counted[0] + 2]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/media/ofrep/v1/evaluate/flags/chat", Address("media", "chat")),
        ("/media/ofrep/v1/evaluate/flags", Address("media", None)),
        ("/ofrep/v1/evaluate/flags/brownout.audience", Address(None, "brownout.audience")),
        ("/ofrep/v1/evaluate/flags", Address(None, None)),
        ("/ofrep/ofrep/v1/evaluate/flags", Address("ofrep", None)),
    ],
)
def test_an_evaluation_is_known_by_its_path(path: str, asked: Address) -> None:
    assert address(path) == asked


@pytest.mark.parametrize(
    "path",
    [
        "/media/ofrep/v1/evaluate/flags/",
        "/media/ofrep/v1/evaluate/flags/a/b",
        "/media/ofrep/v1/evaluate/flags?flagConfigEtag=x",
        "/media/ofrep/v1/evaluate/flags/ch%61t",
        "/media/ofrep/v1/evaluate/flags/..",
        "/../ofrep/v1/evaluate/flags",
        "//ofrep/v1/evaluate/flags",
        "/media/ofrep/v1/evaluate/flags/größe",
        "/media/ofrep/v1/evaluate/flags\n",
        "http://flags/media/ofrep/v1/evaluate/flags",
        "/media/ofrep/v1/events",
        "/livez",
        "*",
    ],
)
def test_every_other_path_is_the_applications(path: str) -> None:
    assert address(path) is None


def asked_before(application: Any, *requests: bytes) -> list[bytes]:
    """The status lines of what a bare server with the fast path before `application` answers, each on a connection of its own."""

    async def ask() -> list[bytes]:
        board, metrics = Board(), Metrics()
        notices = Notices(board, metrics, spread_seconds=0.0, most=1)
        ofrep = Ofrep(board, metrics, notices, Callers(CallerSettings(), metrics))
        server = web.Server(FastPath(ofrep, Cors(())).before(application))
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        lines = []
        for each in requests:
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(each)
            lines.append(await reader.readline())
            writer.close()
        await runner.cleanup()
        return lines

    return asyncio.run(ask())


async def teapot(request: web.BaseRequest) -> web.Response:
    return web.Response(status=418)


def test_an_evaluation_never_reaches_the_application() -> None:
    path = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
    lines = asked_before(teapot, asking(path), asking(f"{path}/{KEY}", b'{"context": {}}'))
    assert lines == [b"HTTP/1.1 500 Internal Server Error\r\n"] * 2  # there is no flag set yet


def test_whatever_is_not_plain_reaches_the_application() -> None:
    path = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
    found = asked_before(
        teapot,
        asking(path, method="GET"),
        asking(path, method="OPTIONS"),
        asking(path, Connection="close"),
        asking(path, version="1.0", Connection="keep-alive"),
        asking(path, Expect="100-continue"),
        asking(f"{path}?flagConfigEtag=x"),
    )
    assert [line.split()[1] for line in found] == [b"418"] * 6


def test_a_connection_serves_one_request_after_the_other(inside: HostedServer) -> None:
    """Also those that were sent before the first was answered."""
    wire = Wire(inside.http_port)
    path = f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}"
    body = msgspec.json.encode({"context": FREE})
    once = wire.ask(asking(path, body))
    piped = wire.ask(asking(path, body) * 2)
    assert [DATE.sub(b"", answer) for answer in (piped, wire.ask(b""))] == [DATE.sub(b"", once)] * 2
    wire.close()
