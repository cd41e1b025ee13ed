"""`brownout status` in words."""

import io
from datetime import UTC, datetime
from typing import Any

from msgspec import to_builtins
from rich.console import Console

from brownout.api.resources import RESOURCES, InvalidObject, Stored, decode
from brownout.cli.overview import Objects, model
from brownout.cli.overview.tables import page
from brownout.cli.overview.terminal import drawn, headed
from support.examples import example

NOW = 1_796_000_000.0  # 2026-11-30T00:53:20Z
KINDS = {resource.kind: resource for resource in RESOURCES}


def objects(*bodies: dict[str, Any]) -> dict[str, list[Stored[Any, Any] | InvalidObject]]:
    found: dict[str, list[Stored[Any, Any] | InvalidObject]] = {kind: [] for kind in KINDS}
    for body in bodies:
        found[body["kind"]].append(decode(KINDS[body["kind"]], body, 0.0))
    return found


def overview(seen: Objects, *, wide: bool = False) -> str:
    return page(model.overview(seen, now=NOW), wide=wide)


def policy(*cells: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return example("FeaturePolicy", "image-generation", **{"status.cells": list(cells)}, **changes)


def test_a_feature_that_everybody_has_is_one_line() -> None:
    printed = overview(objects(policy({"tier": "free", "variant": "full"}, {"tier": "pro", "variant": "full"})))
    assert printed.splitlines()[1:] == ["media/image-generation  everybody it is for  full"]


def test_each_audience_that_has_less_is_a_line_with_the_reason() -> None:
    shed = {
        "tier": "free",
        "cohort": "new-accounts",
        "variant": "denied",
        "reason": "Capacity",
        "message": "admitted 130 % of ready",
        "since": "2026-11-22T20:00:00Z",
        "expectedReturn": "2026-11-22T20:05:00Z",
    }
    printed = overview(objects(policy(shed, {"tier": "pro", "variant": "full"})))
    line = printed.splitlines()[1]
    for words in (
        "free/new-accounts",
        "denied",
        "Capacity",
        "admitted 130 % of ready; back about 2026-11-22T20:05:00Z",
    ):
        assert words in line
    assert "pro" not in printed


def test_a_user_who_is_held_back_alone_is_named() -> None:
    held = {"tier": "free", "user": "batch-job", "variant": "denied"}
    assert "user batch-job of free  denied" in overview(objects(policy({"tier": "free", "variant": "full"}, held)))


def test_a_split_cell_says_both_shares() -> None:
    printed = overview(objects(policy({"tier": "free", "variant": "full", "percent": 30})))
    assert "full 30 %, lite 70 %" in printed


def test_a_policy_without_a_decision_does_not_claim_that_anybody_has_it() -> None:
    assert "no decision has been made" in overview(objects(policy()))


def test_pools_and_scalers_have_their_numbers() -> None:
    pool = example("GPUPool", "h100", **{"status.gpus": {"capacity": 64, "granted": 60, "held": 58, "free": 6}})
    scaler = example(
        "InferenceScaler",
        "image-xl",
        **{"status.replicas": {"ready": 7, "coming": 2, "desired": 9, "demanded": 31}, "status.summary": "Demand: 31"},
    )
    lines = overview(objects(pool, scaler)).splitlines()
    assert lines[1].split()[:4] == ["h100", "64", "60", "6"]
    assert lines[4].split()[:5] == ["media/image-xl", "7", "2", "9", "31"]
    assert lines[4].endswith("Demand: 31")


def test_what_is_not_ready_is_said_at_the_end() -> None:
    message = "UserTier media/free: spec.match: nobody reaches this tier; write another"
    tier = example(
        "UserTier",
        "free",
        **{"status.conditions": [{"type": "Ready", "status": "False", "reason": "Conflict", "message": message}]},
    )
    broken = example("FeaturePolicy", "image-generation", **{"spec.variants": "none"})
    printed = overview(objects(tier, broken)).splitlines()
    assert message in printed
    assert any(line.startswith("FeaturePolicy media/image-generation: spec: ") for line in printed)


def test_under_a_persons_word_they_have_it_since_the_word_was_given() -> None:
    since = {"since": "2026-11-29T00:00:00Z"}
    taken = {"tier": "free", "variant": "full", "reason": "Override", "overriddenTo": "denied", **since}
    seen = objects(policy(taken, {"tier": "plus", "variant": "lite", "reason": "Capacity", **since}))

    def word(name: str, *, of: str) -> Stored[Any, Any] | InvalidObject:
        fields = {"metadata.name": name, "spec.policyRef": {"name": of}, "spec.cells": [{"tier": "free"}]}
        body = example("FeatureOverride", "incident-4711", **fields, **{"spec.expireTime": "2026-11-30T08:00:00Z"})
        return decode(KINDS["FeatureOverride"], body, NOW - (60 if of == "image-generation" else 30))

    seen["FeatureOverride"] = [word("ours", of="image-generation"), word("newer", of="chat")]
    free, plus = (line for line in overview(seen).splitlines() if line.startswith("media/image-generation"))
    assert "2026-11-30T00:52:20Z" in free
    assert "2026-11-29T00:00:00Z" in plus


def word(**fields: Any) -> Stored[Any, Any] | InvalidObject:
    """A word given a minute ago about all free users."""
    usual = {"spec.cells": [{"tier": "free"}], "spec.expireTime": "2026-11-30T08:00:00Z"}
    return decode(KINDS["FeatureOverride"], example("FeatureOverride", "incident-4711", **(usual | fields)), NOW - 60)


def test_a_persons_word_is_told_before_the_operator_has_told_of_it() -> None:
    decided = {"since": "2026-11-29T00:00:00Z", "reason": "Capacity", "message": "image was full"}
    seen = objects(policy({"tier": "free", "variant": "lite", **decided}, {"tier": "pro", "variant": "full"}))
    seen["FeatureOverride"] = [word()]
    (row,) = model.overview(seen, now=NOW).features
    assert (row.tier, row.has, row.reason) == ("free", "denied, by override", "Override")
    assert (row.message, row.since) == ("FeatureOverride incident-4711: incident 4711", "2026-11-30T00:52:20Z")
    assert row.expected_return == "2026-11-30T08:00:00Z"


def test_a_word_that_is_over_is_not_told_of_any_more_and_nobody_guesses_why() -> None:
    told = {
        "overriddenTo": "denied",
        "reason": "Override",
        "message": "FeatureOverride x: y",
        "expectedReturn": "2099-01-01T00:00:00Z",
    }
    seen = objects(policy({"tier": "free", "variant": "lite", "since": "2026-11-29T00:00:00Z", **told}))
    (row,) = model.overview(seen, now=NOW).features
    assert (row.has, row.reason, row.since, row.expected_return) == ("lite", "", "2026-11-29T00:00:00Z", "")
    assert row.message == "its override is over; the operator has yet to say why it has what it has"


def test_a_word_is_not_told_of_a_tier_that_has_no_part_in_the_feature() -> None:
    never = {"spec.tiers": [{"tierRef": {"name": "free"}, "availability": "Never"}]}
    seen = objects(policy({"tier": "free", "variant": "denied", "reason": "Plan"}, **never))
    seen["FeatureOverride"] = [word(**{"spec.variant": "lite"})]
    (row,) = model.overview(seen, now=NOW).features
    assert (row.has, row.reason) == ("denied", "Plan")


def test_overrides_in_force_are_shown_and_those_that_are_over_are_not() -> None:
    def word(name: str, ends: str) -> Any:
        body = example("FeatureOverride", "incident-4711", **{"metadata.name": name, "spec.expireTime": ends})
        return decode(KINDS["FeatureOverride"], body, NOW - 60)

    seen = {"FeatureOverride": [word("over", "2026-11-29T00:00:00Z"), word("stands", "2026-11-30T08:00:00Z")]}
    lines = overview(seen).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["media/stands", "image-generation", "free/new-accounts", "denied", "2026-11-30T08:00:00Z"]
    ]
    assert overview(seen, wide=True).splitlines()[1].endswith("incident 4711")


def test_wide_says_what_keeps_a_cell_from_coming_back() -> None:
    shed = {"tier": "free", "variant": "denied", "refusedBy": "Dwell", "refusal": "shed 20 s ago"}
    assert "Dwell" not in overview(objects(policy(shed)))
    assert overview(objects(policy(shed)), wide=True).splitlines()[1].endswith("Dwell: shed 20 s ago")


def test_a_narrow_terminal_breaks_sentences_and_nothing_else() -> None:
    shed = {"tier": "free", "variant": "denied", "reason": "Capacity", "message": "image is 161 % full: " + "x " * 40}
    console = Console(width=100, file=io.StringIO(), highlight=False)
    console.print(drawn(model.overview(objects(policy(shed)), now=NOW)))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "media/image-generation  free  denied  Capacity" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_the_live_page_says_when_it_is_not_up_to_date() -> None:
    console = Console(width=120, file=io.StringIO(), highlight=False)
    at = datetime(2026, 11, 30, 0, 53, 20, tzinfo=UTC)
    console.print(headed(model.overview(objects(policy()), now=NOW), at=at, where="media", lost="usertiers: 503"))
    printed = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert printed[:2] == ["00:53:20 UTC, media; Ctrl-C ends", "not up to date: usertiers: 503"]


def test_what_is_not_known_is_no_zero_for_people_and_null_for_scripts() -> None:
    seen = objects(example("GPUPool", "h100"), example("InferenceScaler", "image-xl"))
    rows = model.overview(seen, now=NOW)
    pool, scaler = (line.split() for line in (page(rows, wide=True).splitlines()[n] for n in (1, 4)))
    assert pool == ["h100", "-", "-", "-", "unknown", "-", "-"]
    assert scaler == ["media/image-xl", "-", "-", "-", "-", "unknown", "-", "-", "-"]
    told = to_builtins(rows)
    for row, names in (
        (told["pools"][0], ("gpus", "granted", "held", "free", "saturationPercent", "saturationUnknown")),
        (told["scalers"][0], ("ready", "coming", "desired", "demanded", "saturationPercent", "offered", "capacity")),
    ):
        assert {name: row[name] for name in names} == dict.fromkeys(names)


def test_a_measured_zero_stays() -> None:
    pool = example("GPUPool", "h100", **{"status.saturation": {"percent": 0, "unknown": 0}})
    zeros = {"status.replicas": {"ready": 0, "coming": 0, "desired": 0, "demanded": 0}, "status.saturationPercent": 0}
    lines = overview(objects(pool, example("InferenceScaler", "image-xl", **zeros))).splitlines()
    assert "0 %" in lines[1]
    assert lines[4].split() == ["media/image-xl", "0", "0", "0", "0", "0", "%"]


def test_a_pool_says_how_many_of_its_workloads_are_not_in_the_figure() -> None:
    pool = example("GPUPool", "h100", **{"status.saturation": {"percent": 40, "unknown": 2}})
    assert "40 %, 2 unknown" in overview(objects(pool))
