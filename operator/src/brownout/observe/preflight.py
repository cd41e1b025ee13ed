"""Before watching: what the API server serves, and what it lets us see.

kopf goes on without a kind that it does not find at the start, and waits for ever for one that it may not list. Both are asked
for first, so that what is lacking can be said in a sentence, and so that a kind that we can do without is left out.
"""

from collections.abc import Collection

from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.api.schema import GROUP
from brownout.observe.watch import KINDS, Watched
from brownout.rest import send

TIMEOUT_SECONDS = 10.0


class Preflight(Struct, frozen=True):
    """`kinds` can be watched; `lacking` says what is needed and is not there."""

    kinds: tuple[Watched, ...]
    lacking: tuple[str, ...]


async def preflight(client: ApiClient, *, namespaces: Collection[str] = ()) -> Preflight:
    """Ask for one object of each kind, of confined kinds in each of `namespaces` where any are given."""
    kinds, lacking = [], []
    for kind in (one.within(namespaces) for one in KINDS):
        found = await _status(client, kind)
        if found == 200:
            kinds.append(kind)
        elif not (kind.optional and found in (403, 404)):
            lacking.append(_sentence(kind, found))
    return Preflight(tuple(kinds), tuple(lacking))


async def _status(client: ApiClient, kind: Watched) -> int | str:
    """200 where it can be listed wherever it is to be watched, else the first other status, or the name of the error where there was no answer."""
    for path in kind.paths:
        found = await _status_of(client, path)
        if found != 200:
            return found
    return 200


async def _status_of(client: ApiClient, path: str) -> int | str:
    try:
        return (await send(client, "GET", path, query=[("limit", "1")], timeout_seconds=TIMEOUT_SECONDS)).status
    except Exception as error:
        return type(error).__name__


def _sentence(kind: Watched, found: int | str) -> str:
    match found:
        case 403:
            return f"the right to list and watch {kind.plural}; grant it to the operator's ServiceAccount"
        case 404 if kind.group == GROUP:
            return f"the kind {kind.kind}; install the chart's CustomResourceDefinitions"
        case int():
            return f"a list of {kind.plural} (HTTP {found})"
        case _:
            return f"the API server ({found})"
