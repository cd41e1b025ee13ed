"""Namespaces that are watched one by one are served one by one."""

from collections.abc import Iterable
from pathlib import Path

from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import Key
from brownout.api.tier import USER_TIER
from brownout.flags.beliefs import KINDS
from brownout.flags.board import Board
from brownout.flags.cells import Policy
from brownout.flags.metrics import Metrics
from brownout.flags.service import Service
from brownout.flags.watch import Part
from flags.builders import NAMESPACE, TIERS, policy

GONE = "gone"
WATCHED = (NAMESPACE, GONE)


class Serving:
    """A service of two namespaces, and its board."""

    def __init__(self, snapshots: Path | None = None) -> None:
        self.board = Board(WATCHED)
        self.service = Service(
            board=self.board,
            metrics=Metrics(),
            namespaces=WATCHED,
            snapshot_dir=snapshots,
            empty_believed_after=600.0,
        )

    def listed(self, namespace: str, policies: Iterable[Policy]) -> None:
        """The API server lists all kinds of a namespace."""
        for kind in KINDS:
            objects = {FEATURE_POLICY: list(policies), USER_TIER: list(TIERS)}.get(kind, [])
            self.service.listed(Part(kind, namespace), list(objects))
        self.service.publish()

    def refused(self, namespace: str) -> None:
        """The API server lists none of them."""
        for kind in KINDS:
            self.service.lost(Part(kind, namespace), "403 Forbidden")
        self.service.publish()


async def test_a_namespace_that_cannot_be_listed_keeps_no_other_from_being_served() -> None:
    serving = Serving()
    serving.refused(GONE)
    serving.listed(NAMESPACE, [policy()])
    assert serving.board.namespaces() == [NAMESPACE]
    assert serving.board.settled
    assert (serving.board.complete, serving.board.awaited) == (False, [GONE])


async def test_a_server_waits_until_each_namespace_has_been_asked_for() -> None:
    serving = Serving()
    serving.listed(NAMESPACE, [policy()])
    assert not serving.board.settled
    serving.refused(GONE)
    assert serving.board.settled


async def test_where_nothing_could_be_listed_nothing_is_settled() -> None:
    serving = Serving()
    for namespace in WATCHED:
        serving.refused(namespace)
    assert not serving.board.settled


async def test_a_namespace_that_cannot_be_listed_may_yet_come_and_others_may_not() -> None:
    serving = Serving()
    serving.refused(GONE)
    serving.listed(NAMESPACE, [policy()])
    assert serving.board.may_come(GONE)
    assert not serving.board.may_come("elsewhere")
    serving.listed(GONE, [])
    assert serving.board.complete
    assert serving.board.namespaces() == sorted(WATCHED)


async def test_the_loss_of_one_namespace_keeps_no_deletion_in_another_from_being_believed() -> None:
    serving = Serving()
    serving.listed(NAMESPACE, [policy("a"), policy("b")])
    beliefs = serving.service._beliefs[NAMESPACE]
    serving.service.deleted(Part(FEATURE_POLICY, NAMESPACE), Key(NAMESPACE, "a"))
    removed_at = beliefs.kinds[FEATURE_POLICY.plural].removed_at
    serving.refused(GONE)
    assert beliefs.kinds[FEATURE_POLICY.plural].removed_at == removed_at


async def test_of_a_namespace_that_cannot_be_listed_the_snapshot_stays_as_it_is(tmp_path: Path) -> None:
    before = Serving(tmp_path)
    before.listed(NAMESPACE, [policy()])
    before.listed(GONE, [policy(namespace=GONE)])
    assert before.service.writer is not None
    await before.service.writer.flush()
    after = Serving(tmp_path)
    after.service.restore()
    after.refused(GONE)
    after.listed(NAMESPACE, [policy(), policy("video")])
    assert after.board.namespaces() == sorted(WATCHED)
    served = after.board.get(GONE)
    assert served is not None
    assert "image-generation" in served.flag_set.flags


async def test_a_page_says_how_old_its_own_namespace_is_and_metrics_tell_of_the_oldest() -> None:
    serving = Serving()
    serving.refused(GONE)
    serving.listed(NAMESPACE, [policy()])
    heard_from = serving.service.heard_from
    assert heard_from.age_seconds(NAMESPACE) is not None
    assert heard_from.least_age_seconds() is not None
    assert heard_from.age_seconds(GONE) is None
    assert heard_from.age_seconds() is None
