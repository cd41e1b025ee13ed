"""A real server under real flags: who is served, in which order, and what becomes of those who wait when the flags change.

The server's batch has two places and its queue eight for each tier. A request of the `long` variant runs for three seconds, a `full` one for 0.4.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

from inference.flag_source import NOTICE, NOTICE_DE, FlagSource
from inference.server_process import Answer, Client

AT_ONCE_SECONDS = 1.5
QUEUE_LENGTH = "brownout_inference_queue_length"
RUNNING = "brownout_inference_running"


async def crowd(client: Client, count: int, plan: str = "free") -> list[asyncio.Task[Answer]]:
    """So many requests of a tier, of which two run and the others wait."""
    tasks = client.asking(2, plan)
    await client.until_metric(RUNNING, 2)  # who waits for the next step's beginning holds a place in the queue
    tasks += client.asking(count - 2, plan)
    await client.until_metric(QUEUE_LENGTH, count - 2, tier=plan)
    return tasks


async def leave(client: Client, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """The crowd goes home."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.until_idle()


async def test_a_flip_cancels_what_waits_but_not_what_runs(image: Client, source: FlagSource) -> None:
    await image.use(source, free="long")
    cancelled = await image.metric("brownout_feature_refused_total", reason="cancelled")
    tasks = await crowd(image, 6)
    flipped_at = time.monotonic()
    await image.use(source, free="denied_capacity")
    answers = await asyncio.gather(*tasks)
    refused = [answer for answer in answers if answer.status == 503]
    served = [answer for answer in answers if answer.status == 200]
    assert (len(refused), len(served)) == (4, 2)
    assert max(answer.at for answer in refused) - flipped_at < AT_ONCE_SECONDS
    assert min(answer.at for answer in served) - flipped_at > AT_ONCE_SECONDS  # they ran to their end
    assert {answer.body["variant"] for answer in refused} == {"denied_capacity"}
    assert await image.metric("brownout_feature_refused_total", reason="cancelled") == cancelled + 4


async def test_what_waits_is_degraded_by_a_flip_and_what_runs_is_not(image: Client, source: FlagSource) -> None:
    await image.use(source, free="long")
    tasks = await crowd(image, 4)
    await image.use(source, free="lite")
    variants = [answer.headers["X-Brownout-Variant"] for answer in await asyncio.gather(*tasks)]
    assert sorted(variants) == ["lite", "lite", "long", "long"]


async def test_pro_is_served_before_free_that_came_first(image: Client, source: FlagSource) -> None:
    await image.use(source, free="slow")
    tasks = await crowd(image, 10)
    assert (await image.image("pro")).status == 200
    assert sum(task.done() for task in tasks) == 0  # one of the two that ran was paused for it
    assert await image.metric("brownout_inference_preemptions_total") >= 1
    await leave(image, tasks)


async def test_a_full_queue_of_free_refuses_free_and_takes_pro(image: Client, source: FlagSource) -> None:
    await image.use(source, free="long")
    tasks = await crowd(image, 10)
    refused = await image.image("free")
    assert refused.status == 429
    # eight wait, each 60 steps of 0.05 s in a batch of two
    assert 11 <= int(refused.headers["Retry-After"]) <= 4 * 12  # and more where steps take longer than they should
    assert refused.body["error"]["code"] == "queue_full"
    assert (await image.image("pro")).status == 200
    await leave(image, tasks)


async def test_paying_users_hardly_feel_an_overload_by_free_ones(image: Client) -> None:
    alone = [(await image.image("pro")).seconds for _ in range(8)]

    async def flood() -> None:
        while True:
            await image.image("free")

    floods = [asyncio.create_task(flood()) for _ in range(10)]  # two run, eight wait, all the time
    await image.until_metric_at_least(QUEUE_LENGTH, 7, tier="free")
    crowded = [(await image.image("pro")).seconds for _ in range(8)]
    assert await image.metric(QUEUE_LENGTH, tier="free") >= 6
    await leave(image, floods)

    p95_alone, p95_crowded = (statistics.quantiles(seconds, n=20)[-1] for seconds in (alone, crowded))
    # one place may take a whole free request to come free; waiting behind the queue would be nine times that
    assert p95_crowded < 2.5 * p95_alone + 0.2, (alone, crowded)


async def test_a_client_that_goes_frees_its_place(image: Client, source: FlagSource) -> None:
    await image.use(source, free="long", pro="lite")
    gone_before = await image.metric("brownout_feature_failed_total", reason="client_gone")
    tasks = await crowd(image, 4)
    began = time.monotonic()
    for task in tasks:
        task.cancel()
    await image.until_metric(RUNNING, 0)
    assert (await image.image("pro")).status == 200
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert await image.metric("brownout_feature_failed_total", reason="client_gone") == gone_before + 4


async def test_a_denial_says_what_why_and_when_to_come_back(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_capacity")
    refused = await image.image("free")
    assert refused.status == 503
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert refused.headers["Retry-After"] == "17"
    assert refused.body["detail"] == refused.body["error"]["message"] == NOTICE
    assert (refused.body["feature"], refused.body["tier"]) == ("image-generation", "free")


async def test_a_denial_is_in_the_users_language(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_capacity")
    refused = await image.image("free", headers={"Accept-Language": "de-CH,en;q=0.5"})
    assert refused.body["detail"] == NOTICE_DE


async def test_every_ask_is_counted_by_tier_and_cohort(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_capacity", pro="lite")
    names = {"offered": {}, "admitted": {"variant": "lite"}, "refused": {"reason": "denied_capacity"}}

    async def counts(**cell: str) -> list[float]:
        return [await image.metric(f"brownout_feature_{name}_total", **cell, **more) for name, more in names.items()]

    new, pro = {"tier": "free", "cohort": "new-accounts"}, {"tier": "pro", "cohort": ""}
    before = await counts(**new), await counts(**pro)
    await image.image("free", headers={"X-Brownout-Account-Created-At": "2000000001"})
    await image.image("pro")
    after = await counts(**new), await counts(**pro)
    grown = [[now - then for now, then in zip(*pair, strict=True)] for pair in zip(after, before, strict=True)]
    assert grown == [[1, 0, 1], [1, 1, 0]]


async def test_the_server_asks_for_the_flags_of_its_own_namespace(image: Client, source: FlagSource) -> None:
    assert set(source.selectors) == {"media"}


async def test_the_last_known_flags_serve_while_their_source_is_away(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_capacity")
    source.stop()
    try:
        assert (await image.image("free")).body["variant"] == "denied_capacity"
        assert (await image.image("pro")).headers["X-Brownout-Tier"] == "pro"
        assert await image.is_ready()
    finally:
        source.start()
    await image.use(source)
    assert (await image.image("free")).status == 200


async def test_the_heaviest_users_are_named_though_they_are_denied(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_capacity")
    for _ in range(30):
        await image.image(headers={"X-Brownout-User": "script"})
    rate = await image.metric("brownout_feature_heaviest_requests_per_second", tier="free", user="script")
    assert 30 / 36 < rate <= 30 / 30
