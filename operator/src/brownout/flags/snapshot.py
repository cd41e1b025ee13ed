"""The last known objects on disk, so that a restart with the API server away serves at once.

Objects rather than rendered sets: an override that ends while the API server is away must end. One file for each namespace,
replaced by an atomic rename. One that cannot be read, or has an object that cannot, is left out as a whole and counted, never a reason not
to start: without a tier its users would be those of a lesser one, without a policy clients would serve the code's default.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from brownout.api.resources import Stored
from brownout.flags.beliefs import KINDS

FORMAT = 1
SUFFIX = ".flags.json"
WRITE_EVERY_SECONDS = 0.5

Objects = Mapping[str, Sequence[Stored[Any, Any]]]
"""The objects of a namespace by the plural of their kind."""


class _File(msgspec.Struct, rename="camel"):
    format: int
    saved_at: float
    objects: dict[str, list[msgspec.Raw]]


def encode(objects: Objects, *, saved_at: float) -> bytes:
    """A namespace's file. `saved_at` is in Unix seconds."""
    raw = {plural: [msgspec.Raw(msgspec.json.encode(each)) for each in found] for plural, found in objects.items()}
    return msgspec.json.encode(_File(format=FORMAT, saved_at=saved_at, objects=raw))


def write(directory: Path, namespace: str, content: bytes) -> None:
    """Replace a namespace's file at once or not at all. Raises OSError where the disk refuses."""
    target = directory / f"{namespace}{SUFFIX}"
    draft = target.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


def read(
    directory: Path, *, namespaces: Sequence[str], failed: Callable[[str], None]
) -> dict[str, list[Stored[Any, Any]]]:
    """What is on disk of these namespaces, or of all where none are named, by the plural of the kind.

    `failed` is told a sentence for each file or object that cannot be read; nothing of such a file is there.
    """
    found: dict[str, list[Stored[Any, Any]]] = {kind.plural: [] for kind in KINDS}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if namespaces and path.name.removesuffix(SUFFIX) not in namespaces:
            continue
        try:
            file = msgspec.json.decode(path.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError) as error:
            failed(f"{path.name}: {error}")
            continue
        if file.format != FORMAT:
            failed(f"{path.name}: has format {file.format}, this version reads {FORMAT}")
            continue
        objects, sentences = _decoded(file)
        for sentence in sentences:
            failed(f"{path.name}: {sentence}")
        if not sentences:
            for plural, some in objects.items():
                found[plural] += some
    return found


def _decoded(file: _File) -> tuple[dict[str, list[Stored[Any, Any]]], list[str]]:
    """The objects of a file by the plural of the kind, and a sentence for each that cannot be read."""
    found: dict[str, list[Stored[Any, Any]]] = {kind.plural: [] for kind in KINDS}
    sentences = []
    for kind in KINDS:
        for raw in file.objects.get(kind.plural, []):
            try:
                typed: Stored[Any, Any] = msgspec.json.decode(raw, type=Stored[kind.spec, kind.status])  # type: ignore[name-defined]
                found[kind.plural].append(typed)
            except msgspec.DecodeError as error:
                sentences.append(f"{kind.kind}: {error}")
    return found, sentences


class Writer:
    """Writes what is to be kept, in the background, the newest of each namespace; a failure is tried again."""

    def __init__(self, directory: Path, failed: Callable[[str, str], None]) -> None:
        self._directory = directory
        self._failed = failed
        self._pending: dict[str, Objects] = {}
        self._awake = asyncio.Event()

    def keep(self, namespace: str, objects: Objects) -> None:
        self._pending[namespace] = objects
        self._awake.set()

    async def run(self) -> None:
        """Write for ever. Ends only by being cancelled."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            await self.flush()
            await asyncio.sleep(WRITE_EVERY_SECONDS)

    async def flush(self) -> None:
        """Write what is pending now."""
        pending, self._pending = self._pending, {}
        for namespace, objects in pending.items():
            try:
                await asyncio.to_thread(self._write, namespace, objects)
            except OSError as error:
                self._failed("write", f"{self._directory}: {error}")
                self._pending.setdefault(namespace, objects)
                self._awake.set()

    def _write(self, namespace: str, objects: Objects) -> None:
        write(self._directory, namespace, encode(objects, saved_at=time.time()))
