"""The engine's own process: `python -m brownout_inference.engine.child NAME SOCKET`, started by the server and by nobody else.

It loads, says how far it is, and then makes the steps that messages ask for. It ends when the server closes the socket, and is killed with it where the server dies
without doing so, in the middle of a step too. Signals are the server's to judge: one for the whole process group must not end a batch that is to be drained.
"""

import ctypes
import logging
import os
import pickle
import select
import signal
import socket
import sys
from dataclasses import replace
from typing import Any

from brownout_inference.allocator import keep_freed_memory
from brownout_inference.engine.interface import Engine
from brownout_inference.engine.load import EngineSpec, LoadError, load_engine, without_garbage
from brownout_inference.engine.messages import (
    LENGTH,
    Advance,
    Advanced,
    Loaded,
    Loading,
    NotLoaded,
    encode,
    following,
    together,
)
from brownout_inference.engine.reports import Reports
from brownout_inference.engine.worker import Worker
from brownout_inference.work import unfit

log = logging.getLogger("brownout_inference.engine")

KEPT_FREE_BYTES = 128 * 2**20
"""Of what a step has freed, for the next one."""

PR_SET_PDEATHSIG = 1
"""prctl(2) of Linux: the signal that comes when the parent ends."""


def main() -> int:
    """Serves whoever holds the other end of the socket."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _die_with_parent()
    keep_freed_memory(KEPT_FREE_BYTES)
    with socket.socket(fileno=int(sys.argv[2])) as end:
        spec = _read(end)
        if spec is None or (engine := _load(end, spec)) is None:
            return 1
        worker, reports = Worker(engine, unfit=unfit), Reports()
        while (asked := _newest(end)) is not None:
            _advance(end, worker, reports, asked)
    return 0


def _advance(end: socket.socket, worker: Worker, reports: Reports, asked: Advance) -> None:
    """Makes the step, and further ones until another message waits."""
    reports.begin()
    while True:
        advanced = worker.advance(asked)
        if advanced.going_on and _has_more(end):
            advanced = replace(advanced, going_on=False, seated=())
        for told in reports.of(advanced):
            _write(end, _sendable(told))
        if not advanced.going_on:
            return
        asked = following(asked, advanced)


def _newest(end: socket.socket) -> Advance | None:
    """The next message, and those that have come behind it; None where the server has closed the socket."""
    asked: Advance | None = _read(end)
    while asked is not None and _has_more(end):
        more: Advance | None = _read(end)
        asked = None if more is None else together(asked, more)
    return asked


def _has_more(end: socket.socket) -> bool:
    return bool(select.select([end], [], [], 0)[0])


def _load(end: socket.socket, spec: EngineSpec) -> Engine | None:
    def progress(what: str, part: float) -> None:
        _write(end, Loading(what, part))

    try:
        with without_garbage():
            engine = load_engine(spec, progress)
            progress("warm-up", 0.9)
            slots = engine.warm_up(spec.max_batch)
            memory = engine.memory()
    except Exception as error:
        final = isinstance(error, LoadError)
        if not final:
            log.exception("loading failed")
        _write(end, NotLoaded(str(error) or type(error).__name__, final))
        return None
    _write(end, Loaded(slots, memory))
    return engine


def _sendable(advanced: Advanced) -> bytes:
    """What an engine of somebody's own answers may not go through a socket; then those who would have got it fail, and the others go on."""
    try:
        return encode(advanced)
    except Exception as error:
        log.exception("an answer cannot be sent to the server")
        lost = dict.fromkeys(advanced.finished, f"what the engine answered cannot be sent: {error}")
        stepped = tuple(key for key in advanced.stepped if key not in lost)
        return encode(replace(advanced, stepped=stepped, pieces={}, finished={}, failed={**advanced.failed, **lost}))


def _read(end: socket.socket) -> Any:
    """The next message; None where the server has closed the socket."""
    try:
        head = end.recv(LENGTH.size, socket.MSG_WAITALL)
        if len(head) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(head)
        body = end.recv(length, socket.MSG_WAITALL)
        return pickle.loads(body) if len(body) == length else None
    except ConnectionResetError:
        return None


def _write(end: socket.socket, message: Any) -> None:
    try:
        end.sendall(message if isinstance(message, bytes) else encode(message))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the server has gone; nothing of this is wanted


def _die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
