"""Rolling restarts under load: who was admitted is answered once, and nobody twice.

Two replicas are ended (SIGTERM) and started anew in turn, while users ask through a gateway that sends to whoever is ready and tries another replica where one says
503 or cannot be reached. A request counts as lost where its connection broke after it was sent; as done twice where two engines finished it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import aiohttp
from figure import Figure

from inference_figures import recorder
from inference_figures.saturation import PATH

PORTS = (28230, 28231)
ASK_EVERY_SECONDS = 0.01
RETRY = {429, 503}


class Replicas:
    """The two processes; which of them are ready is looked at as an endpoints controller does."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._session = session
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._looked = asyncio.Condition()
        self.ready: set[int] = set()

    def start(self, port: int) -> None:
        command = [sys.executable, "-m", "brownout_inference.main", "serve", "--port", str(port), "--workload", "image"]
        command += ["--model", "python:inference_figures.recorder.Recorder"]
        command += ["--features", "image-generation", "--step-seconds", "0.02", "--max-batch", "16"]
        environment = {
            **os.environ,
            recorder.DONE_IN: str(self._folder / "done"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "POD_IP": "127.0.0.1",
        }
        with (self._folder / f"{port}.log").open("ab") as log:
            self._processes[port] = subprocess.Popen(command, env=environment, stderr=log, start_new_session=True)

    async def end(self, port: int) -> None:
        """SIGTERM, and waits until the process has gone by itself."""
        process = self._processes.pop(port)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 40)

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    async def look(self) -> None:
        while True:
            for port in PORTS:
                try:
                    async with self._session.get(f"http://127.0.0.1:{port}/readyz") as response:
                        (self.ready.add if response.status == 200 else self.ready.discard)(port)
                except (aiohttp.ClientError, OSError):
                    self.ready.discard(port)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(0.1)

    async def until_ready(self, *ports: int) -> None:
        """Raises TimeoutError after a minute."""
        async with asyncio.timeout(60), self._looked:
            await self._looked.wait_for(lambda: self.ready.issuperset(ports))


def measure(folder: Path, *, restarts: int) -> list[Figure]:
    """Restarts one replica after the other, `restarts` times in all."""
    seen = asyncio.run(_run(folder, restarts))
    done = Counter((folder / "done").read_text().splitlines())
    twice = sum(count > 1 for count in done.values())
    lost, asked = seen["lost"], seen["asked"]
    return [
        Figure(
            name=f"requests admitted and lost or done twice in {restarts} rolling restarts under load",
            goal="0",
            measured=f"{lost} lost, {twice} twice, of {asked:,}; {seen['moved']:,} were told to go to another replica, {seen['given up']} found none",
            met=lost == 0 and twice == 0,
            values=dict(seen),
        )
    ]


async def _run(folder: Path, restarts: int) -> Counter[str]:
    seen: Counter[str] = Counter(lost=0, asked=0, moved=0)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        replicas = Replicas(folder, session)
        looking = asyncio.create_task(replicas.look())
        try:
            for port in PORTS:
                replicas.start(port)
            await replicas.until_ready(*PORTS)
            asking = asyncio.create_task(_users(session, replicas, seen))
            for number in range(restarts):
                port = PORTS[number % 2]
                await replicas.end(port)
                replicas.start(port)
                await replicas.until_ready(port)
                await asyncio.sleep(0.5)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        finally:
            looking.cancel()
            replicas.kill()
    return seen


async def _users(session: aiohttp.ClientSession, replicas: Replicas, seen: Counter[str]) -> None:
    asking: set[asyncio.Task[None]] = set()
    try:
        while True:
            seen["asked"] += 1
            task = asyncio.create_task(_ask(session, replicas, seen, f"{seen['asked']} as a seven"))
            asking.add(task)
            task.add_done_callback(asking.discard)
            await asyncio.sleep(ASK_EVERY_SECONDS)
    finally:
        await asyncio.gather(*asking)


async def _ask(session: aiohttp.ClientSession, replicas: Replicas, seen: Counter[str], prompt: str) -> None:
    for _ in range(100):
        for port in sorted(replicas.ready):
            try:
                async with session.post(f"http://127.0.0.1:{port}{PATH}", json={"prompt": prompt}) as response:
                    await response.read()
                    if response.status == 200:
                        return
                    seen["moved"] += 1
                    if response.status not in RETRY:
                        seen["lost"] += 1
                        return
            except aiohttp.ClientConnectorError:
                continue  # it was never sent
            except (aiohttp.ClientError, OSError):
                seen["lost"] += 1
                return
        await asyncio.sleep(0.05)
    seen["given up"] += 1
