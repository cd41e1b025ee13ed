"""What leading means for the parts of the operator: the fence in the client, the words of health, and the loop for as long as it lasts."""

import asyncio

from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.observe.catch_up import catch_up
from brownout.observe.watch import Watch
from brownout.publish.metrics import Metrics
from brownout.run.connection import Connection
from brownout.run.election.elector import Elector
from brownout.run.election.rules import Terms
from brownout.run.election.store import LeaseStore
from brownout.run.health import Health
from brownout.run.loop import Loop
from brownout.run.waiting import unless


class Election(Struct, frozen=True, kw_only=True):
    """The Lease that is campaigned for, and the name that no other process campaigns under."""

    lease: str
    namespace: str
    identity: str
    terms: Terms


def candidate(election: Election, connection: Connection, health: Health, metrics: Metrics) -> Elector:
    """A candidate, with its fence around whatever the connection's client writes."""
    elector = Elector(
        LeaseStore(connection.for_lease, namespace=election.namespace, name=election.lease),
        identity=election.identity,
        terms=election.terms,
        on_round=health.stands_by,
    )
    health.leader = lambda: elector.holder
    connection.client.fence = elector.seconds_for_a_write
    connection.client.on_refusal = metrics.writes_fenced.inc
    return elector


async def lead(elector: Elector, loop: Loop, client: ApiClient, watch: Watch, *, stop: asyncio.Event) -> None:
    """Decide until told to stop, once what the last leader wrote has been seen.

    Raises LeaseLostError, after which nothing is under way any more, or NotCaughtUpError.
    """

    async def catch_up_and_decide() -> None:
        await unless(stop, catch_up(client, watch))
        await loop.run(stop)

    keeping, deciding = asyncio.create_task(elector.keep()), asyncio.create_task(catch_up_and_decide())
    try:
        await asyncio.wait((keeping, deciding), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (keeping, deciding):
            task.cancel()
        await asyncio.wait((keeping, deciding))
    for task in (keeping, deciding):
        if not task.cancelled():
            task.result()
