"""Memory after many requests, and under a flood of connections."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from figure import Figure, percentile

from inference_figures.saturation import BODY, PATH
from inference_figures.servers import Running, running

MEBIBYTE = 1024 * 1024
CONNECTIONS = 64


def _recorder(port: int, log: Path) -> "contextlib.AbstractContextManager[Running]":
    command = [sys.executable, "-m", "brownout_inference.main", "serve", "--port", str(port), "--workload", "image"]
    command += ["--model", "python:inference_figures.recorder.Recorder"]
    command += ["--features", "image-generation", "--step-seconds", "0", "--max-batch", "64", "--queue-places", "512"]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "POD_IP": "127.0.0.1"}
    return running(command, port, ready="/readyz", environment=environment, log=log)


def many(folder: Path, *, requests: int) -> list[Figure]:
    """Sends so many requests in ten parts and looks at the memory after each."""
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.body = "{\\"prompt\\": \\"a seven\\"}"\nwrk.headers["Content-Type"] = "application/json"\n'
    )
    with _recorder(28240, folder / "many.log") as server:
        sizes, sent, began = [], 0, time.monotonic()
        for part in range(10):
            while sent < requests * (part + 1) / 10:
                sent += _drive(server.url + PATH, script, seconds=10)
            sizes.append(server.memory_bytes() / MEBIBYTE)
        spent = time.monotonic() - began
    growth = sizes[-1] - sizes[0]
    return [
        Figure(
            name=f"memory after {sent:,} requests, all processes of the server",
            goal="flat",
            measured=f"{sizes[0]:.0f} MiB after a tenth of them, {sizes[-1]:.0f} MiB at the end ({sent / spent:,.0f} requests/s)",
            met=growth < max(4.0, 0.02 * sizes[0]),
            values={"MiB": sizes},
        )
    ]


def _drive(url: str, script: Path, *, seconds: int) -> int:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"requests were refused under load:\n{out}")
    (line,) = (line for line in out.splitlines() if "requests in" in line)
    return int(line.split()[0])


def flood(folder: Path, *, connections: int) -> list[Figure]:
    """Opens connections that never send a whole request, and asks meanwhile as a user does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * connections)), hard))
    with _recorder(28241, folder / "flood.log") as server:
        asyncio.run(_ask(server.url, 20))
        before = server.memory_bytes() / MEBIBYTE
        quiet = asyncio.run(_ask(server.url, 50))
        opened, answered, flooded = asyncio.run(_flooded(server, connections))
    return [
        Figure(
            name=f"under a flood of {connections:,} connections that never finish a request",
            goal="bounded memory, still answering",
            measured=f"{opened:,} opened; {before:.0f} -> {flooded:.0f} MiB; {len(answered)} of 50 answered, "
            f"p95 {1000 * percentile(answered or [float('inf')], 95):.0f} ms ({1000 * percentile(quiet, 95):.0f} ms before)",
            met=len(answered) == 50 and flooded - before < 200,
            values={"before": before, "flooded": flooded},
        )
    ]


async def _flooded(server: Running, connections: int) -> tuple[int, list[float], float]:
    port = int(server.url.rsplit(":", 1)[1])
    writers: list[asyncio.StreamWriter] = []

    async def open_one(number: int) -> None:
        source = f"127.0.{1 + number % 4}.1"  # ports of one address are too few
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writers.append(writer)
            if number % 2:
                writer.write(b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Le")

    for start in range(0, connections, 200):
        await asyncio.gather(*(open_one(number) for number in range(start, start + 200)))
    answered = await _ask(server.url, 50)
    memory = server.memory_bytes() / MEBIBYTE
    for writer in writers:
        writer.close()
    return len(writers), answered, memory


async def _ask(url: str, times: int) -> list[float]:
    """Seconds of those that were answered, each on a connection of its own."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.post(url + PATH, json=BODY) as response,
            ):
                await response.read()
                if response.status == 200:
                    took.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return took
