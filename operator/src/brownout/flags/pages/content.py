"""Content that is answered many times over: its entity tags and its compressed form are made once, and not for each who asks."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable

from brownout.flags.pages.languages import quality

LEAST_BYTES = 512
"""What is smaller fits into a packet as it is."""
LEVEL = 6
MOST_CODINGS = 16


class Content:
    """Bytes as they are, and compressed as soon as somebody wants that. Each form has an entity tag of its own (RFC 9110, 8.8.3.3)."""

    __slots__ = ("_gzipped", "_hash", "plain", "type")

    def __init__(self, plain: bytes, content_type: str) -> None:
        self.plain = plain
        self.type = content_type
        self._hash = hashlib.sha256(plain).hexdigest()[:32]
        self._gzipped: bytes | None = None

    def form(self, *, gzipped: bool) -> tuple[bytes, str, bool]:
        """The bytes, their entity tag, and whether they are compressed: what is small never is."""
        if not gzipped or len(self.plain) < LEAST_BYTES:
            return self.plain, f'"{self._hash}"', False
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.plain, LEVEL, mtime=0)  # the same bytes on every replica
        return self._gzipped, f'"{self._hash}-gzip"', True


class Kept:
    """Contents by what they were made of, the least recently asked for gone first. most_bytes: without their compressed forms."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._contents: OrderedDict[Hashable, Content] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Content]) -> Content:
        """The content of a key; `make` makes it, where it is not there."""
        content = self._contents.get(key)
        if content is not None:
            self._contents.move_to_end(key)
            return content
        content = self._contents[key] = make()
        self._bytes += len(content.plain)
        while len(self._contents) > self._most or (self._bytes > self._most_bytes and len(self._contents) > 1):
            self._bytes -= len(self._contents.popitem(last=False)[1].plain)
        return content

    def __len__(self) -> int:
        return len(self._contents)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, by its header (RFC 9110, 12.5.3)."""
    if not accept_encoding:
        return False
    found = {}
    for part in accept_encoding.split(",")[:MOST_CODINGS]:
        coding, _, parameters = part.partition(";")
        found[coding.strip().lower()] = quality(parameters)
    return found.get("gzip", found.get("*", 0.0)) > 0


def matches(if_none_match: str, etag: str) -> bool:
    """Whether one of the listed entity tags is this one, weakly compared (RFC 9110, 13.1.2): a proxy may have weakened it."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))
