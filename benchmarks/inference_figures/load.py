"""An open loop of requests: they come when they come, whether or not earlier ones were answered. Runs as a process of its own.

    python load.py URL --path /v1/images/generations --rate 30 --seconds 20 [--plan free] [--seed 1] [--patience 30] [--aside]

Prints one line of JSON: what became of each request, as `[sent, seconds, status]`, `sent` in seconds from the start; a status of 0 is a connection that failed or took
longer than the client's patience. With a plan there are 997 users, who share it fairly; without one nobody is known, and first come is first served, as with the references.
With `--aside` it runs only where the server and other loads leave a core idle, as if its users were elsewhere; being late, it makes up for it, so as much is asked.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Call:
    """One request. `status` 0: no answer."""

    sent: float
    seconds: float
    status: int


class Load:
    """A load that was started and can be waited for."""

    def __init__(
        self,
        url: str,
        *,
        rate: float,
        seconds: float,
        seed: int,
        plan: str = "",
        path: str,
        body: dict[str, Any],
        patience_seconds: float = PATIENCE_SECONDS,
        aside: bool = False,
    ) -> None:
        command = [sys.executable, str(Path(__file__)), url, "--rate", str(rate), "--seconds", str(seconds)]
        command += ["--seed", str(seed), "--plan", plan, "--path", path, "--body", json.dumps(body)]
        command += ["--patience", str(patience_seconds), *(["--aside"] if aside else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def calls(self) -> list[Call]:
        """What became of them. Waits until all have ended."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the load ended with {self._process.returncode}")
        return [Call(*call) for call in json.loads(out)]


async def offer(
    url: str,
    *,
    rate: float,
    seconds: float,
    seed: int,
    plan: str,
    path: str,
    body: dict[str, Any],
    patience_seconds: float,
) -> list[Call]:
    """Sends Poisson arrivals of `rate` a second for so long, and waits for the last."""
    moments = random.Random(seed)
    began = time.monotonic()
    calls: list[Call] = []
    at, sending = 0.0, []
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=patience_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        number = 0
        while (at := at + moments.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            number += 1
            headers = {"X-Brownout-User": f"{plan}-{number % 997}", "X-Brownout-Plan": plan} if plan else {}
            sending.append(asyncio.create_task(_call(session, url + path, body, headers, began, calls)))
        await asyncio.gather(*sending)
    return calls


async def _call(
    session: aiohttp.ClientSession, url: str, body: Any, headers: dict[str, str], began: float, calls: list[Call]
) -> None:
    sent = time.monotonic()
    try:
        async with session.post(url, json=body, headers=headers) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        status = 0
    calls.append(Call(sent - began, time.monotonic() - sent, status))


def step_aside() -> None:
    """Runs from now on where nothing else wants to, and a processor that it runs on counts as free for whoever wakes up (sched(7), SCHED_IDLE). Linux shares processors among sessions before it looks
    at processes (autogroups), so this is one of its own."""
    os.setsid()
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):  # there where autogroups are
        Path("/proc/self/autogroup").write_text("19")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", type=json.loads, default={"prompt": "a seven"})
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plan", default="")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS)
    parser.add_argument("--aside", action="store_true")
    told = parser.parse_args(arguments)
    if told.aside:
        step_aside()
    calls = asyncio.run(
        offer(
            told.url,
            rate=told.rate,
            seconds=told.seconds,
            seed=told.seed,
            plan=told.plan,
            path=told.path,
            body=told.body,
            patience_seconds=told.patience,
        )
    )
    print(json.dumps([[round(c.sent, 4), round(c.seconds, 5), c.status] for c in calls]))


if __name__ == "__main__":
    main()
