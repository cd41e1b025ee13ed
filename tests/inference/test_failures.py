"""Real servers whose engine fails in every way, under load: nobody is left without an answer, and nobody gets two."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from inference.server_process import Answer, Client, ServerProcess
from support.waiting import wait_for_async

NO_FLAGS = 1
"""A port on which nobody listens: everybody is served as unknown."""

STEP_SECONDS = 0.03

Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start(tmp_path: Path, session: aiohttp.ClientSession) -> AsyncIterator[Start]:
    servers: list[ServerProcess] = []

    async def start(*arguments: str, engine: str = "ObedientEngine", ready: bool = True) -> Client:
        words = ["--workload", "own", "--model", f"python:inference.engines.{engine}", "--features", "image-generation"]
        words += ["--step-seconds", str(STEP_SECONDS)]
        server = ServerProcess(tmp_path / f"{len(servers)}.log", *words, *arguments, flags_port=NO_FLAGS)
        servers.append(server)
        client = Client(server, session)
        if ready:
            await client.until_ready()
        return client

    yield start
    for server in servers:
        server.close()


def engine_pid(client: Client) -> int:
    children = Path(f"/proc/{client.server.process.pid}/task/{client.server.process.pid}/children").read_text()
    (pid,) = children.split()
    return int(pid)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def asking(client: Client, count: int, prompt: str = "grey") -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(client.image(prompt=prompt)) for _ in range(count)]


def said(answers: list[Answer]) -> Counter[tuple[int, str]]:
    return Counter((answer.status, answer.body.get("reason", "")) for answer in answers)


async def exit_status(client: Client, *, seconds: float = 10) -> int:
    return await asyncio.to_thread(client.server.process.wait, seconds)


async def test_a_kill_of_the_engine_costs_those_who_ran_a_retry_and_nobody_else_anything(start: Start) -> None:
    client = await start()
    asked = asking(client, 10)
    await client.until_metric("brownout_inference_running", 2)
    os.kill(engine_pid(client), signal.SIGKILL)
    answers = await asyncio.gather(*asked)
    assert said(answers) == {(200, ""): 8, (503, "engine_failed"): 2}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 503)
    assert await client.metric("brownout_inference_engine_losses_total") == 1
    assert await client.metric("brownout_feature_failed_total", reason="engine") == 2
    assert await client.metric("brownout_feature_completed_total") == 8


async def test_while_there_is_no_engine_it_is_not_ready_and_says_so(start: Start) -> None:
    client = await start()
    seen: list[tuple[int, str]] = []

    async def look_on() -> None:  # without a pause: another engine may be there within a tenth of a second
        while True:
            async with client.session.get(client.url + "/readyz") as response:
                seen.append((response.status, await response.text()))

    looking = asyncio.create_task(look_on())
    os.kill(engine_pid(client), signal.SIGKILL)
    await client.until_metric_at_least("brownout_inference_engine_losses_total", 1)
    await client.until_ready()
    looking.cancel()
    assert any(status == 503 and "loading" in text for status, text in seen), set(seen)
    assert (await client.image()).status == 200


@pytest.mark.parametrize("prompt", ["poison", "nan"])
async def test_a_poisoned_request_fails_alone(start: Start, prompt: str) -> None:
    client = await start("--max-batch", "8")
    others = asking(client, 6)
    await client.until_metric_at_least("brownout_inference_running", 1)
    poisoned = await client.image(prompt=prompt)
    answers = await asyncio.gather(*others)
    assert said(answers) == {(200, ""): 6}
    assert (poisoned.status, poisoned.body["reason"]) == (500, "request_failed")
    assert "poison" not in poisoned.body["detail"]  # the log says more, the answer does not
    assert await client.metric("brownout_inference_engine_losses_total") == 0
    assert poisoned.seconds < 1


async def test_a_request_that_ends_engines_is_not_let_near_a_fourth_one(start: Start) -> None:
    client = await start()
    for _ in range(3):
        assert said([await client.image(prompt="crash")]) == {(503, "engine_failed"): 1}
        await client.until_ready()
    assert said([await client.image(prompt="crash")]) == {(500, "request_failed"): 1}
    assert await client.metric("brownout_inference_engine_losses_total") == 3
    assert (await client.image()).status == 200


async def test_a_request_that_the_model_cannot_do_says_what_to_write_instead(start: Start) -> None:
    client = await start()
    for _ in range(4):  # more in a row than an engine may fail
        answer = await client.image(prompt="long")
        assert (answer.status, answer.body["reason"]) == (400, "invalid_request")
        assert "write 8 at most" in answer.body["error"]["message"]
    assert (await client.image()).status == 200
    assert await client.metric("brownout_inference_engine_losses_total") == 0


async def test_an_engine_that_hangs_is_replaced(start: Start) -> None:
    client = await start("--step-timeout-seconds", "0.5")
    assert said([await client.image(prompt="hang")]) == {(503, "engine_failed"): 1}
    await client.until_ready()
    assert said(await asyncio.gather(*asking(client, 3))) == {(200, ""): 3}
    assert "a step took more than 0.5 s" in client.server.log.read_text()


async def test_an_engine_that_is_lost_again_and_again_ends_the_server(start: Start) -> None:
    client = await start(engine="UnloadableEngine", ready=False)
    assert await exit_status(client, seconds=60) == 1
    last = client.server.log.read_text().splitlines()[-1]
    assert last.startswith("brownout-inference: the engine was lost 6 times")
    assert "the weights are damaged" in last


async def test_a_model_that_is_not_there_ends_the_server_with_one_line(start: Start) -> None:
    client = await start(engine="NoSuchEngine", ready=False)
    assert await exit_status(client) == 1
    assert client.server.log.read_text().splitlines()[-1].startswith("brownout-inference: --model python:inference")


@pytest.mark.parametrize("host", ["no host", "203.0.113.1"])
async def test_an_address_that_cannot_be_had_ends_the_server_with_a_line_that_names_the_options(
    start: Start, host: str
) -> None:
    client = await start("--host", host, ready=False)
    assert await exit_status(client) == 1
    last = client.server.log.read_text().splitlines()[-1]
    assert last.startswith(f"brownout-inference: --host is '{host}', --port is {client.server.port}: ")
    assert last.endswith("; write an address of this machine, and a port that is free")


async def test_a_full_device_serves_everybody_with_a_smaller_batch(start: Start) -> None:
    client = await start("--max-batch", "8", engine="FullEngine")
    answers = await asyncio.gather(*asking(client, 24))
    assert said(answers) == {(200, ""): 24}
    assert 1 <= await client.metric("brownout_inference_batch_slots") <= 4


async def test_a_client_that_goes_frees_what_the_engine_held_for_it(start: Start) -> None:
    client = await start()
    gone = asking(client, 2)
    await client.until_metric("brownout_inference_running", 2)
    for task in gone:
        task.cancel()
    await client.until_metric("brownout_inference_running", 0)
    assert (await client.image()).seconds < 20 * STEP_SECONDS


async def test_under_load_sigterm_loses_nobody_and_a_second_one_changes_nothing(start: Start) -> None:
    client = await start("--grace-seconds", "20")
    asked = asking(client, 20)
    await client.until_metric_at_least("brownout_inference_running", 2)
    client.server.terminate()
    client.server.terminate()

    async def refuses() -> bool:
        return not await client.is_ready()

    await wait_for_async(refuses, "it is no longer ready", seconds=5)
    late = asking(client, 3)
    answers = await asyncio.gather(*asked)
    assert said(answers) == {(200, ""): 20}
    assert all(answer.headers["Connection"] == "close" for answer in answers)
    assert said(await asyncio.gather(*late)) == {(503, "draining"): 3}
    client.server.terminate()
    assert await exit_status(client) == 0


async def test_what_a_short_grace_period_leaves_is_handed_back(start: Start) -> None:
    client = await start("--grace-seconds", "0.5")
    asked = asking(client, 20)
    await client.until_metric_at_least("brownout_inference_running", 2)
    engine = engine_pid(client)
    client.server.terminate()
    counted = said(await asyncio.gather(*asked))
    assert set(counted) == {(200, ""), (503, "interrupted")}
    assert counted.total() == 20
    assert await exit_status(client) == 0
    assert not is_alive(engine)


async def test_a_kill_of_the_engine_while_draining_still_answers_everybody(start: Start) -> None:
    client = await start("--grace-seconds", "20")
    asked = asking(client, 8)
    await client.until_metric_at_least("brownout_inference_running", 2)
    client.server.terminate()
    os.kill(engine_pid(client), signal.SIGKILL)
    assert said(await asyncio.gather(*asked)) == {(200, ""): 6, (503, "engine_failed"): 2}
    assert await exit_status(client) == 0
