"""What the console shows: cells in the order of the ladder, decisions, conditions that are not as they should be."""

from typing import Any

import msgspec

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY, Cost, Variant
from brownout.api.resources import Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus, ScaleDecision, ScaleTargetRef
from brownout.api.schema import Condition, Ref
from brownout.api.tier import USER_TIER
from brownout.flags.cells import Policy
from brownout.flags.pages.console_cells import CellRow, cell_rows
from brownout.flags.pages.console_decisions import Flips, StoredScaler, decisions
from brownout.flags.pages.console_state import state
from flags.builders import NAMESPACE, TIERS, always, auto, cell, never, override, policy

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z
POOL_OF = {Key(NAMESPACE, "image"): "gpus"}
CARRIED = (
    Variant(name="full", costs=(Cost(scaler="image", gpu_seconds_per_request=2),)),
    Variant(name="lite", costs=(Cost(scaler="image", gpu_seconds_per_request=1),)),
    Variant(name="denied"),
)


def images(**spec: Any) -> Policy:
    return policy(variants=CARRIED, **spec)


def rows(*policies: Policy, **more: Any) -> list[CellRow]:
    objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: (), **more}
    return cell_rows({NAMESPACE: objects}, POOL_OF, now=NOON)


def who(row: CellRow) -> str:
    return "/".join(part for part in (row.policy, row.tier, row.cohort, row.user) if part)


def scaler(*taken: ScaleDecision, **status: Any) -> StoredScaler:
    return Stored(
        key=Key(NAMESPACE, "image"),
        uid="scaler",
        generation=1,
        created_at=0.0,
        spec=InferenceScalerSpec(pool_ref=Ref(name="gpus"), scale_target_ref=ScaleTargetRef(name="image")),
        status=InferenceScalerStatus(decisions=taken, **status),
    )


# Cells


def test_cells_stand_in_the_order_in_which_they_go_and_those_that_never_go_last() -> None:
    found = rows(images(tiers=[always("pro"), auto("plus", lowest="lite"), auto("free")]))
    assert [(who(row).removeprefix("image-generation/"), row.places) for row in found] == [
        ("free/new-accounts", {"gpus": [1, 3]}),
        ("free", {"gpus": [2, 4]}),
        ("plus", {"gpus": [5]}),
        ("pro", {}),
    ]


def test_a_user_who_is_held_back_alone_goes_before_everybody() -> None:
    found = rows(images(tiers=[auto("free")], cells=[cell("free", "lite", user="batch-job")]))
    assert who(found[0]) == "image-generation/free/batch-job"
    assert found[0].places == {"gpus": [1, 2]}


def test_what_a_plan_never_gave_is_no_cell() -> None:
    assert rows(images(tiers=[never("free")])) == []


def test_a_cell_without_a_workload_has_no_place() -> None:
    assert [row.places for row in rows(policy(tiers=[auto("plus")]))] == [{}]


def test_a_variant_that_the_policy_does_not_know_is_the_last() -> None:
    (row,) = rows(images(tiers=[auto("plus")], cells=[cell("plus", "gone")]))
    assert row.step == 2


def test_an_override_stands_above_what_the_loop_decided() -> None:
    word = override(created_at=NOON - 60, expires="2026-11-27T13:00:00Z")
    found = rows(images(tiers=[auto("plus")], cells=[cell("plus", "lite")]), **{FEATURE_OVERRIDE.plural: (word,)})
    assert [(row.step, row.overridden_to, row.override, row.message) for row in found] == [
        (1, "denied", "incident", "a test")
    ]


# Decisions


def flipped(variant: str, percent: int = 100, *, reason: str = "Capacity", since: str = "") -> Policy:
    line = msgspec.structs.replace(cell("free", variant, percent), reason=reason, message="why", since=since)
    return images(cells=[line])


def test_a_flip_is_told_from_what_to_what() -> None:
    flips = Flips()
    flips.look(NAMESPACE, [flipped("full", reason="Served")], now=NOON)
    flips.look(NAMESPACE, [flipped("lite", 65, since="2026-11-27T12:01:00Z")], now=NOON + 61)
    flips.look(NAMESPACE, [flipped("full", 50, reason="Restoring")], now=NOON + 120)
    assert [(flip.at, flip.what, flip.rule, flip.worse) for flip in flips.seen] == [
        (NOON + 60, "full → lite 65 %", "Capacity", True),
        (NOON + 120, "lite 65 % → full 50 %", "Restoring", False),
    ]


def test_what_was_decided_before_this_replica_began_is_told_once() -> None:
    flips = Flips()
    flips.look(NAMESPACE, [flipped("lite"), images(name="calm", cells=[cell("free", "full")])], now=NOON)
    flips.look(NAMESPACE, [flipped("lite")], now=NOON + 1)
    assert [flip.what for flip in flips.seen] == ["lite"]


def test_a_policy_that_comes_again_is_another_one() -> None:
    flips = Flips()
    flips.look(NAMESPACE, [flipped("lite")], now=NOON)
    flips.look(NAMESPACE, [], now=NOON + 1)
    flips.look(NAMESPACE, [flipped("full", reason="Served")], now=NOON + 2)
    assert [flip.what for flip in flips.seen] == ["lite"]


def test_a_namespace_is_compared_with_itself_alone() -> None:
    flips = Flips()
    flips.look(NAMESPACE, [flipped("full")], now=NOON)
    flips.look("elsewhere", [], now=NOON + 1)
    flips.look(NAMESPACE, [flipped("lite")], now=NOON + 2)
    assert [flip.what for flip in flips.seen] == ["full", "full → lite"]


def test_decisions_are_told_newest_first() -> None:
    flips = Flips()
    flips.look(NAMESPACE, [flipped("lite", since="2026-11-27T12:01:00Z")], now=NOON)
    older = ScaleDecision(at="2026-11-27T12:00:30Z", from_replicas=2, to_replicas=4, rule="Demand", message="more")
    newer = ScaleDecision(at="2026-11-27T12:02:00Z", from_replicas=4, to_replicas=3, rule="Demand", message="less")
    found = decisions([scaler(older, newer)], flips.seen)
    assert [(one.kind, one.what) for one in found] == [
        ("InferenceScaler", "4 → 3 replicas"),
        ("FeaturePolicy", "lite"),
        ("InferenceScaler", "2 → 4 replicas"),
    ]


# The whole


def test_only_conditions_that_are_not_as_they_should_be_are_told() -> None:
    conditions = [
        ("Ready", "True"),
        ("MetricsAvailable", "False"),
        ("ScalingLimited", "True"),
        ("Held", "False"),
        ("Saturated", "True"),
    ]
    status = tuple(Condition(type=kind, status=value, reason="R") for kind, value in conditions)
    found = state({}, [], [scaler(conditions=status)], [], now=NOON)
    assert [trouble["type"] for trouble in found.scalers[0]["troubles"]] == ["MetricsAvailable", "ScalingLimited"]
    assert found.scalers[0]["saturated"]


def test_the_state_of_nothing_is_empty() -> None:
    found = state({}, [], [], [], now=NOON)
    assert (found.pools, found.cells, found.overrides, found.decisions) == ([], [], [], [])
