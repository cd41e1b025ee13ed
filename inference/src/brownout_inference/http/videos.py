"""`/v1/videos`: jobs, as in OpenAI's API. Create, ask how far it is, fetch the content, list, delete.

`Prefer: wait=SECONDS` (RFC 7240) asks for the content in the answer of the request that creates the job, for those who would rather wait than poll.
"""

import asyncio
import base64
import re
from typing import Any

import msgspec
from aiohttp import web
from multidict import MultiDictProxy

from brownout_inference import refusal
from brownout_inference.features import Api, ImageAsk
from brownout_inference.http.bodies import in_time, invalid, read_body, refuse_unsupported, unsupported
from brownout_inference.http.context import SERVING, caller_of_request, served_headers
from brownout_inference.http.encoding import FRAME_MILLISECONDS, size_of, spritesheet, thumbnail
from brownout_inference.http.images import Prompt, Seed
from brownout_inference.http.jobs import JOBS, Job
from brownout_inference.refusal import RefusedError
from brownout_inference.work import ImageWork

CONTENT_TYPES = {"video": "image/gif", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
MOST_WAIT_SECONDS = 600.0
SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.25, 5.0
MOST_LISTED = 100

_WAIT = re.compile(r'\s*wait\s*(?:=\s*"?([0-9]{1,9})"?\s*)?(?:;.*)?', re.IGNORECASE)


class VideoBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request; `seed` is an addition. How long a video is the policy's variant says."""

    prompt: Prompt
    model: str | None = None
    size: str | None = None
    seed: Seed | None = None

    input_reference: Any = None
    seconds: Any = None


HARMLESS: dict[str, tuple[Any, ...]] = {"input_reference": ()}


async def create_video(request: web.Request) -> web.Response:
    """Makes a job, and answers with it; with its content where the client prefers to wait."""
    serving, jobs = request.app[SERVING], request.app[JOBS]
    feature = serving.feature(Api.VIDEOS)
    caller = await caller_of_request(request)
    body = await _read(request)
    refuse_unsupported(body, HARMLESS)
    if body.seconds is not None:  # to take OpenAI's 4, 8 or 12 would be to promise a length and send another
        instead = "how long a clip is the feature's flag says (frames), so leave it out"
        raise RefusedError(unsupported("seconds", body.seconds, instead=instead))
    size, model = size_of(body.size), serving.model(body.model)
    ask = ImageAsk(prompt=body.prompt, pictures=1, seed=body.seed)
    ticket = await serving.admission.admit(feature, ask, caller)
    job = jobs.start(ticket, owner=caller.user, prompt=body.prompt, model=model, size=size)
    headers, more = {"Location": f"/v1/videos/{job.id}"}, {}
    if seconds := wait_seconds(request.headers.getall("Prefer", [])):
        await _wait(request, job, seconds)
        headers["Preference-Applied"] = f"wait={seconds:.0f}"
    if job.content:
        more = {"content_type": CONTENT_TYPES["video"], "b64_json": base64.b64encode(job.content).decode()}
        await jobs.collected(job)
    return web.json_response({**_described(job), **more}, headers={**headers, **served_headers(ticket)})


async def retrieve_video(request: web.Request) -> web.Response:
    """How far a job is."""
    job = await _job(request)
    left = job.ticket.own_seconds * (100 - job.progress) / 100
    pause = min(LONGEST_POLL_SECONDS, max(SHORTEST_POLL_SECONDS, left / 2))
    headers = {} if job.done else {"openai-poll-after-ms": f"{1000 * pause:.0f}"}
    return web.json_response(_described(job), headers={**headers, **served_headers(job.ticket)})


async def list_videos(request: web.Request) -> web.Response:
    """The caller's jobs, page by page."""
    jobs = request.app[JOBS].of(await caller_of_request(request))
    order = request.query.get("order", "desc")
    limit = request.query.get("limit", "20")
    if order not in ("asc", "desc"):
        raise RefusedError(refusal.bad_request("order: write asc or desc.", parameter="order"))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST_LISTED:
        raise RefusedError(refusal.bad_request(f"limit: write 1 to {MOST_LISTED}.", parameter="limit"))
    if order == "desc":
        jobs.reverse()
    if after := request.query.get("after"):
        places = [place for place, job in enumerate(jobs) if job.id == after]
        if not places:
            raise RefusedError(refusal.bad_request("after: there is no such video of yours.", parameter="after"))
        jobs = jobs[places[0] + 1 :]
    page = jobs[: int(limit)]
    answer = {
        "object": "list",
        "data": [_described(job) for job in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(jobs) > len(page),
    }
    return web.json_response(answer)


async def video_content(request: web.Request) -> web.Response:
    """The video itself, its first frame, or all of them side by side."""
    job = await _job(request)
    variant = request.query.get("variant", "video")
    if variant not in CONTENT_TYPES:
        detail = f"variant: write {', '.join(CONTENT_TYPES)}."
        raise RefusedError(refusal.bad_request(detail, parameter="variant"))
    if not job.content:
        raise RefusedError(_no_content(job))
    content = job.content
    if variant != "video":
        content = await asyncio.to_thread(thumbnail if variant == "thumbnail" else spritesheet, content)
    else:
        await request.app[JOBS].collected(job)
    return web.Response(body=content, content_type=CONTENT_TYPES[variant], headers=served_headers(job.ticket))


async def delete_video(request: web.Request) -> web.Response:
    """Forgets a job, and cancels it where it is not done."""
    job = await _job(request)
    await request.app[JOBS].delete(job)
    return web.json_response({"id": job.id, "object": "video.deleted", "deleted": True})


def wait_seconds(preferences: list[str]) -> float:
    """How long the client prefers to wait for its answer, by the values of `Prefer`; 0 where it does not."""
    for preference in ",".join(preferences).split(","):
        if found := _WAIT.fullmatch(preference):
            return min(MOST_WAIT_SECONDS, float(found[1] or MOST_WAIT_SECONDS))
    return 0.0


async def _wait(request: web.Request, job: Job, seconds: float) -> None:
    """Returns when the job is done or the time is over. Raises RefusedError where nothing came of it. A client that goes takes its job along."""
    assert job.task is not None
    jobs = request.app[JOBS]
    try:
        await asyncio.wait({job.task}, timeout=seconds)
    except asyncio.CancelledError:
        await jobs.delete(job)
        raise
    if job.error:
        await jobs.delete(job)
        raise RefusedError(job.error)


async def _job(request: web.Request) -> Job:
    caller = await caller_of_request(request)
    return request.app[JOBS].find(request.match_info["id"], caller)


async def _read(request: web.Request) -> VideoBody:
    """JSON, or the form that OpenAI's clients send for the sake of files."""
    if request.content_type != "multipart/form-data":
        return await read_body(request, VideoBody)
    fields = {}
    try:
        async with in_time(request):
            form: MultiDictProxy[Any] = await request.post()
        fields = {name: value if isinstance(value, str) else "a file" for name, value in form.items()}
        return msgspec.convert(fields, VideoBody, strict=False)
    except msgspec.ValidationError as error:
        raise RefusedError(invalid(fields, VideoBody, error, strict=False)) from error
    except (ValueError, AssertionError) as error:
        raise RefusedError(refusal.bad_request(f"The body is no form: {error}.")) from error


def _described(job: Job) -> dict[str, Any]:
    work = job.ticket.work
    frames = job.frames or (work.frames if isinstance(work, ImageWork) else 0)
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": job.status,
        "progress": job.progress,
        "created_at": job.created_at,
        "completed_at": job.completed_at if job.content else None,
        "expires_at": job.expires_at if job.content else None,
        "prompt": job.prompt,
        "size": f"{job.size[0]}x{job.size[1]}",
        "seconds": f"{frames * FRAME_MILLISECONDS / 1000:g}",
        "remixed_from_video_id": None,
        "error": {**job.error.body()["error"], "headers": job.error.headers()} if job.error else None,
    }


def _no_content(job: Job) -> refusal.Refusal:
    if job.error:
        detail = f"There is no content: {job.error.detail}"
        return refusal.bad_request(detail, status=409, reason="video_failed")
    detail = f"The video is {job.status}, {job.progress} %; ask GET /v1/videos/{job.id} until it is completed."
    return refusal.bad_request(detail, status=409, reason="video_not_completed")
