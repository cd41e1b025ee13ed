"""What a new leader asks for before it decides, on a real control plane."""

import asyncio

import pytest
from msgspec import structs

from brownout.observe.metadata import list_versions
from brownout.observe.watch import KINDS
from brownout.run.connection import Connection
from support.cluster import Namespace

NAMESPACES = next(kind for kind in KINDS if kind.kind == "Namespace")


async def test_objects_are_listed_with_their_versions_and_none_are_none(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(namespace.cluster.kubeconfig))
    connection = await Connection.connect()
    try:
        this = structs.replace(NAMESPACES, field_selector=f"metadata.name={namespace.name}")
        metadata = namespace.cluster.objects.get("v1", "Namespace", namespace.name)["metadata"]
        assert await list_versions(connection.client, this) == {metadata["uid"]: metadata["resourceVersion"]}
        nothing = structs.replace(NAMESPACES, field_selector="metadata.name=nowhere")
        assert await list_versions(connection.client, nothing) == {}
    finally:
        await connection.close()
        await asyncio.sleep(0.25)  # TLS says goodbye before the loop ends
