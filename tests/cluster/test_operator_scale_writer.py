"""Writes to /scale, on a real control plane: only what is decided, only on the world that it was decided for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from brownout.act.scale import NotWritten, ScaleWriter, Written
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.api.scaler import ScaleTargetRef
from brownout.decide.outcome import ScalePlan
from brownout.observe.targets import ScaleReader
from brownout.run.connection import Connection
from support.cluster import Namespace
from support.operator_world import deployment
from support.waiting import wait_for

IMAGE = ScaleTargetRef(name="image")


@pytest_asyncio.fixture
async def writer(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScaleWriter]:
    """A writer, and a workload of two replicas, of which its controller has nothing more to say: each change of its status is a new version."""
    namespace.create(deployment("image", replicas=2))
    wait_for(lambda: settled(namespace.get("apps/v1", "Deployment", "image")), "the workload has settled")
    monkeypatch.setenv("KUBECONFIG", str(namespace.cluster.kubeconfig))
    connection = await Connection.connect()
    yield ScaleWriter(connection.client, plural=ScaleReader(connection.client, watched=()).plural)
    await connection.close()
    await asyncio.sleep(0.25)  # TLS says goodbye before the loop ends


def settled(workload: dict[str, Any]) -> bool:
    """Its pods are there, and the roll-out is over."""
    status = workload.get("status", {})
    reasons = {condition.get("reason") for condition in status.get("conditions", [])}
    return status.get("availableReplicas") == 2 and "NewReplicaSetAvailable" in reasons


def plan(namespace: Namespace, *, current: int, replicas: int, write: bool = True) -> ScalePlan:
    """A decision about the scaler `image`."""
    key = Key(namespace.name, "image")
    return ScalePlan(key=key, current=current, replicas=replicas, write=write, rule=Reason.DEMAND, message="")


def replicas(namespace: Namespace) -> int:
    """What the workload's spec says."""
    return int(namespace.get("apps/v1", "Deployment", "image")["spec"]["replicas"])


async def test_a_decision_is_written(namespace: Namespace, writer: ScaleWriter) -> None:
    results = await writer.carry_out([(plan(namespace, current=2, replicas=3), IMAGE)])
    assert results == [Written(Key(namespace.name, "image"), 2, 3)]
    assert replicas(namespace) == 3


async def test_only_replicas_change_and_nothing_else_of_the_spec(namespace: Namespace, writer: ScaleWriter) -> None:
    before = namespace.get("apps/v1", "Deployment", "image")["spec"]
    await writer.carry_out([(plan(namespace, current=2, replicas=3), IMAGE)])
    assert namespace.get("apps/v1", "Deployment", "image")["spec"] == before | {"replicas": 3}


async def test_what_is_so_already_or_not_to_be_written_is_left(namespace: Namespace, writer: ScaleWriter) -> None:
    same, advised = plan(namespace, current=2, replicas=2), plan(namespace, current=2, replicas=5, write=False)
    assert await writer.carry_out([(same, IMAGE), (advised, IMAGE)]) == []
    assert replicas(namespace) == 2


async def test_a_number_that_somebody_moved_meanwhile_is_left_for_the_next_tick(
    namespace: Namespace, writer: ScaleWriter
) -> None:
    (result,) = await writer.carry_out([(plan(namespace, current=7, replicas=5), IMAGE)])
    assert isinstance(result, NotWritten)
    assert not result.failed
    assert "went from 7 to 2 replicas" in result.message
    assert replicas(namespace) == 2


async def test_a_workload_that_is_gone_is_said_and_the_others_are_written(
    namespace: Namespace, writer: ScaleWriter
) -> None:
    gone, written = await writer.carry_out(
        [
            (plan(namespace, current=2, replicas=3), ScaleTargetRef(name="gone")),
            (plan(namespace, current=2, replicas=3), IMAGE),
        ]
    )
    assert isinstance(gone, NotWritten)
    assert gone.failed
    assert "gone while 3 replicas were decided" in gone.message
    assert isinstance(written, Written)
