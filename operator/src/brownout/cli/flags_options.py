"""Options of `flags serve` as they are checked: what cannot be is refused with the option, what was found, and what to write."""

import math
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LONGEST_SPREAD_SECONDS = 3600.0
LONGEST_SECONDS = 7 * 86400.0
HIGHEST_PORT = 65_535
MOST_STREAMS = 1_000_000


def namespaces(found: Iterable[str]) -> tuple[str, ...]:
    """Names of namespaces as given, each once. Raises ValueError for what cannot be one: nothing would ever be served for it."""
    given = tuple(dict.fromkeys(found))
    for name in given:
        if not NAMESPACE.fullmatch(name):
            raise ValueError(
                f"--namespace: found {name!r}; write a namespace's name: lower case letters, digits and dashes, 63 at most; "
                "repeat the option for more"
            )
    return given


def seconds(option: str, found: float, *, most: float = LONGEST_SECONDS) -> float:
    """A time in seconds, 0 included. Raises ValueError."""
    if not (math.isfinite(found) and 0 <= found <= most):
        raise ValueError(f"{option}: found {found:g}; write seconds from 0 to {most:.0f}")
    return found


def count(option: str, found: int, *, least: int, most: int) -> int:
    """A whole number. Raises ValueError."""
    if not least <= found <= most:
        raise ValueError(f"{option}: found {found}; write {least} to {most}")
    return found


def public_url(found: str) -> str:
    """Where clients reach the server; empty where nobody says. Raises ValueError for what is no such address."""
    if not found:
        return ""
    try:
        parts = urlsplit(found)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\\<>\"]", found):
        raise ValueError(
            f"--public-url: found {found!r}; write http:// or https://, the host, and the path prefix if there is one, "
            "such as https://flags.example.com/v2"
        )
    return found
