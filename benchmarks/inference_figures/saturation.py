"""Throughput at saturation over a bare torch loop, and what the server adds to a request that is alone."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from figure import Figure, percentile, spread

from inference_figures.load import Load
from inference_figures.servers import HERE, ours

PATH = "/v1/images/generations"
BODY = {"prompt": "a seven"}
SIZES = (1, 2, 4, 8, 16, 32, 64)
NEARLY = 0.95
"""Of the best throughput: what whoever serves several tiers settles for, because nobody who is more important can interrupt a step."""


def bare(*sizes: int, seconds: float) -> dict[int, float]:
    """Pictures a second of the bare loop, by batch size."""
    command = [sys.executable, str(HERE / "bare.py"), str(seconds), *map(str, sizes)]
    out = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}).stdout
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
    """What a request that is alone takes beyond its steps. The steps are those of the bare loop at batch size 1."""
    extra = []
    alone = bare(1, seconds=3.0)[1]
    with ours(28201, "--max-batch", "1", log=folder / "overhead.log") as server:
        for _ in range(rounds):
            alone = bare(1, seconds=2.0)[1]
            took = _one_after_the_other(server.url, requests)
            extra.append(1000 * (percentile(took, 50) - 1 / alone))
    return [
        Figure(
            name="server overhead for each request at batch size 1, p50",
            goal="under 2 ms",
            measured=f"{spread(extra):.2f} ms beside {1000 / alone:.1f} ms of the model",
            met=median(extra) < 2,
            values={"ms": extra},
        )
    ]


def _one_after_the_other(url: str, requests: int) -> list[float]:
    """Seconds of each request on a connection that is kept open, as clients' libraries do."""
    connection = HTTPConnection(urlsplit(url).netloc)
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        connection.request("POST", PATH, json.dumps(BODY), {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        took.append(time.perf_counter() - began)
        if response.status != 200:
            raise RuntimeError(f"{url} answered {response.status}")
    connection.close()
    return took
