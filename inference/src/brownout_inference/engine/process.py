"""The engine's process, as the server sees it: started, loaded, asked for one step at a time, and gone sooner or later.

The server never imports torch: a crash of the device, a step that never ends, memory that the kernel takes back by force all end another process, and the server
is there to say so. It is started by `subprocess`, not forked, because a fork of a process with threads and a CUDA context is of no use.
"""

import asyncio
import pickle
import socket
import subprocess
import sys
from collections import deque
from typing import Any, Protocol

from brownout_inference.engine.interface import Progress
from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.engine.messages import LENGTH, Advance, Advanced, Loaded, Loading, NotLoaded, encode
from brownout_inference.engine.reports import KEPT_BACK_SECONDS

NAME = "brownout-inference engine"
"""What the process is called in lists of processes."""

DEATH_SECONDS = 10.0
"""How long a killed process may take to end; one that waits for a device that is stuck takes for ever."""


class EngineGoneError(Exception):
    """The engine's process has ended, or was ended because it did not answer."""


class EngineError(Exception):
    """The model failed on this request. Where it was not the request's fault, `retry_after_seconds` says when another try makes sense.

    Of an `unsuitable` request the message tells whoever asked what to write instead.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, unsuitable: bool = False) -> None:
        super().__init__(message)
        self.unsuitable = unsuitable
        self.retry_after_seconds = retry_after_seconds


class EngineLostError(Exception):
    """Engines have gone too often; the server cannot go on."""


class Advancing(Protocol):
    """An engine that makes one step at a time; in a process of its own, or in a test's."""

    def tell(self, asked: Advance) -> None:
        """Asks for a step, or for something else than the engine is about to do by itself."""

    def report(self) -> "asyncio.Future[Advanced]":
        """What comes of the step under way. The future raises EngineGoneError where the engine is lost."""


class EngineProcess(asyncio.Protocol):
    """One life of the engine. Make it on the main thread: the process dies with the thread that started it."""

    def __init__(self, spec: EngineSpec, *, step_timeout_seconds: float, load_timeout_seconds: float) -> None:
        self._step_timeout_seconds = step_timeout_seconds
        self._load_timeout_seconds = load_timeout_seconds
        self._ours, theirs = socket.socketpair()
        with theirs:
            number = str(theirs.fileno())
            command = [sys.executable, "-P", "-m", "brownout_inference.engine.child", NAME, number]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._ours.sendall(encode(spec))  # fits into the socket's buffer
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._reports: deque[Any] = deque()
        self._answer: asyncio.Future[Any] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._progress: Progress = lambda what, part: None
        self._gone = ""
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int:
        """The process, for logs."""
        return self._process.pid

    async def load(self, progress: Progress) -> Loaded:
        """Returns when the engine is warm. Raises LoadError where it never will be, EngineGoneError where this try has failed."""
        self._progress = progress
        answer = self._expect(self._load_timeout_seconds, "loading")
        self._transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=self._ours)
        loaded = await answer
        if isinstance(loaded, NotLoaded):
            raise (LoadError if loaded.final else EngineGoneError)(loaded.message)
        assert isinstance(loaded, Loaded)
        return loaded

    def tell(self, asked: Advance) -> None:
        """Asks for a step, or for something else than the engine is about to do by itself."""
        if self._transport is not None:
            self._transport.write(encode(asked))

    def report(self) -> "asyncio.Future[Advanced]":
        """What comes of the step under way, and of those before it that were not worth a report. The future raises EngineGoneError."""
        return self._expect(self._step_timeout_seconds, "a step")

    async def until_gone(self) -> None:
        """Raises EngineGoneError once the process has ended."""
        await self._ended.wait()
        raise EngineGoneError(self._gone)

    async def close(self) -> str:
        """Ends the process and says how it ended."""
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._ours.close()
        self._process.kill()
        try:
            code = await asyncio.to_thread(self._process.wait, DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            return "cannot be ended"
        return f"ended by signal {-code}" if code < 0 else f"ended with status {code}"

    def data_received(self, data: bytes) -> None:
        """Messages come in pieces of any size."""
        received = self._received
        received += data
        while len(received) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(received)
            end = LENGTH.size + length
            if len(received) < end:
                return
            try:
                with memoryview(received) as view, view[LENGTH.size : end] as body:
                    message = pickle.loads(body)
            except Exception as error:
                self._kill(f"what the engine answered cannot be read: {error}")
                return
            del received[:end]
            self._take(message)

    def connection_lost(self, error: Exception | None) -> None:
        """The process has ended."""
        self._end("the engine's process has ended")

    def _take(self, message: Any) -> None:
        if isinstance(message, Loading):
            self._progress(message.what, message.part)
            self._rearm(self._load_timeout_seconds, "loading")
            return
        answer, self._answer = self._answer, None
        if self._watch is not None:
            self._watch.cancel()
        if answer is None or answer.done():
            self._reports.append(message)
        else:
            answer.set_result(message)

    def _expect(self, seconds: float, what: str) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._reports:
            answer.set_result(self._reports.popleft())
        elif self._gone:
            answer.set_exception(EngineGoneError(self._gone))
        else:
            self._answer = answer
            self._rearm(seconds, what)
        return answer

    def _rearm(self, seconds: float, what: str) -> None:
        if self._watch is not None:
            self._watch.cancel()
        reason = f"{what} took more than {seconds:g} s without a sign of life"
        self._watch = asyncio.get_running_loop().call_later(seconds + KEPT_BACK_SECONDS, self._kill, reason)

    def _kill(self, reason: str) -> None:
        self._process.kill()
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._gone = self._gone or reason
        self._ended.set()
        if self._watch is not None:
            self._watch.cancel()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(EngineGoneError(self._gone))
