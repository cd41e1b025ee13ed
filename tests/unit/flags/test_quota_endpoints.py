"""What the endpoints of the ledger answer around midnight, in virtual time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from brownout.flags.board import Board
from brownout.flags.metrics import Metrics
from brownout.flags.quota.endpoints import Quotas
from brownout.flags.quota.ledger import MemoryLedger
from brownout.flags.render import render
from flags.builders import NAMESPACE, TIERS, policy, with_quota

FEATURE = "image-generation"
BEFORE_MIDNIGHT = datetime(2026, 11, 28, 23, 59, 30, tzinfo=UTC).timestamp()
LIMIT = 3


class Asking:
    """A user of a tier with a quota, and the clock that everybody goes by."""

    def __init__(self) -> None:
        self.now = BEFORE_MIDNIGHT
        board = Board()
        limited = policy(FEATURE, tiers=[with_quota("free", LIMIT)])
        board.publish(render(NAMESPACE, policies=[limited], tiers=TIERS, overrides=[], now=self.now))
        ledger = MemoryLedger(clock=lambda: self.now)
        app = web.Application()
        app.add_routes(Quotas(board, Metrics(), ledger, clock=lambda: self.now).routes())
        self.client = TestClient(TestServer(app))

    async def ask(self, operation: str, **body: Any) -> dict[str, Any]:
        sent = {"context": {"targetingKey": "u", "plan": "free"}, **body}
        async with self.client.post(f"/{NAMESPACE}/v1/quota/{FEATURE}/{operation}", json=sent) as answer:
            assert answer.status == 200
            said: dict[str, Any] = await answer.json()
            return said


@pytest.mark.parametrize(("operation", "outcome"), [("commit", "committed"), ("refund", "refunded")])
async def test_what_ends_after_midnight_is_answered_without_the_numbers_of_the_day_before(
    operation: str, outcome: str
) -> None:
    asking = Asking()
    async with asking.client:
        open_ones = [(await asking.ask("reserve"))["reservation"] for _ in range(LIMIT)]
        before = await asking.ask(operation, reservation=open_ones[0])
        assert (before["reserved"], before["resetsAt"]) == (LIMIT - 1, "2026-11-29T00:00:00Z")
        asking.now += 60
        ended = await asking.ask(operation, reservation=open_ones[1])
        assert ended == {"outcome": outcome, "feature": FEATURE, "tier": "free"}
        after = await asking.ask("reserve")
        assert (after["used"], after["remaining"], after["resetsAt"]) == (0, LIMIT - 1, "2026-11-30T00:00:00Z")
