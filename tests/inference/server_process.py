"""A real server: its process, and what one asks of it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
from prometheus_client.parser import text_string_to_metric_families

from inference.flag_source import FlagSource, flag_set
from support.waiting import wait_for_async

TESTS = Path(__file__).parents[1]
STEP_SECONDS = 0.05
FLAG_CHANGES = "brownout_inference_flag_changes_total"
READY_SECONDS = 60.0


def with_tests(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that can import what tests bring, such as engines."""
    paths = [str(TESTS), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`brownout-inference serve` on a port of its own; its log is kept in `log`."""

    def __init__(self, log: Path, *arguments: str, flags_port: int) -> None:
        self.port = free_port()
        self.log = log
        command = [sys.executable, "-m", "brownout_inference.main", "serve", "--port", str(self.port)]
        command += ["--flags-port", str(flags_port), "--step-seconds", str(STEP_SECONDS), "--max-batch", "2"]
        environment = {**with_tests(os.environ), "POD_NAMESPACE": "media"}
        with log.open("w") as output:
            self.process = subprocess.Popen([*command, *arguments], stderr=output, env=environment)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Answer:
    """`at` is when it came, on the monotonic clock; `seconds` how long it took."""

    status: int
    body: Any
    headers: Mapping[str, str]
    at: float
    seconds: float


class Client:
    """Asks one server, as the gateway would for a user."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.url = f"http://127.0.0.1:{server.port}"

    async def image(self, plan: str = "free", *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return await self.post("/v1/images/generations", {"prompt": "a seven", **more}, plan=plan, headers=headers)

    async def post(
        self, path: str, body: Any, *, plan: str = "free", headers: Mapping[str, str] | None = None
    ) -> Answer:
        began = time.monotonic()
        identity = {"X-Brownout-User": "ana", "X-Brownout-Plan": plan, **(headers or {})}
        async with self.session.post(self.url + path, json=body, headers=identity) as response:
            answer = await response.json(content_type=None)
            now = time.monotonic()
            return Answer(response.status, answer, response.headers, now, now - began)

    def openai(self, plan: str = "free", *, user: str = "ana", retries: int = 0) -> openai.AsyncOpenAI:
        """The stock client, as a user of that plan behind the gateway. It is a context manager."""
        headers = {"X-Brownout-User": user, "X-Brownout-Plan": plan}
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key="unused", default_headers=headers, max_retries=retries
        )

    def asking(self, count: int, plan: str = "free") -> list[asyncio.Task[Answer]]:
        return [asyncio.create_task(self.image(plan)) for _ in range(count)]

    async def is_ready(self) -> bool:
        async with self.session.get(self.url + "/readyz") as response:
            return response.status == 200

    async def until_ready(self) -> None:
        await wait_for_async(self.is_ready, f"{self.server.log.read_text()}ready", seconds=READY_SECONDS)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with those labels."""
        async with self.session.get(self.url + "/metrics") as response:
            page = await response.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until_metric(self, name: str, value: float, **labels: str) -> None:
        async def reached() -> bool:
            return await self.metric(name, **labels) == value

        await wait_for_async(reached, f"{name}{labels} is {value}", seconds=10)

    async def until_metric_at_least(self, name: str, value: float, **labels: str) -> None:
        async def reached() -> bool:
            return await self.metric(name, **labels) >= value

        await wait_for_async(reached, f"{name}{labels} is at least {value}", seconds=10)

    async def use(self, source: FlagSource, **flags: str) -> None:
        """Has the source send these flags, and returns once the server has them."""
        before = await self.metric(FLAG_CHANGES)

        async def arrived() -> bool:
            return await self.metric(FLAG_CHANGES) > before

        source.push(flag_set(**flags))
        await wait_for_async(arrived, f"flags {flags} arrived", seconds=10)

    async def until_idle(self) -> None:
        await self.until_metric("brownout_inference_running", 0)
        await self.until_metric("brownout_inference_queue_length", 0)
