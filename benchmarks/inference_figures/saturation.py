"""Throughput at saturation over a bare torch loop, and what the server adds to a request that is alone."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from figure import Figure, percentile, spread

from inference_figures.load import Load
from inference_figures.servers import ENVIRONMENT, HERE, ours

PATH = "/v1/images/generations"
BODY = {"prompt": "a seven"}
SIZES = (1, 2, 4, 8, 16, 32, 64)
IDLE_SECONDS = 0.002
"""The engine rests for so long between two requests that come one after the other."""

LINE = b"\r\n"
NEARLY = 0.85
"""Of the best throughput: what whoever serves several tiers settles for, because nobody who is more important can interrupt a step."""


def bare(*sizes: int, seconds: float, idle: float = 0.0) -> dict[int, float]:
    """Pictures a second of the bare loop, by batch size; where it rests before each batch for `idle` seconds, without that."""
    command = [sys.executable, str(HERE / "bare.py"), str(seconds), *map(str, sizes), "--idle", str(idle)]
    out = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **ENVIRONMENT}).stdout
    return {int(size): rate for size, rate in json.loads(out).items()}


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the bare loop can do: `pictures` a second at the `best` batch size, and nearly as many at the `short` one."""

    best: int
    short: int
    pictures: float


def measure(folder: Path, *, rounds: int, seconds: float) -> tuple[list[Figure], Capacity]:
    """The figures, and the capacity that other figures refer to."""
    first = bare(*SIZES, seconds=seconds / 3)
    best = max(first, key=lambda size: first[size])
    short = min(size for size, rate in first.items() if rate >= NEARLY * first[best])
    loop, served = [], []
    with ours(28200, "--max-batch", str(best), "--queue-places", "512", log=folder / "saturation.log") as server:
        for number in range(rounds):
            loop.append(bare(best, seconds=seconds)[best])
            load = Load(server.url, rate=1.3 * loop[-1], seconds=seconds, seed=number, path=PATH, body=BODY)
            calls = load.calls()
            ends = sorted(call.sent + call.seconds for call in calls if call.status == 200)
            inside = [end for end in ends if seconds * 0.2 <= end < seconds]
            served.append(len(inside) / (seconds * 0.8))
    ratios = [mine / theirs for mine, theirs in zip(served, loop, strict=True)]
    figure = Figure(
        name=f"throughput at saturation over a bare torch loop at its best batch ({best})",
        goal="at least 95 %",
        measured=f"{spread([100 * ratio for ratio in ratios]):.1f} %: {spread(served):.0f} of {spread(loop):.0f} pictures/s",
        met=median(ratios) >= 0.95,
        values={"served": served, "bare": loop, "by batch size": first},
    )
    return [figure], Capacity(best=best, short=short, pictures=median(loop))


def overhead(folder: Path, *, rounds: int, requests: int) -> list[Figure]:
    """What a request that is alone takes beyond its steps. The steps are those of the bare loop at batch size 1, on a processor that has rested before each for as long as the engine does."""
    extra, steps = [], []
    with ours(28201, "--max-batch", "1", log=folder / "overhead.log") as server:
        for _ in range(rounds):
            steps.append(1 / bare(1, seconds=3.0, idle=IDLE_SECONDS)[1])
            extra.append(percentile(_one_after_the_other(server.url, requests), 50) - steps[-1])
    return [
        Figure(
            name="server overhead for each request at batch size 1, p50",
            goal="under 2 ms",
            measured=f"{spread([1000 * each for each in extra]):.2f} ms beside {spread([1000 * each for each in steps]):.1f} ms of the model",
            met=median(extra) < 0.002,
            values={"extra": extra, "steps": steps},
        )
    ]


def _one_after_the_other(url: str, requests: int) -> list[float]:
    """Seconds of each request on a connection that is kept open, as clients' libraries do. It is a plain socket, so that what a library needs to read an answer is not taken for the server's."""
    host, port = urlsplit(url).netloc.split(":")
    body = json.dumps(BODY).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    took = []
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            began = time.perf_counter()
            connection.sendall(head.encode() + body)
            answer = _answer(connection)
            took.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"{url} answered {answer.partition(LINE)[0].decode()}")
    return took


def _answer(connection: socket.socket) -> bytes:
    """One whole answer, head and body."""
    answer = b""
    while (end := answer.find(2 * LINE)) < 0:
        answer += _some(connection)
    length = int(re.findall(rb"(?i)\r\ncontent-length: (\d+)", answer[:end])[0])
    while len(answer) < end + len(2 * LINE) + length:
        answer += _some(connection)
    return answer


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(1 << 20)
    if not part:
        raise RuntimeError("the server closed the connection before its answer was whole")
    return part
