"""The fence in front of a real API server."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes.aio.client import CoreV1Api
from kubernetes.aio.client.exceptions import ApiException

from brownout.act.scale import NotWritten, ScaleWriter
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.api.scaler import ScaleTargetRef
from brownout.decide.outcome import ScalePlan
from brownout.observe.targets import ScaleReader
from brownout.run.connection import Connection
from brownout.run.election.fence import NotLeadingError
from support.cluster import Namespace
from support.operator_world import deployment

LATER_SECONDS = 3.0
"""For so long after the API server is at work again a write that was given up is looked for."""


class Fenced:
    """A way to the API server, with so many seconds left of a lease."""

    def __init__(self, connection: Connection, namespace: Namespace) -> None:
        self.left, self.refused = 10.0, 0
        self.client = connection.client
        self.client.fence = lambda: self.left
        self.client.on_refusal = self._refuse
        self._namespace = namespace

    def _refuse(self) -> None:
        self.refused += 1

    async def create(self, name: str) -> Any:
        """Makes a ConfigMap."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        return await CoreV1Api(self.client).create_namespaced_config_map(self._namespace.name, body)

    async def names(self) -> list[str]:
        """Of all ConfigMaps."""
        listed = await CoreV1Api(self.client).list_namespaced_config_map(self._namespace.name)
        return [one.metadata.name for one in listed.items]


@pytest_asyncio.fixture
async def fenced(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fenced]:
    """A fenced client."""
    monkeypatch.setenv("KUBECONFIG", str(namespace.cluster.kubeconfig))
    connection = await Connection.connect()
    yield Fenced(connection, namespace)
    await connection.close()
    await asyncio.sleep(0.25)  # TLS says goodbye before the loop ends


async def test_who_leads_writes(fenced: Fenced) -> None:
    await fenced.create("one")
    assert "one" in await fenced.names()
    assert fenced.refused == 0


async def test_who_may_not_lead_any_more_reads_and_does_not_write(fenced: Fenced) -> None:
    fenced.left = 0.0
    with pytest.raises(NotLeadingError):
        await fenced.create("two")
    assert "two" not in await fenced.names()
    assert fenced.refused == 1


async def test_a_write_that_takes_longer_than_the_lease_is_given_up_and_does_not_come_later(
    fenced: Fenced, namespace: Namespace
) -> None:
    api_server = namespace.cluster.component("kube-apiserver")
    await fenced.names()
    fenced.left = 0.5
    api_server.pause()
    try:
        with pytest.raises((TimeoutError, ApiException)):
            await fenced.create("three")
    finally:
        api_server.resume()
    fenced.left = 10.0
    await fenced.create("four")  # the API server is at work again, and what had waited in its connections has been read
    deadline = time.monotonic() + LATER_SECONDS
    while time.monotonic() < deadline:
        names = await fenced.names()
        assert "four" in names
        assert "three" not in names
        await asyncio.sleep(0.1)


async def test_replicas_are_left_to_who_leads_and_said(fenced: Fenced, namespace: Namespace) -> None:
    namespace.create(deployment("image", replicas=2))
    writer = ScaleWriter(fenced.client, plural=ScaleReader(fenced.client, watched=()).plural)
    plan = ScalePlan(
        key=Key(namespace.name, "image"), current=2, replicas=3, write=True, rule=Reason.DEMAND, message=""
    )
    fenced.left = 0.0
    (result,) = await writer.carry_out([(plan, ScaleTargetRef(name="image"))])
    assert isinstance(result, NotWritten)
    assert "left to the operator that leads" in result.message
    assert namespace.get("apps/v1", "Deployment", "image")["spec"]["replicas"] == 2
