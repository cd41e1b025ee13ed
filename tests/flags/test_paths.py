"""Paths that nobody serves, however they are written: a fixed answer in no time, whatever else is in them."""

import socket
import time
from collections.abc import Iterator

import pytest

from flags.builders import NAMESPACE, policy
from flags.hosted import HostedServer, hosted

OFREP = "ofrep/v1/evaluate/flags"
LONG = "n" * 7000
"""What still fits into a request line."""

LARGEST_ANSWER = 1500
"""Bytes, head included: a path of thousands is not sent back."""


@pytest.fixture(scope="module")
def server() -> Iterator[HostedServer]:
    with hosted(policy()) as running:
        yield running


def ask(server: HostedServer, method: str, path: str) -> tuple[int, bytes, float]:
    """Status and all bytes of an answer, and how long it took in seconds. The path goes over the wire as it is."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=5) as connection:
        began = time.monotonic()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(f"{head}{{}}".encode())
        received = bytearray()
        while piece := connection.recv(65536):
            received += piece
    return int(received.split()[1]), bytes(received), time.monotonic() - began


NOBODYS = [
    ("POST", f"/nowhere/{OFREP}"),
    ("POST", f"/{LONG}/{OFREP}"),
    ("POST", f"/{LONG}/{OFREP}/chat"),
    ("POST", f"/{NAMESPACE}%2F{OFREP}"),
    ("POST", f"/{NAMESPACE}/ofrep%2Fv1%2Fevaluate%2Fflags"),
    ("POST", f"/nowhere%2F{NAMESPACE}/{OFREP}"),
    ("POST", f"/%00/{OFREP}"),
    ("POST", f"/{NAMESPACE}%00/{OFREP}"),
    ("POST", f"/{'%00' * 2000}/{OFREP}"),
    ("POST", f"/%ff%fe/{OFREP}"),
    ("POST", f"/%2e%2e/{NAMESPACE}/{OFREP}"),
    ("POST", f"/../{NAMESPACE}/{OFREP}"),
    ("POST", f"//{NAMESPACE}//{OFREP}"),
    ("POST", f"/{NAMESPACE}/{OFREP}/{LONG}"),
    ("POST", f"/{NAMESPACE}/{OFREP}/%2F"),
    ("POST", f"/{NAMESPACE}/{OFREP}/a%2F..%2Fimage-generation"),
    ("POST", f"/{NAMESPACE}/{OFREP}/image-generation%00"),
    ("POST", f"/{NAMESPACE}/{OFREP}/{'%F0%9F%98%80' * 600}"),
    ("POST", f"/{NAMESPACE}/v1/quota/{LONG}/reserve"),
    ("POST", f"/{LONG}/v1/quota/chat/reserve"),
    ("POST", "/" + "a/" * 3500),
    ("POST", "/" + "%2F" * 2400),
    ("POST", "/%"),
    ("GET", "/nowhere/status"),
    ("GET", f"/{LONG}/status"),
    ("GET", f"/{'%0a' * 2000}/status"),
    ("GET", f"/{LONG}/status.json"),
    ("GET", f"/{NAMESPACE}/status/{'a' * 7000}.css"),
    ("GET", f"/{NAMESPACE}/status/..%2f..%2fanswers.py"),
    ("GET", f"/{LONG}/ofrep/v1/events"),
    ("GET", "/%00/ofrep/v1/events"),
]


@pytest.mark.parametrize(("method", "path"), NOBODYS, ids=[f"{n}-{path[:30]}" for n, (_, path) in enumerate(NOBODYS)])
def test_what_is_not_served_has_an_answer_of_a_fixed_size_in_no_time(
    server: HostedServer, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, answer, seconds = min((ask(server, method, path) for _ in range(3)), key=lambda each: each[2])
    assert status in (400, 404)
    assert len(answer) < LARGEST_ANSWER
    assert seconds < 0.1
    assert not caplog.records


@pytest.mark.parametrize("path", [f"/{NAMESPACE}/{OFREP}", f"http://x/{NAMESPACE}/{OFREP}", f"/%6dedia/{OFREP}"])
def test_a_path_that_is_written_another_way_is_the_same_path(server: HostedServer, path: str) -> None:
    assert ask(server, "POST", path)[0] == 200


def test_a_path_beyond_a_request_line_is_a_400(server: HostedServer) -> None:
    status, answer, seconds = ask(server, "POST", f"/{NAMESPACE}/{OFREP}/" + "k" * 20_000)
    assert status == 400
    assert len(answer) < LARGEST_ANSWER
    assert seconds < 0.5


def test_names_of_files_that_are_none_are_not_remembered(server: HostedServer) -> None:
    from brownout.flags.pages.answers import assets

    before = len(assets())
    for number in range(200):
        assert ask(server, "GET", f"/{NAMESPACE}/status/{'abcdefghij'[number % 10] * (number + 1)}.css")[0] == 404
    assert len(assets()) == before
