"""`brownout drill`: which rung is taken, what the plan says that it saves, and what the readings come to."""

from typing import Any

import pytest
from msgspec import structs

from brownout.api.resources import BY_KIND, Key, Stored, decode
from brownout.api.schema import Condition
from brownout.cli.drilling.measurable import lost, unasked, unmeasured, unseen
from brownout.cli.drilling.reading import Load, Reading, from_evidence, from_status, predicted, with_override
from brownout.cli.drilling.report import Report, notes, saved, text
from brownout.cli.drilling.rung import choose
from brownout.cli.failure import CommandError
from brownout.cli.main import main
from brownout.cli.overriding.request import Asked, manifest, stored
from brownout.decide.evidence import Missing, Sample
from brownout.decide.snapshot import Audience
from brownout.observe.queries import Evidences
from support.examples import EXAMPLES, example, objects_in

NOW = 1_796_000_000.0
POLICY, XL, SMALL = Key("media", "image-generation"), Key("media", "image-xl"), Key("media", "image-small")
BUSY = {"name": "work", "role": "Busy", "query": "busy"}
By = dict[str, dict[Key, Stored[Any, Any]]]


def objects(*cells: dict[str, Any], learned: int = 100) -> By:
    """The full example without its override, with these cells in status."""
    found: By = {kind: {} for kind in BY_KIND}
    changed = [
        example("FeaturePolicy", "image-generation", **{"status.cells": list(cells)}),
        example("InferenceScaler", "image-xl", **{"status.learned": {"costPercent": learned}, "spec.metrics[0]": BUSY}),
    ]
    for body in (*objects_in(EXAMPLES / "full.yaml"), *changed):
        if body["kind"] in BY_KIND and body["kind"] not in ("FeatureOverride", "GPUPool"):
            one = decode(BY_KIND[body["kind"]], body, NOW - 1000)
            assert isinstance(one, Stored)
            found[body["kind"]][one.key] = one
    del found["GPUPool"]  # which not everybody may see who may override
    return found


def evidence(offered: float, admitted: float | None = None, *, busy: float | None = None) -> Evidences:
    """What Prometheus says of free users."""
    free = Audience("free")
    return Evidences(
        metrics={XL: {} if busy is None else {"work": Sample(busy, NOW)}, SMALL: {}},
        offered={POLICY: {free: Sample(offered, NOW)}},
        admitted={POLICY: {free: Sample(offered if admitted is None else admitted, NOW)}},
        heaviest={POLICY: {}},
    )


def word(seen: By, variant: str, *, tier: str = "free") -> Stored[Any, Any]:
    asked = Asked(variant=variant, seconds=60, reason="drill", tiers=(tier,))
    body = manifest(asked, seen["FeaturePolicy"][POLICY], seen["UserTier"].values(), now=NOW)
    return stored(body, namespace="media", now=NOW)


def test_the_next_rung_of_the_feature_is_drilled() -> None:
    first = choose(objects(), POLICY, tier="", cohort=None, variant="", now=NOW)
    assert (first.audience, first.variant, first.scalers) == ("free/new-accounts", "lite", (SMALL, XL))
    shed = (
        {"tier": "free", "cohort": "new-accounts", "variant": "lite"},
        {"tier": "free", "variant": "full", "percent": 40},
    )
    then = choose(objects(*shed), POLICY, tier="", cohort=None, variant="", now=NOW)
    assert (then.audience, then.variant) == ("free/new-accounts", "denied")
    plus = choose(objects(*shed), POLICY, tier="plus", cohort=None, variant="", now=NOW)
    assert (plus.audience, plus.variant) == ("plus", "lite")


def test_where_no_rung_is_left_that_is_said() -> None:
    with pytest.raises(CommandError, match="there is no rung of pro left to drill"):
        choose(objects(), POLICY, tier="pro", cohort=None, variant="", now=NOW)


def test_the_plan_says_what_each_workload_saves_at_its_learned_cost() -> None:
    seen = objects(learned=150)
    assert predicted(seen, evidence(2.0), word(seen, "denied"), (SMALL, XL), now=NOW) == {
        XL: pytest.approx(2.0 * 12 * 1.5),
        SMALL: 0.0,
    }
    assert predicted(seen, evidence(2.0), word(seen, "lite"), (SMALL, XL), now=NOW) == {
        XL: pytest.approx(2.0 * 12 * 1.5),
        SMALL: pytest.approx(-2.0 * 2),
    }


def test_an_override_that_is_in_force_already_saves_what_it_saves() -> None:
    seen = objects()
    drilled = word(seen, "denied")
    before = predicted(seen, evidence(2.0), drilled, (XL,), now=NOW)
    assert predicted(with_override(seen, drilled), evidence(2.0), drilled, (XL,), now=NOW) == before == {XL: 24.0}


def test_without_demand_the_plan_says_nothing() -> None:
    unknown = structs.replace(evidence(2.0), offered={POLICY: Missing("away")})
    seen = objects()
    assert predicted(seen, unknown, word(seen, "denied"), (SMALL, XL), now=NOW) == {}


def test_a_reading_has_work_done_and_what_was_let_through_at_what_users_have() -> None:
    seen = objects()
    whole = from_evidence(seen, evidence(2.0, busy=20.0), POLICY, (SMALL, XL), now=NOW)
    loads = {XL: Load(busy=20.0, admitted=24.0), SMALL: Load(admitted=0.0)}
    assert whole == Reading(at=NOW, loads=loads, offered=2.0, asked=2.0)
    lite = from_evidence(with_override(seen, word(seen, "lite")), evidence(2.0), POLICY, (SMALL, XL), now=NOW)
    assert {key: load.admitted for key, load in lite.loads.items()} == {XL: 0.0, SMALL: 4.0}
    denied = from_evidence(with_override(seen, word(seen, "denied")), evidence(2.0, 0.1), POLICY, (XL,), now=NOW)
    assert denied.loads[XL].admitted == 0.0


def test_status_is_read_where_there_is_no_prometheus() -> None:
    seen = objects()
    scaler = decode(
        BY_KIND["InferenceScaler"],
        example(
            "InferenceScaler", "image-xl", **{"status.demand": {"admitted": "6.50"}, "status.saturationPercent": 81}
        ),
        NOW,
    )
    assert isinstance(scaler, Stored)
    seen["InferenceScaler"][XL] = scaler
    assert from_status(seen, (XL,), now=NOW).loads == {XL: Load(admitted=6.5, saturation_percent=81.0)}


# What keeps a drill from being measured


def decided(**scaler: Any) -> By:
    """The full example after a decision: all is seen, but for what `scaler` says of image-xl's status."""
    found = objects({"tier": "free", "variant": "full"})
    for key in (XL, SMALL):
        status = structs.replace(found["InferenceScaler"][key].status, saturation_percent=80)
        changed = structs.replace(status, **scaler) if key == XL else status
        found["InferenceScaler"][key] = structs.replace(found["InferenceScaler"][key], status=changed)
    return found


def test_where_all_is_seen_a_drill_can_be_measured() -> None:
    seen = decided()
    reading = from_evidence(seen, evidence(2.0, busy=20.0), POLICY, (SMALL, XL), now=NOW)
    gaps = (*unmeasured(reading, (SMALL, XL)), *unseen(seen, POLICY, (SMALL, XL)), *unasked(reading, "free"))
    assert gaps == ()


def test_without_an_answer_of_prometheus_nothing_can_be_measured() -> None:
    silent = structs.replace(evidence(2.0), offered={POLICY: Missing("away")}, admitted={POLICY: Missing("away")})
    reading = from_evidence(decided(), silent, POLICY, (XL,), now=NOW)
    assert list(unmeasured(reading, (XL,))) == [
        "away",
        "neither the work that media/image-xl does nor what is let through to it is known",
    ]


def test_what_the_operator_cannot_see_is_not_drilled() -> None:
    blind = Condition(type="Saturated", status="Unknown", reason="Missing", message="metric queue: no answer")
    assert list(unseen(decided(saturation_percent=None, conditions=(blind,)), POLICY, (SMALL, XL))) == [
        "the saturation of InferenceScaler media/image-xl is not known: metric queue: no answer"
    ]
    assert next(unseen(objects(), POLICY, (XL,))).startswith("FeaturePolicy media/image-generation: no decision")
    dark = Condition(type="MetricsAvailable", status="False", reason="Missing", message="the query returns nothing")
    seen = decided()
    policy = seen["FeaturePolicy"][POLICY]
    seen["FeaturePolicy"][POLICY] = structs.replace(policy, status=structs.replace(policy.status, conditions=(dark,)))
    assert list(unseen(seen, POLICY, (XL,))) == ["the query returns nothing"]


def test_a_feature_for_which_nobody_asks_is_not_drilled() -> None:
    def asked(offered: float, tier: str) -> Reading:
        return from_evidence(
            decided(), evidence(offered), POLICY, (XL,), now=NOW, whom=lambda audience: audience.tier == tier
        )

    assert list(unasked(asked(2.0, "free"), "free")) == []
    assert list(unasked(asked(0.0, "free"), "free")) == ["nobody of free asks for it now"]
    assert list(unasked(asked(2.0, "plus"), "plus")) == ["it was never seen that plus asks for it"]
    assert list(unasked(from_status(decided(), (SMALL, XL), now=NOW), "free")) == [
        "it was never seen that free asks for it"
    ]


def test_work_that_is_not_counted_any_more_cannot_be_compared() -> None:
    counted, blind = (Reading(at=0, loads={XL: Load(busy=busy, admitted=5.0)}) for busy in (6.0, None))
    assert list(lost(counted, counted)) == list(lost(blind, counted)) == []
    assert list(lost(counted, blind)) == ["the work that media/image-xl does is not known any more"]


def test_what_was_saved_is_the_difference_of_what_was_measured_best() -> None:
    before = [
        Reading(at=0, loads={XL: Load(busy=6.0, admitted=7.0)}),
        Reading(at=1, loads={XL: Load(busy=8.0, admitted=7.0)}),
    ]
    during = [
        Reading(at=2, loads={XL: Load(busy=4.0, admitted=5.0)}),
        Reading(at=3, loads={XL: Load(busy=5.0, admitted=5.0)}),
    ]
    (one,) = saved(before, during, (XL,), {XL: 3.0})
    assert (one.before.busy, one.during.busy, one.saved, one.predicted) == (7.0, 4.5, 2.5, 3.0)
    blind = [Reading(at=2, loads={XL: Load(admitted=5.0)})]
    assert saved(before, blind, (XL,), {})[0].saved is None


def test_other_demand_than_before_is_said_to_blur_the_figures() -> None:
    def asks(rate: float) -> list[Reading]:
        return [Reading(at=0, loads={}, offered=rate)]

    assert list(notes(asks(10.0), asks(10.5))) == []
    assert next(iter(notes(asks(10.0), asks(13.0)))).startswith("users asked for +30 % of this feature meanwhile")
    assert list(notes(asks(10.0), [])) == ["it ended before anything was measured"]


def test_the_report_sets_what_was_saved_beside_what_the_plan_says() -> None:
    before, during = [Reading(at=0, loads={XL: Load(busy=6.0)})], [Reading(at=1, loads={XL: Load(busy=4.5)})]
    found = saved(before, during, (XL,), {XL: 2.0})
    report = Report(
        feature="image-generation",
        namespace="media",
        audience="free",
        variant="denied",
        override="x",
        lasted=120.4,
        ended="ended",
        source="http://prometheus",
        saved=1.5,
        predicted=2.0,
        scalers=found,
    )
    assert text(report).splitlines()[:5] == [
        "image-generation in media, free on denied for 2m; ended",
        "  saved         1.50 GPU-seconds a second, 75 % of what the plan says",
        "  plan says     2.00 GPU-seconds a second",
        "  media/image-xl",
        "    busy       6.00 -> 4.50 (1 and 1 readings)",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--for", "16m"], "--for: found 16m; write 10s to 15m"),
        (["--for", "5s"], "--for: found 5s; write 10s to 15m"),
        (["--for", "soon"], "--for: found 'soon'; write a span such as"),
        (["--before", "1h"], "--before: found 1h; write 1s to 10m"),
        (["--settle", "2m"], "--settle: found 2m; write 0s to 1m 55s"),
        (["--cohort", "x"], "--cohort is of a tier; write --tier too"),
    ],
)
def test_a_drill_is_bounded(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "image-generation", *words]) == 1
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
