"""Which objects of a kind there are: their uids and versions alone, page by page, whatever is in them."""

import msgspec
from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.observe.watch import Watched
from brownout.rest import send

PAGE = 500
TIMEOUT_SECONDS = 30.0
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _Metadata(Struct):
    uid: str = ""
    version: str = msgspec.field(default="", name="resourceVersion")


class _Item(Struct):
    metadata: _Metadata


class _ListMetadata(Struct):
    onwards: str = msgspec.field(default="", name="continue")


class _Page(Struct):
    items: list[_Item] | None
    """null where there are none: a list of metadata alone is written so."""
    metadata: _ListMetadata


async def list_versions(client: ApiClient, kind: Watched) -> dict[str, str]:
    """The resourceVersion of each object of a kind, by uid. Raises where the cluster cannot be asked."""
    found: dict[str, str] = {}
    for path in kind.paths:
        found |= await _list_versions_at(client, path, kind.field_selector)
    return found


async def _list_versions_at(client: ApiClient, path: str, field_selector: str) -> dict[str, str]:
    found: dict[str, str] = {}
    onwards = ""
    while True:
        query = [("limit", str(PAGE))]
        query += [("fieldSelector", field_selector)] if field_selector else []
        query += [("continue", onwards)] if onwards else []
        headers = {"Accept": METADATA_ONLY}
        response = await send(client, "GET", path, query=query, headers=headers, timeout_seconds=TIMEOUT_SECONDS)
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}")
        page = msgspec.json.decode(response.content, type=_Page)
        found.update((item.metadata.uid, item.metadata.version) for item in page.items or ())
        onwards = page.metadata.onwards
        if not onwards:
            return found
