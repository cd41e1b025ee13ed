"""Videos as jobs, as the stock OpenAI client sees them."""

import asyncio
import base64
import io
import time
from typing import Any

import openai
import pytest
from PIL import Image

from inference.conftest import Site
from inference.flag_source import FlagSource
from inference.server_process import Client

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
ASK = {"model": "image", "prompt": "a three"}


@pytest.fixture
def source(sites: dict[str, Site]) -> FlagSource:
    return sites["video"].source


def frames(content: bytes) -> tuple[str | None, int]:
    clip = Image.open(io.BytesIO(content))
    return clip.format, getattr(clip, "n_frames", 1)


async def test_a_job_goes_from_queued_to_completed_and_its_content_can_be_fetched(
    video: Client, source: FlagSource
) -> None:
    async with video.openai("pro") as ai:
        job = await ai.videos.create(size="64x48", **ASK)  # type: ignore[arg-type]
        assert (job.object, job.status, job.prompt, job.size) == ("video", "queued", "a three", "64x48")
        seen = []
        while job.status not in ("completed", "failed"):
            seen.append((job.status, job.progress))
            await asyncio.sleep(0.05)
            job = await ai.videos.retrieve(job.id)
        content = await ai.videos.download_content(job.id)
        sheet = await ai.videos.download_content(job.id, variant="spritesheet")
        thumbnail = await ai.videos.download_content(job.id, variant="thumbnail")
    assert (job.status, job.progress, job.error) == ("completed", 100, None)
    assert job.expires_at is not None
    assert job.completed_at is not None
    assert 3590 <= job.expires_at - job.completed_at <= 3610
    assert frames(content.read()) == ("GIF", 8)
    assert content.response.headers["content-type"] == "image/gif"
    assert Image.open(io.BytesIO(sheet.read())).size == (8 * 64, 48)
    assert Image.open(io.BytesIO(thumbnail.read())).format == "WEBP"
    percents = [progress for status, progress in seen if status == "in_progress"]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3, seen
    assert max(percents) <= 99


async def test_the_clients_own_polling_ends_with_the_video(video: Client) -> None:
    async with video.openai("pro") as ai:
        job = await ai.videos.create_and_poll(**ASK)  # type: ignore[arg-type]
    assert job.status == "completed"


async def test_jobs_are_listed_page_by_page_for_their_owner_alone(video: Client) -> None:
    async with video.openai("pro", user="lister") as ai, video.openai("pro", user="eve") as eve:
        ids = [(await ai.videos.create(**ASK)).id for _ in range(3)]  # type: ignore[arg-type]
        assert [job.id async for job in ai.videos.list(limit=2)] == ids[::-1]
        assert [job.id async for job in ai.videos.list(order="asc", after=ids[0])] == ids[1:]
        assert [job.id async for job in eve.videos.list()] == []
        for ask in (eve.videos.retrieve, eve.videos.download_content, eve.videos.delete):
            with pytest.raises(openai.NotFoundError) as caught:
                await ask(ids[0])
            assert caught.value.code == "video_not_found"
        with pytest.raises(openai.NotFoundError, match="started anew"):
            await ai.videos.retrieve("video_of_another_life")
        for number in ids:
            assert (await ai.videos.delete(number)).deleted
        assert [job.id async for job in ai.videos.list()] == []


async def test_deleting_a_job_that_runs_frees_its_place_within_a_step(video: Client, source: FlagSource) -> None:
    await video.use(source, flag_key="video-generation", pro="long")
    async with video.openai("pro") as ai:
        jobs = [await ai.videos.create(**ASK) for _ in range(2)]  # type: ignore[arg-type]
        await video.until_metric("brownout_inference_running", 2)
        for job in jobs:
            await ai.videos.delete(job.id)
        began = time.monotonic()
        await video.until_metric("brownout_inference_running", 0)
        assert time.monotonic() - began < 1.0  # each would have run for 24 seconds
        with pytest.raises(openai.NotFoundError):
            await ai.videos.retrieve(jobs[0].id)


async def test_a_job_that_is_denied_while_it_waits_has_failed_and_says_why(video: Client, source: FlagSource) -> None:
    await video.use(source, flag_key="video-generation", free="long")
    async with video.openai("free") as ai:
        running = [await ai.videos.create(**ASK) for _ in range(2)]  # type: ignore[arg-type]
        await video.until_metric("brownout_inference_running", 2)
        waiting = await ai.videos.create(**ASK)  # type: ignore[arg-type]
        await video.use(source, flag_key="video-generation", free="denied_capacity")
        failed = await ai.videos.retrieve(waiting.id)
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error.code == "denied_capacity"
        assert (failed.error.headers or {})["Retry-After"] == "17"
        with pytest.raises(openai.ConflictError) as caught:
            await ai.videos.download_content(waiting.id)
        assert caught.value.code == "video_failed"
        with pytest.raises(openai.ConflictError, match="in_progress"):
            await ai.videos.download_content(running[0].id)
        for job in running:
            await ai.videos.delete(job.id)


async def test_who_prefers_to_wait_has_the_video_in_the_answer(video: Client) -> None:
    answer = await video.post("/v1/videos", ASK, plan="pro", headers={"Prefer": "wait=30"})
    assert (answer.status, answer.body["status"]) == (200, "completed")
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert frames(base64.b64decode(answer.body["b64_json"])) == ("GIF", 8)
    again = await video.session.get(video.url + answer.headers["Location"], headers={"X-Brownout-User": "ana"})
    assert (await again.json())["status"] == "completed"


async def test_who_waited_long_enough_has_a_job(video: Client, source: FlagSource) -> None:
    await video.use(source, flag_key="video-generation", pro="long")
    answer = await video.post("/v1/videos", ASK, plan="pro", headers={"Prefer": "respond-async, wait=1"})
    assert (answer.status, answer.body["status"]) == (200, "in_progress")
    assert "b64_json" not in answer.body
    async with video.openai("pro") as ai:
        await ai.videos.delete(answer.body["id"])


async def test_who_waits_and_goes_takes_the_job_along(video: Client, source: FlagSource) -> None:
    await video.use(source, flag_key="video-generation", pro="long")
    waiting = asyncio.create_task(video.post("/v1/videos", ASK, plan="pro", headers={"Prefer": "wait=60"}))
    await video.until_metric("brownout_inference_running", 1)
    waiting.cancel()
    await video.until_metric("brownout_inference_running", 0)


async def test_a_denial_is_a_refusal_and_no_job(video: Client, source: FlagSource) -> None:
    await video.use(source, flag_key="video-generation", free="denied_plan")
    async with video.openai("free", user="denied") as ai:
        with pytest.raises(openai.PermissionDeniedError):
            await ai.videos.create(**ASK)  # type: ignore[arg-type]
        assert [job.id async for job in ai.videos.list()] == []


@pytest.mark.parametrize(
    ("more", "parameter"),
    [
        ({"seconds": "4"}, "seconds"),
        ({"input_reference": b"a picture"}, "input_reference"),
        ({"size": "big"}, "size"),
        ({"extra_body": {"fps": "25"}}, "fps"),
        ({"prompt": ""}, "prompt"),
    ],
)
async def test_what_is_not_supported_is_refused_by_its_name(
    video: Client, more: dict[str, Any], parameter: str
) -> None:
    async with video.openai("pro") as ai:
        with pytest.raises(openai.BadRequestError) as caught:
            await ai.videos.create(**{**ASK, **more})
    assert caught.value.param == parameter


async def test_a_length_is_refused_with_who_says_it(video: Client) -> None:
    async with video.openai("pro") as ai:
        with pytest.raises(openai.BadRequestError, match=r"seconds is \"4\".*; how long a clip is the feature's flag"):
            await ai.videos.create(**ASK, seconds="4")  # type: ignore[arg-type]


async def test_a_seed_makes_the_same_video_as_json_and_as_a_form(video: Client) -> None:
    async with video.openai("pro") as ai:
        job = await ai.videos.create_and_poll(**ASK, extra_body={"seed": 4})  # type: ignore[arg-type]
        form = (await ai.videos.download_content(job.id)).read()
    answer = await video.post("/v1/videos", {**ASK, "seed": 4}, plan="pro", headers={"Prefer": "wait=30"})
    assert base64.b64decode(answer.body["b64_json"]) == form
