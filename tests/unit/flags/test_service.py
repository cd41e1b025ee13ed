"""Namespaces that are watched one by one are served one by one, and none without an object that cannot be read."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import InvalidObject, Key
from brownout.api.tier import USER_TIER
from brownout.flags.beliefs import KINDS
from brownout.flags.board import Board
from brownout.flags.cells import Policy
from brownout.flags.metrics import Metrics
from brownout.flags.render import AUDIENCE
from brownout.flags.service import Service
from brownout.flags.snapshot import encode, write
from brownout.flags.watch import Found, Part
from flags.builders import FREE, NAMESPACE, PLUS, PRO, TIERS, policy

GONE = "gone"
WATCHED = (NAMESPACE, GONE)


class Serving:
    """A service of two namespaces, and its board."""

    def __init__(self, snapshots: Path | None = None) -> None:
        self.board = Board(WATCHED)
        self.metrics = Metrics()
        self.service = Service(
            board=self.board,
            metrics=self.metrics,
            namespaces=WATCHED,
            snapshot_dir=snapshots,
            empty_believed_after=600.0,
        )

    def listed(self, namespace: str, policies: Iterable[Policy], tiers: Iterable[Found] = TIERS) -> None:
        """The API server lists all kinds of a namespace."""
        for kind in KINDS:
            objects: list[Found] = {FEATURE_POLICY: list(policies), USER_TIER: list(tiers)}.get(kind, [])
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


# Objects that cannot be read

UNREADABLE = InvalidObject(PRO.key, "UserTier media/pro: spec.match[0].operator: found 'Prefix'")


def audiences(serving: Serving) -> list[str]:
    """The tiers of the set that is served."""
    served = serving.board.get(NAMESPACE)
    assert served is not None
    return [name for name in ("pro", "plus", "free") if name in served.flag_set.flags[AUDIENCE].decode()]


async def test_without_a_set_a_namespace_is_not_served_until_every_object_can_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the tier `pro` its users would be free ones."""
    serving = Serving()
    serving.listed(NAMESPACE, [policy()], [UNREADABLE, PLUS, FREE])
    serving.service.publish()
    assert serving.board.get(NAMESPACE) is None
    assert serving.board.may_come(NAMESPACE)
    assert "cannot be read" in serving.board.why_not_yet(NAMESPACE)
    assert serving.metrics.registry.get_sample_value("brownout_flags_namespaces_withheld") == 1
    [said] = [record for record in caplog.records if "not served" in record.message]
    assert said.__dict__["objects"] == ["usertiers/pro"]
    serving.service.changed(Part(USER_TIER, NAMESPACE), PRO)
    serving.service.publish()
    assert audiences(serving) == ["pro", "plus", "free"]
    assert serving.metrics.registry.get_sample_value("brownout_flags_namespaces_withheld") == 0


async def test_an_object_that_cannot_be_read_and_goes_keeps_nothing_from_being_served() -> None:
    serving = Serving()
    serving.listed(NAMESPACE, [policy()], [UNREADABLE, PLUS, FREE])
    serving.service.deleted(Part(USER_TIER, NAMESPACE), PRO.key)
    serving.service.publish()
    assert audiences(serving) == ["plus", "free"]


async def test_an_object_that_cannot_be_read_in_one_namespace_keeps_no_other_from_being_served() -> None:
    serving = Serving()
    serving.listed(GONE, [policy(namespace=GONE)], [InvalidObject(Key(GONE, "pro"), "unreadable")])
    serving.listed(NAMESPACE, [policy()])
    assert serving.board.namespaces() == [NAMESPACE]


async def test_a_namespace_that_has_a_set_goes_on_beside_an_object_that_cannot_be_read() -> None:
    serving = Serving()
    serving.listed(NAMESPACE, [policy()], [PLUS, FREE])
    serving.service.changed(Part(USER_TIER, NAMESPACE), UNREADABLE)
    serving.service.changed(Part(FEATURE_POLICY, NAMESPACE), policy("video"))
    serving.service.publish()
    served = serving.board.get(NAMESPACE)
    assert served is not None
    assert "video" in served.flag_set.flags


async def test_an_object_that_cannot_be_read_any_more_is_served_as_the_snapshot_has_it(tmp_path: Path) -> None:
    objects = {FEATURE_POLICY.plural: [policy()], USER_TIER.plural: list(TIERS)}
    write(tmp_path, NAMESPACE, encode(objects, saved_at=1.0))
    serving = Serving(tmp_path)
    serving.service.restore()
    serving.listed(NAMESPACE, [policy()], [UNREADABLE, PLUS, FREE])
    assert audiences(serving) == ["pro", "plus", "free"]
