"""From a plan to what is written: an update for each object that the plan speaks of."""

from typing import Any

from msgspec import structs

from brownout.decide.snapshot import Snapshot
from brownout.publish.apply import Update
from brownout.publish.decisions import Decisions
from brownout.publish.updates import other_updates, policy_updates, uids
from support.build import FREE, NOW, PLUS, PRO, invalid, named, override, policy, pool, scaler, snapshot, tick


def everything() -> Snapshot:
    return snapshot(pool(), scaler(replicas=2), policy(offered={"pro": 3.5}), override(cells=["free"]))


def updates(seen: Snapshot) -> list[Update]:
    decided, memory = tick(seen)
    decisions = Decisions()
    return [
        *policy_updates(decided, memory, seen, now=NOW, decisions=decisions),
        *other_updates(decided, memory, seen, now=NOW),
    ]


def test_each_object_gets_its_status_on_the_very_object_that_was_seen() -> None:
    found = {(u.kind, u.key.name): u for u in updates(everything())}

    tiers = {("UserTier", tier.key.name) for tier in (PRO, PLUS, FREE)}
    others = {("FeaturePolicy", "image"), ("InferenceScaler", "image"), ("GPUPool", "gpus")}
    assert found.keys() == tiers | others | {("FeatureOverride", "incident")}
    for (_, name), update in found.items():
        assert update.uid == f"uid-{name}"
        assert type(update.status) is type(update.stored)


def test_an_update_carries_what_is_stored_and_what_is_to_be() -> None:
    seen = everything()
    word: Any = next(iter(seen.overrides.values()))
    before = structs.replace(word, status=structs.replace(word.status, state="Superseded"))
    seen = structs.replace(seen, overrides={word.key: before})

    update = next(u for u in updates(seen) if u.kind == "FeatureOverride")

    assert (update.stored, getattr(update.status, "state", "")) == (before.status, "Active")


def test_a_scalers_update_says_what_was_learned_of_it() -> None:
    seen = everything()
    decided, memory = tick(seen)
    learned = structs.replace(memory.scalers[named("image")], cost_factor=1.5, cost_learned=True)
    memory = structs.replace(memory, scalers={named("image"): learned})

    status: Any = next(u.status for u in other_updates(decided, memory, seen, now=NOW) if u.kind == "InferenceScaler")

    assert status.learned.cost_percent == 150


def test_an_object_that_cannot_be_read_has_no_uid() -> None:
    kind, broken = invalid("FeaturePolicy", "broken")
    found = uids(snapshot(pool(), unreadable=[(kind, broken)]))

    assert found[kind, broken.key] == ""
    assert found["GPUPool", pool().stored.key] == "uid-gpus"
