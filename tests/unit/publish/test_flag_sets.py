"""The sets that are published are the flag servers' own, with the same doubts about what disappears."""

from typing import Any

from msgspec import structs

from brownout.api.resources import InvalidObject, Key
from brownout.decide.snapshot import Policy as Watched
from brownout.decide.snapshot import Snapshot
from brownout.flags.beliefs import SETTLE_SECONDS
from brownout.flags.render import FlagSet, render
from brownout.publish.flag_sets import EMPTY_BELIEVED_AFTER_SECONDS, FlagSets
from flags.builders import NAMESPACE, TIERS, cell, override, policy

NOW = 1_795_000_000.0
CHAT = policy("chat")
IMAGES = policy("image-generation", cells=[cell("free", "lite")])


def snapshot(*policies: Any, overrides: Any = (), tiers: Any = TIERS, **more: Any) -> Snapshot:
    return Snapshot(
        policies={one.key: Watched(stored=one, offered={}, admitted={}) for one in policies},
        tiers={one.key: one for one in tiers},
        overrides={one.key: one for one in overrides},
        **{"namespaces": {NAMESPACE: {}}, **more},
    )


def keys(flag_set: FlagSet) -> set[str]:
    return {key for key in ("chat", "image-generation") if f'"{key}"' in flag_set.document}


class Published:
    """Looks at snapshots, one after the other."""

    def __init__(self) -> None:
        self.sets = FlagSets()
        self.at = 0.0

    def look(self, seen: Snapshot, *, after: float = 2.0) -> FlagSet:
        self.at += after
        return self.sets.of(seen, now=NOW + self.at, monotonic=self.at)[NAMESPACE]


def test_the_set_is_the_flag_servers() -> None:
    found = Published().look(snapshot(IMAGES, CHAT))
    assert found == render(NAMESPACE, policies=[IMAGES, CHAT], tiers=TIERS, overrides=(), now=NOW)


def test_what_did_not_change_is_not_rendered_again() -> None:
    published = Published()
    assert published.look(snapshot(IMAGES)) is published.look(snapshot(IMAGES))


def test_an_override_that_ends_makes_another_set_by_itself() -> None:
    published = Published()
    word = override(expires="2100-01-01T00:00:00Z", created_at=NOW - 7 * 86_400 + 10)
    first = published.look(snapshot(IMAGES, overrides=[word]))
    assert published.look(snapshot(IMAGES, overrides=[word])) is first
    assert published.look(snapshot(IMAGES, overrides=[word]), after=10.0).version != first.version


def test_a_policy_that_is_gone_goes_after_a_while_however_often_one_looks() -> None:
    published = Published()
    published.look(snapshot(IMAGES, CHAT))
    published.look(snapshot(IMAGES))
    assert keys(published.look(snapshot(IMAGES), after=SETTLE_SECONDS - 1)) == {"chat", "image-generation"}
    assert keys(published.look(snapshot(IMAGES), after=2.0)) == {"image-generation"}


def test_policies_that_all_vanish_stay_for_long() -> None:
    published = Published()
    published.look(snapshot(IMAGES))
    assert keys(published.look(snapshot())) == {"image-generation"}
    assert keys(published.look(snapshot(), after=EMPTY_BELIEVED_AFTER_SECONDS - 1)) == {"image-generation"}
    assert keys(published.look(snapshot(), after=2.0)) == set()


def test_while_a_kind_is_unseen_nothing_changes() -> None:
    published = Published()
    first = published.look(snapshot(IMAGES))
    assert published.look(snapshot(CHAT, unseen=("UserTier",)), after=9_999.0) is first


def test_an_object_that_cannot_be_read_stays_as_it_was() -> None:
    published = Published()
    first = published.look(snapshot(IMAGES, CHAT))
    broken = ("FeaturePolicy", InvalidObject(CHAT.key, "spec: what is this"))
    assert published.look(snapshot(IMAGES, invalid=(broken,)), after=9_999.0).version == first.version


def test_a_namespace_with_an_object_that_was_never_read_is_left_out() -> None:
    broken = ("FeaturePolicy", InvalidObject(CHAT.key, "spec: what is this"))
    assert FlagSets().of(snapshot(IMAGES, invalid=(broken,)), now=NOW, monotonic=0.0) == {}


def test_what_cannot_be_read_of_other_kinds_holds_up_nothing() -> None:
    broken = ("InferenceScaler", InvalidObject(Key(NAMESPACE, "image"), "spec: what is this"))
    assert keys(Published().look(snapshot(IMAGES, invalid=(broken,)))) == {"image-generation"}


def test_a_namespace_that_is_gone_is_published_no_more() -> None:
    published = Published()
    published.look(snapshot(IMAGES))
    gone = structs.replace(snapshot(IMAGES), namespaces={})
    assert published.sets.of(gone, now=NOW, monotonic=9.0) == {}
