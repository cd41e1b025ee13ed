"""Videos as jobs: what was asked for, how far it is, and what came of it until it expires.

Jobs live in the memory of the server that made them, bounded in number, bytes and time: where there are too many, those that are done go first, and of them those whose
content was fetched. A server that is started anew knows none.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from brownout_inference import refusal
from brownout_inference.admission import Admission
from brownout_inference.http.encoding import Size, gif
from brownout_inference.identity import Caller
from brownout_inference.refusal import Refusal, RefusedError
from brownout_inference.ticket import Ticket

log = logging.getLogger(__name__)

MOST_JOBS = 1000
MOST_BYTES = 256 * 1024 * 1024
KEEP_SECONDS = 3600.0
"""How long what came of a job can be fetched."""
SWEEP_SECONDS = 30.0

INTERNAL = Refusal(status=500, reason="internal", title="Internal error", detail="The server failed on this request.")


@dataclass(eq=False, kw_only=True)
class Job:
    """One video. `owner` is who may see it, None for somebody unknown; times are Unix seconds; `task` ends when the video is done."""

    ticket: Ticket
    owner: str | None
    prompt: str
    model: str
    size: Size
    created_at: int
    id: str = field(default_factory=lambda: f"video_{secrets.token_hex(16)}")
    task: "asyncio.Task[None] | None" = None
    content: bytes = b""
    error: Refusal | None = None
    frames: int = 0
    completed_at: int | None = None
    expires_at: int | None = None
    fetched: bool = False

    @property
    def done(self) -> bool:
        return bool(self.content) or self.error is not None

    @property
    def status(self) -> str:
        """In OpenAI's words."""
        if self.error:
            return "failed"
        if self.content:
            return "completed"
        return "in_progress" if self.ticket.steps_done else "queued"

    @property
    def progress(self) -> int:
        """Percent of the steps that are made; 100 once the video can be fetched."""
        return 100 if self.content else min(99, 100 * self.ticket.steps_done // self.ticket.work.steps)


class Jobs:
    """The jobs of one server."""

    def __init__(
        self,
        admission: Admission,
        *,
        most: int = MOST_JOBS,
        most_bytes: int = MOST_BYTES,
        keep_seconds: float = KEEP_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._admission = admission
        self._most = most
        self._most_bytes = most_bytes
        self._keep_seconds = keep_seconds
        self._now = now
        self._jobs: dict[str, Job] = {}
        self._changed = asyncio.Condition()

    async def background(self, _: web.Application) -> AsyncIterator[None]:
        """Forgets what has expired, for as long as the application lives, and ends what runs after that."""
        sweeping = asyncio.create_task(self._sweep())
        yield
        tasks = [sweeping, *(job.task for job in self._jobs.values() if job.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, ticket: Ticket, *, owner: str | None, prompt: str, model: str, size: Size) -> Job:
        """Follows the ticket to its end."""
        job = Job(ticket=ticket, owner=owner, prompt=prompt, model=model, size=size, created_at=int(self._now()))
        job.task = asyncio.create_task(self._follow(job))
        self._jobs[job.id] = job
        self._make_room()
        return job

    def find(self, number: str, caller: Caller) -> Job:
        """The caller's job of that id. Raises RefusedError (404), the same one whether there is none or somebody else's."""
        self._forget_expired()
        job = self._jobs.get(number)
        if job is None or job.owner != caller.user:
            detail = (
                "There is no such video of yours on this server: it was deleted or has expired, it was made by another"
            )
            detail += " server, or the server was started anew since."
            raise RefusedError(refusal.bad_request(detail, parameter="video_id", status=404, reason="video_not_found"))
        return job

    def of(self, caller: Caller) -> list[Job]:
        """The caller's jobs, oldest first. Nobody knows whose the jobs of unknown users are, so they are listed for nobody."""
        self._forget_expired()
        return [job for job in self._jobs.values() if job.owner is not None and job.owner == caller.user]

    async def delete(self, job: Job) -> None:
        """Forgets the job; where it waits or runs, its place is free before the next step."""
        self._jobs.pop(job.id, None)
        if job.task:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)
        await self._tell()

    async def collected(self, job: Job) -> None:
        """Somebody has what came of the job."""
        job.fetched = True
        await self._tell()

    async def until_collected(self) -> None:
        """Returns once all jobs are done, and what came of them was fetched."""
        async with self._changed:
            await self._changed.wait_for(lambda: all(job.fetched or job.error for job in self._jobs.values()))

    async def _follow(self, job: Job) -> None:
        try:
            (frames,) = await self._admission.result(job.ticket)
            job.frames, content = len(frames), await asyncio.to_thread(gif, frames, job.size)
        except RefusedError as refused:
            job.error = refused.refusal
        except Exception:
            log.exception("%s failed", job.id)
            job.error = INTERNAL
        else:
            job.content = content
        ended = self._now()
        job.completed_at, job.expires_at = int(ended), int(ended + self._keep_seconds)
        self._make_room()
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._forget_expired()

    def _forget_expired(self) -> None:
        now = self._now()
        for job in [job for job in self._jobs.values() if job.expires_at is not None and job.expires_at <= now]:
            del self._jobs[job.id]

    def _make_room(self) -> None:
        self._forget_expired()
        size = sum(len(job.content) for job in self._jobs.values())
        done = sorted((job for job in self._jobs.values() if job.done), key=lambda job: not job.fetched)
        while done and (len(self._jobs) > self._most or size > self._most_bytes):
            job = done.pop(0)
            size -= len(job.content)
            del self._jobs[job.id]


JOBS = web.AppKey("jobs", Jobs)
