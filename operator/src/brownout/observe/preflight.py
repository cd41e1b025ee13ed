"""Before watching: what the API server serves, and what it lets us see.

kopf goes on without a kind that it does not find at the start, and waits for ever for one that it may not list. Both are asked
for first, so that what is lacking can be said in a sentence, and so that a kind that we can do without is left out.

A namespace that is deleted takes the rights in it along, and one that may not be read may be there all the same. So whether it is
there is asked of the API server, and never taken from a refusal: what is not there is left out, what is there is waited for.
"""

from collections.abc import Collection, Iterable

import msgspec
from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.api.schema import GROUP
from brownout.observe.metadata import METADATA_ONLY
from brownout.observe.watch import KINDS, Watched
from brownout.rest import send

TIMEOUT_SECONDS = 10.0

ABSENT, ENDING, FORBIDDEN = "absent", "ending", "forbidden"
"""Why a namespace is left out: it does not exist; it is being deleted, and may not be read any more; it came since the start, and
may not be read yet."""

NONE_EXISTS = (
    "a namespace: of those that it is to watch ({}) none exists; create one, or name others in watchNamespaces"
)


class Preflight(Struct, frozen=True):
    """`kinds` can be watched; `lacking` says what is needed and is not there. `left_out`: namespaces that are not there, and why."""

    kinds: tuple[Watched, ...]
    lacking: tuple[str, ...]
    left_out: dict[str, str] = {}


async def preflight(client: ApiClient, *, namespaces: Collection[str] = ()) -> Preflight:
    """Ask for one object of each kind, of confined kinds in each of `namespaces` that exists where any are given."""
    found = {name: await absence(client, name) for name in namespaces}
    left_out = {name: why for name, why in found.items() if why}
    there = [name for name in namespaces if name not in left_out]
    if namespaces and not there:
        return Preflight((), (NONE_EXISTS.format(", ".join(namespaces)),), left_out)
    kinds, lacking = [], []
    for kind in (one.within(there) for one in KINDS):
        refused = await _refused(client, kind)
        if not refused:
            kinds.append(kind)
        elif not (kind.optional and all(status in (403, 404) for _, status in refused)):
            lacking += [_sentence(kind, namespace, status) for namespace, status in refused]
    return Preflight(tuple(kinds), tuple(lacking), left_out)


async def absence(client: ApiClient, namespace: str) -> str:
    """Why a namespace is not there to be watched; empty where it is, or where that cannot be told."""
    try:
        query = [("fieldSelector", f"metadata.name={namespace}")]
        headers = {"Accept": METADATA_ONLY}
        answer = await send(
            client, "GET", "/api/v1/namespaces", query=query, headers=headers, timeout_seconds=TIMEOUT_SECONDS
        )
        if answer.status != 200:
            return ""
        items = msgspec.json.decode(answer.content, type=_Namespaces).items
    except Exception:  # the kind Namespace is asked for too, and says it
        return ""
    if not items:
        return ABSENT
    ending = bool(items[0].metadata.ending_since)
    needed = [kind for kind in KINDS if not kind.optional]
    return ENDING if ending and 403 in await refusals(client, needed, namespace) else ""


async def refusals(client: ApiClient, kinds: Iterable[Watched], namespace: str) -> set[int | str]:
    """What is said instead of a list to whoever asks for the confined ones of these kinds in a namespace."""
    confined = [kind.within((namespace,)) for kind in kinds if kind.confined]
    return {status for kind in confined for _, status in await _refused(client, kind)}


class _Metadata(Struct):
    ending_since: str = msgspec.field(default="", name="deletionTimestamp")


class _Namespace(Struct):
    metadata: _Metadata


class _Namespaces(Struct):
    items: list[_Namespace] | None
    """null where there are none: a list of metadata alone is written so."""


async def _refused(client: ApiClient, kind: Watched) -> list[tuple[str, int | str]]:
    """Where a kind that is to be watched cannot be listed, a namespace or nothing, and the status or the name of the error."""
    found = [
        (where, await _status_of(client, path))
        for where, path in zip(kind.namespaces or ("",), kind.paths, strict=True)
    ]
    return [(where, status) for where, status in found if status != 200]


async def _status_of(client: ApiClient, path: str) -> int | str:
    try:
        return (await send(client, "GET", path, query=[("limit", "1")], timeout_seconds=TIMEOUT_SECONDS)).status
    except Exception as error:
        return type(error).__name__


def _sentence(kind: Watched, namespace: str, found: int | str) -> str:
    where = f" in namespace {namespace}" if namespace else ""
    match found:
        case 403:
            return f"the right to list and watch {kind.plural}{where}; grant it to the operator's ServiceAccount"
        case 404 if kind.group == GROUP:
            return f"the kind {kind.kind}; install the chart's CustomResourceDefinitions"
        case int():
            return f"a list of {kind.plural}{where} (HTTP {found})"
        case _:
            return f"the API server ({found})"
