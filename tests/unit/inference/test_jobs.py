"""Jobs: who may see them, how long they are kept, and what has to go where there are too many."""

import asyncio
from typing import Any

import numpy as np
import pytest
from openfeature.evaluation_context import EvaluationContext

from brownout_inference.admission import Admission
from brownout_inference.http.jobs import Job, Jobs
from brownout_inference.http.videos import wait_seconds
from brownout_inference.identity import Caller
from brownout_inference.refusal import RefusedError, unavailable
from brownout_inference.ticket import Ticket
from inference.builders import ticket

FRAMES = [np.zeros((3, 8, 8), np.uint8)]


class Desk(Admission):
    """Answers with what a ticket's outcome is."""

    def __init__(self) -> None:
        pass

    async def result(self, ticket: Ticket) -> Any:
        return await ticket.outcome


class Shop:
    """Jobs whose time a test moves."""

    def __init__(self, **bounds: Any) -> None:
        self.now = 1000.0
        self.jobs = Jobs(Desk(), now=lambda: self.now, **bounds)

    def start(self, owner: str | None = "ana") -> Job:
        return self.jobs.start(ticket(steps=4), owner=owner, prompt="a seven", model="image", size=(8, 8))

    async def made(self, owner: str | None = "ana") -> Job:
        job = self.start(owner)
        job.ticket.answer(FRAMES)
        assert job.task is not None
        await job.task
        return job

    def has(self, job: Job) -> bool:
        try:
            return self.jobs.find(job.id, caller(job.owner)) is job
        except RefusedError:
            return False


def caller(user: str | None) -> Caller:
    return Caller(context=EvaluationContext(targeting_key=user))


async def test_progress_is_the_share_of_the_steps_that_are_made() -> None:
    shop = Shop()
    job = shop.start()
    assert (job.status, job.progress) == ("queued", 0)
    job.ticket.steps_done = 3
    assert (job.status, job.progress) == ("in_progress", 75)
    job.ticket.steps_done = 4
    assert (job.status, job.progress) == ("in_progress", 99)
    assert ((await shop.made()).status, (await shop.made()).progress) == ("completed", 100)
    await shop.jobs.delete(job)


async def test_a_job_is_its_owners_alone_and_an_unknown_users_for_whoever_has_its_id() -> None:
    shop = Shop()
    anas, nobodys = await shop.made(), await shop.made(None)
    with pytest.raises(RefusedError):
        shop.jobs.find(anas.id, caller("eve"))
    with pytest.raises(RefusedError):
        shop.jobs.find(anas.id, caller(None))
    assert shop.jobs.find(nobodys.id, caller(None)) is nobodys
    assert shop.jobs.of(caller(None)) == []
    assert shop.jobs.of(caller("ana")) == [anas]


async def test_what_came_of_a_job_expires() -> None:
    shop = Shop(keep_seconds=60)
    job, running = await shop.made(), shop.start()
    shop.now += 59
    assert shop.has(job)
    shop.now += 2
    assert not shop.has(job)
    assert shop.has(running)
    await shop.jobs.delete(running)


async def test_where_there_are_too_many_those_that_were_fetched_go_first_and_none_that_runs() -> None:
    shop = Shop(most=3)
    running, first, fetched = shop.start(), await shop.made(), await shop.made()
    await shop.jobs.collected(fetched)
    second = await shop.made()
    assert [shop.has(job) for job in (running, first, fetched, second)] == [True, True, False, True]
    third = await shop.made()
    assert [shop.has(job) for job in (running, first, second, third)] == [True, False, True, True]
    await shop.jobs.delete(running)


async def test_the_bytes_of_videos_are_bounded() -> None:
    shop = Shop()
    size = len((await shop.made()).content)
    small = Shop(most_bytes=2 * size)
    made = [await small.made() for _ in range(3)]
    assert [small.has(job) for job in made] == [False, True, True]


async def test_a_drain_waits_until_what_is_done_was_fetched() -> None:
    shop = Shop()
    job, failing = shop.start(), shop.start()
    waiting = asyncio.create_task(shop.jobs.until_collected())
    job.ticket.answer(FRAMES)
    failing.ticket.end_with(RefusedError(unavailable("engine_failed", "The model failed.")))
    assert job.task
    assert failing.task
    await asyncio.gather(job.task, failing.task)
    assert not waiting.done()
    await shop.jobs.collected(job)
    async with asyncio.timeout(1):
        await waiting
    assert failing.status == "failed"


@pytest.mark.parametrize(
    ("preferences", "seconds"),
    [
        ([], 0),
        (["respond-async"], 0),
        (["wait=30"], 30),
        (["respond-async, wait=30"], 30),
        (["return=minimal", 'Wait = "5"; why=not'], 5),
        (["wait"], 600),
        (["wait=99999"], 600),
        (["wait=soon"], 0),
        (["waiter=5"], 0),
    ],
)
def test_a_preference_to_wait_is_read_as_rfc_7240_writes_it(preferences: list[str], seconds: float) -> None:
    assert wait_seconds(preferences) == seconds
