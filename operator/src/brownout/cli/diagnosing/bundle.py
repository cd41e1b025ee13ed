"""The bundle: files in memory within bounds, written at the end as a folder or an archive that only its owner may read."""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from brownout.cli.diagnosing.redaction import Redactor
from brownout.cli.failure import failed

MOST_BYTES = 32_000_000
MOST_BYTES_OF_A_FILE = 4_000_000
ARCHIVES = (".tar.gz", ".tgz")


class Bundle:
    """Files by name. Whatever comes in goes through the redactor; what is beyond the bounds is left out, and said in `errors`."""

    def __init__(self, redactor: Redactor, *, most_bytes: int = MOST_BYTES) -> None:
        self._redactor = redactor
        self._left = most_bytes
        self.files: dict[str, bytes] = {}
        self.errors: list[str] = []

    def text(self, name: str, text: str) -> None:
        """A file of text. Of one that is too large the end is kept: what happened last."""
        body = self._redactor.text(text).encode()
        if len(body) > MOST_BYTES_OF_A_FILE:
            self.errors.append(f"{name}: {len(body)} bytes; the last {MOST_BYTES_OF_A_FILE} are kept")
            body = body[-MOST_BYTES_OF_A_FILE:].decode(errors="ignore").encode()
        self._keep(name, body)

    def objects(self, name: str, bodies: Iterable[Any]) -> None:
        """A file of YAML documents."""
        documents = [self._redactor.value(body) for body in bodies]
        if documents:
            self._keep(name, _yaml(documents).encode())

    def last(self, name: str, text: str) -> None:
        """A file that is there whatever the bounds: errors, the summary."""
        self.files[name] = self._redactor.text(text).encode()

    def _keep(self, name: str, body: bytes) -> None:
        if len(body) > self._left:
            self.errors.append(f"{name}: left out: {len(body)} bytes, and the bundle is full")
            return
        self._left -= len(body)
        self.files[name] = body

    def write(self, path: Path) -> None:
        """To an archive by its ending, else to a folder that is not there yet, or empty. Raises CommandError."""
        try:
            if path.name.endswith(ARCHIVES):
                self._archive(path)
            else:
                self._folder(path)
        except OSError as error:
            raise failed(f"{error.filename or path}: {error.strerror}; name another place by -o") from None

    def _archive(self, path: Path) -> None:
        top = path.name.partition(".tar")[0].removesuffix(".tgz")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, body in sorted(self.files.items()):
                entry = tarfile.TarInfo(f"{top}/{name}")
                entry.size, entry.mode = len(body), 0o600
                archive.addfile(entry, io.BytesIO(body))

    def _folder(self, path: Path) -> None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise failed(f"{path} is there already; name a new or empty folder, or a file that ends with .tar.gz")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, body in self.files.items():
            file = path / name
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(body)


def _yaml(documents: list[Any]) -> str:
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump_all(documents, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120))
