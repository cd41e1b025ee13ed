"""`brownout explain`: from saved objects to what a person reads, for what the operator really wrote and for what is made up."""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from brownout.api.resources import Key, Stored
from brownout.api.schema import API_VERSION
from brownout.cli.explanation.cells import explain_cell
from brownout.cli.explanation.seen import see
from brownout.cli.main import main
from brownout.decide.recall import rfc3339
from brownout.publish.status import body
from support.examples import REPOSITORY, changed, example, objects_in
from support.world import Objects, World, load

POLICIES = tuple((REPOSITORY / "demo" / "policies").glob("*.yaml"))
EXAMPLE = REPOSITORY / "charts" / "brownout" / "examples" / "full.yaml"
FREE, NEW = ("image-generation", "free", ""), ("image-generation", "free", "new-accounts")


def viral(now: float) -> dict[tuple[str, str, str], float]:
    """Half a minute of calm, then twenty times the images for free users."""
    times = 1.0 if now < 30 else 20.0
    usual = {("chat", "pro", ""): 1.0, ("video-generation", "free", ""): 0.45, ("image-generation", "pro", ""): 0.3}
    return {**usual, FREE: 0.3 * times, NEW: 0.2 * times}


@cache
def world(seconds: float) -> Objects:
    """The demo's objects with the statuses that the operator writes so long after the start."""
    simulated = World(load(*POLICIES), viral, 12).run(seconds)
    simulated.restart()
    return simulated.objects


def as_written(kind: str, stored: Stored[Any, Any]) -> dict[str, Any]:
    """An object as kubectl prints it."""
    metadata = {"name": stored.key.name} | ({"namespace": stored.key.namespace} if stored.key.namespace else {})
    spec = to_builtins(stored.spec)
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": body(stored.status)}


def bodies(objects: Objects) -> list[dict[str, Any]]:
    return [as_written(kind, one) for kind, found in objects.items() for one in found.values()]


def saved(tmp_path: Path, objects: Iterable[dict[str, Any]]) -> str:
    """A file as `kubectl get brownout -A -o json` writes it."""
    file = tmp_path / "saved.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=1))
    return str(file)


class Explained:
    """What one command printed."""

    def __init__(self, code: int, printed: str, complaint: str) -> None:
        self.code, self.text, self.complaint = code, printed, complaint
        self.lines = printed.splitlines()

    def line(self, words: str) -> str:
        """The one line with these words."""
        found = [line for line in self.lines if words in line]
        assert len(found) == 1, f"{words!r} is in {found} of:\n{self.text}"
        return found[0]

    def place(self, words: str) -> int:
        return self.lines.index(self.line(words))


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command on saved objects."""

    def run(objects: Iterable[dict[str, Any]], *words: str) -> Explained:
        code = main(["explain", *words, "-f", saved(tmp_path, objects)])
        printed = capsys.readouterr()
        return Explained(code, printed.out, printed.err)

    return run


def shed_policy(**line: Any) -> list[dict[str, Any]]:
    """The full example, image generation denied to new accounts, and everything that the gate asks at hand."""
    cell = {
        "tier": "free",
        "cohort": "new-accounts",
        "variant": "denied",
        "reason": "Capacity",
        "message": "image-small is 132 % full",
        "since": "2026-11-22T20:00:00Z",
        "lastShedAt": "2026-11-22T20:00:00Z",
        "dwellSeconds": 240,
        "offeredBefore": "2.000",
        "direction": "Shed",
    } | line
    whole = {"tier": "free", "variant": "full", "reason": "Served", "since": "2026-11-22T20:01:40Z"}
    policy = {"status.cells": [cell, whole]}
    scaler = {
        "status.replicas": {"ready": 8, "current": 10, "coming": 2, "desired": 10, "demanded": 12, "obtainable": 10},
        "status.demand": {"admitted": "6.50", "offered": "9.00", "capacity": "8.00", "leadingMetric": "flow"},
        "status.learned": {
            "costPercent": 150,
            "costErrorPercent": 4,
            "coldStartP50Seconds": 35,
            "coldStartP95Seconds": 70,
        },
        "status.comingReadyAt": "2026-11-22T20:02:00Z",
        "status.limitedBy": "maxReplicas",
        "status.summary": "MaxReplicas: 9.0 GPUs of load are asked for; maxReplicas is 10",
    }
    changes: dict[str, dict[str, Any]] = {"image-generation": policy, "image-small": scaler}
    return [changed(one, changes.get(one["metadata"]["name"], {})) for one in full_example()]


@cache
def full_example() -> tuple[dict[str, Any], ...]:
    """The full example without its override."""
    found = objects_in(EXAMPLE)
    return tuple(one for one in found if one["kind"] != "FeatureOverride")


# The whole chain, of what the operator really wrote


def test_without_arguments_it_tells_the_chain_from_the_pool_to_the_cells_to_the_scalers(explain: Any) -> None:
    told = explain(bodies(world(120)))

    assert told.code == 0
    chain = (
        told.place("GPUPool demo"),
        told.place("rungs taken"),
        told.place("last taken"),
        told.place("next to go"),
        told.place("- FeaturePolicy media/image-generation for free/new-accounts:"),
        told.place("- InferenceScaler media/image:"),
    )
    assert list(chain) == sorted(chain)
    pool = world(120)["GPUPool"][Key("", "demo")].status
    assert pool.ladder.next in told.line("next to go")
    assert f"{pool.ladder.taken} of {pool.ladder.total} rungs taken" in told.line("rungs taken")


RULES = {
    "StaleEvidence": "evidence is fresh",
    "StillSaturated": "workloads are calm",
    "Dwell": "dwell is over",
    "Step": "last step is done",
    "Reversals": "flips are left",
    "Waits": "nobody is before it",
    "DoesNotFit": "a part of it fits",
}


@pytest.mark.parametrize("seconds", [40, 54, 60, 68, 120])
def test_the_gate_asked_on_status_refuses_what_the_operator_refused(seconds: float) -> None:
    seen = see({kind: list(found.values()) for kind, found in world(seconds).items()}, now=seconds - 2)
    refused = [cell for cell in seen.cells if cell.line.refused_by in RULES]

    for cell in refused:
        unmet = [need.what for need in explain_cell(seen, cell).needs if need.met is False]
        assert RULES[cell.line.refused_by] in unmet, (cell.line, unmet)
    assert refused


def test_what_was_taken_says_the_operators_own_words(explain: Any) -> None:
    told = explain(bodies(world(120)))

    taken = [
        (policy.key.name, line)
        for policy in world(120)["FeaturePolicy"].values()
        for line in policy.status.cells
        if (line.variant, line.percent) != (policy.spec.variants[0].name, 100)
    ]
    assert taken
    for name, line in taken:
        who = f"{line.tier}/{line.cohort}" if line.cohort else line.tier
        place = told.place(f"- FeaturePolicy media/{name} for {who}:")
        assert told.lines[place + 1].strip() == f"{line.reason}: {line.message} (since {line.since})"


def test_a_scaler_that_gets_less_than_it_demands_says_what_limits_it(explain: Any) -> None:
    scaler = world(120)["InferenceScaler"][Key("media", "image")].status
    told = explain(bodies(world(120)), "scaler", "image")

    missing = scaler.replicas.demanded - scaler.replicas.obtainable
    assert missing > 0
    need = told.line(f"the pool demo has {missing} more GPUs for it")
    assert "[no]" in need
    assert f"limited by {scaler.limited_by}" in need
    assert told.line("  rule ").split()[1] == scaler.summary.split(":")[0]


def test_where_nothing_is_short_it_says_so(explain: Any) -> None:
    told = explain(bodies(world(20)))

    assert (told.code, told.lines) == (
        0, ["Nothing is short: every pool carries what it admits, and everybody has what it is for."]
    )  # fmt: skip


def without_pools(seconds: float) -> list[dict[str, Any]]:
    return [one for one in bodies(world(seconds)) if one["kind"] != "GPUPool"]


def test_without_sight_of_pools_a_shortage_is_told_by_what_is_limited_and_what_was_taken(explain: Any) -> None:
    told = explain(without_pools(120))

    assert told.code == 0
    assert "InferenceScaler media/image" in told.text
    assert "FeaturePolicy media/image-generation" in told.text
    assert "GPUPool" not in told.text


def test_without_sight_of_pools_nothing_is_said_of_what_they_carry(explain: Any) -> None:
    told = explain(without_pools(20))

    assert (told.code, told.lines) == (
        0, ["Nothing is known to be short: everybody has what it is for, and no pool can be seen."]
    )  # fmt: skip


def test_what_cannot_be_seen_is_not_said_to_be_well(explain: Any) -> None:
    blind = {
        "type": "MetricsAvailable",
        "status": "False",
        "reason": "NoData",
        "message": "kv: the query returns nothing",
    }
    blind["lastTransitionTime"] = "2026-11-22T20:00:00Z"
    objects = bodies(world(20))
    for one in objects:
        if (one["kind"], one["metadata"]["name"]) == ("InferenceScaler", "image"):
            one["status"]["conditions"] = [blind]
    told = explain(objects)

    assert told.lines == [
        "Nothing is known to be short, but not everything can be seen; look at:",
        "  InferenceScaler media/image: kv: the query returns nothing",
    ]


def test_where_there_is_nothing_nothing_is_said_to_be_well(explain: Any) -> None:
    assert explain([]).text.startswith("No GPUPool, InferenceScaler or FeaturePolicy found")


def undecided(**changes: Any) -> list[dict[str, Any]]:
    """The full example as it was applied: nothing has been decided, or what `changes` say of image-small."""
    return [changed(one, changes if one["metadata"]["name"] == "image-small" else {}) for one in full_example()]


def test_what_is_not_known_of_a_scaler_is_said_to_be_unknown_and_not_to_be_zero(explain: Any) -> None:
    summary = {"status.summary": "Held: replicas stay as they are", "status.replicas": {"desired": 3, "ready": 3}}
    told = explain(undecided(**summary), "scaler", "image-small")

    assert told.line("  has ").endswith("3 ready; 3 decided, what is demanded is not known")
    assert told.line("  load ").endswith("what is asked for is not known")
    assert told.line("  saturation ").endswith(" unknown")
    assert "  replicas     1 to 10 allowed" in told.lines
    assert told.line("  cost ").endswith("as declared; not learned yet")
    assert not re.search(r"\b0 (%|s|replicas|GPUs|obtainable|protected|demanded)", told.text)


def test_a_pool_of_which_nothing_is_known_is_not_said_to_carry_what_it_admits(explain: Any) -> None:
    told = explain(undecided(), "pool")
    assert told.line("  has ").endswith("no decision has been made yet")
    assert told.line("  ladder ").endswith("not judged yet")
    assert "  saturation   unknown; a cell comes back below" in told.text

    condition = {"type": "Saturated", "status": "Unknown", "reason": "Missing", "message": "media/image-small: no data"}
    objects = undecided()
    pool = next(one for one in objects if one["kind"] == "GPUPool")
    pool["status"] = {"conditions": [condition | {"lastTransitionTime": "2026-11-22T20:00:00Z"}]}
    told = explain(objects, "pool", pool["metadata"]["name"])
    assert told.line("  because ").endswith(
        "nobody can tell whether every scaler carries what it admits: media/image-small: no data"
    )


def test_what_a_workload_carries_is_not_taken_for_nothing_where_status_does_not_say(explain: Any) -> None:
    objects = shed_policy()
    scaler = next(one for one in objects if one["metadata"]["name"] == "image-small")
    del scaler["status"]["demand"]["admitted"]
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert (
        told.line("a part of it fits").strip() == "[?]   a part of it fits: what image-small carries now is not known"
    )


# A person's word


def overridden(**line: Any) -> list[dict[str, Any]]:
    """The shed policy, and an override of all free users that is an hour younger than what the loop decided."""
    (word,) = (one for one in objects_in(EXAMPLE) if one["kind"] == "FeatureOverride")
    fields = {
        "metadata.creationTimestamp": "2026-11-22T21:00:00Z",
        "spec.cells": [{"tier": "free", "cohort": "new-accounts"}],
        "spec.variant": "lite",
        "spec.expireTime": "2026-11-22T23:00:00Z",
    }
    return [*shed_policy(**line), changed(word, fields)]


CELL = ("policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")


@pytest.mark.parametrize(
    "told", [{}, {"overriddenTo": "lite", "reason": "Override", "message": "FeatureOverride x: y"}]
)
def test_under_a_persons_word_a_cell_has_it_since_the_word_was_given(explain: Any, told: dict[str, Any]) -> None:
    said = explain(overridden(**told), *CELL)

    assert said.line("  has ").endswith("lite, by a person's word; without it denied")
    assert said.line("  since ").endswith("2026-11-22T21:00:00Z")
    assert said.line("  because ").endswith("FeatureOverride incident-4711: incident 4711")
    assert said.line("the override ends").endswith("(2026-11-22T23:00:00Z)")
    whole = explain(overridden(**told), "policy", "image-generation")
    assert whole.line("  has ").endswith("free/new-accounts: lite")


def test_since_when_a_word_stands_that_is_not_among_the_objects_is_not_told(explain: Any) -> None:
    said = explain(shed_policy(overriddenTo="lite", reason="Override"), *CELL)

    assert said.line("  has ").endswith("lite, by a person's word; without it denied")
    assert not [line for line in said.lines if line.startswith("  since ")]


# One cell


def test_a_cell_says_the_rule_the_numbers_and_since_when(explain: Any) -> None:
    told = explain(shed_policy(), "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert told.lines[0] == "FeaturePolicy media/image-generation for free/new-accounts"
    assert told.line("  has ").endswith("denied, instead of full")
    assert told.line("  rule ").endswith("Capacity")
    assert told.line("  because ").endswith("image-small is 132 % full")
    assert told.line("  since ").endswith("2026-11-22T20:00:00Z")
    assert told.line("  asked for ").endswith("2.000 requests/s before it was taken")


def test_a_cell_says_every_rule_of_the_gate_and_which_does_not_hold(explain: Any) -> None:
    told = explain(shed_policy(), "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert "[yes] workloads are calm" in told.text
    assert told.line("dwell is over").strip() == (
        "[no]  dwell is over: shed 100 s ago; it stays for 240 s (2026-11-22T20:04:00Z)"
    )
    assert "[yes] a part of it fits: as far as lite for 10 %, denied for the rest" in told.text


def test_where_the_operator_expects_no_moment_the_last_that_is_waited_for_is_told(explain: Any) -> None:
    def expected(**line: Any) -> str:
        objects = shed_policy(**line)
        told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")
        return str(told.line("  expected ")).strip()

    assert expected() == "expected     not before 2026-11-22T20:04:00Z"
    assert expected(refusedBy="Waits", refusal="free comes first") == (
        "expected     not known: nobody can tell when nobody is before it"
    )
    assert expected(expectedReturn="2026-11-22T20:05:00Z") == "expected     2026-11-22T20:05:00Z"


def test_what_does_not_fit_is_said_with_learned_costs(explain: Any) -> None:
    told = explain(shed_policy(offeredBefore="20.000"), "policy", "--tier", "free", "--cohort", "new-accounts")

    # 5 % of 20 requests a second (19.4 after 100 s) at 2 GPU-seconds, which are really 3: 2.9 GPUs beside the 6.5 of eight
    assert "5 % more of it would bring image-small to 9.4 of 8 ready GPUs, beyond 90 %" in told.line(
        "a part of it fits"
    )


def test_what_the_operator_said_of_the_gate_stands_beside_it(explain: Any) -> None:
    refusal = "image-generation for free comes back first on image-small"
    objects = shed_policy(refusedBy="Waits", refusal=refusal, expectedReturn="2026-11-22T20:05:00Z")
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert told.line("  not yet ").endswith(f"Waits: {refusal}")
    assert told.line("nobody is before it").strip() == f"[no]  nobody is before it: {refusal}"
    assert told.line("  expected ").endswith("2026-11-22T20:05:00Z")


def test_whether_it_fits_the_operator_knows_better_than_status(explain: Any) -> None:
    refusal = "5 % more of it would bring image-small to 7.4 of 8 ready GPUs, beyond 90 %"
    objects = shed_policy(refusedBy="DoesNotFit", refusal=refusal)
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert f"[no]  a part of it fits: {refusal}" in told.text


def test_a_cell_that_has_everything_waits_for_nothing(explain: Any) -> None:
    told = explain(shed_policy(), "policy", "image-generation", "--tier", "free", "--cohort", "")

    assert told.lines[0] == "FeaturePolicy media/image-generation for free"
    assert told.line("  has ").endswith(" full")
    assert "to come back" not in told.text
    assert "expected" not in told.text


def test_a_persons_word_is_waited_for(explain: Any) -> None:
    objects = shed_policy(
        variant="full", overriddenTo="denied", reason="Override", expectedReturn="2026-11-23T00:00:00Z"
    )
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert told.line("  has ").endswith("denied, by a person's word; without it full")
    assert "[no]  the override ends (2026-11-23T00:00:00Z)" in told.text
    assert "dwell is over" not in told.text


def test_a_user_who_is_held_back_alone_is_named(explain: Any) -> None:
    told = explain(shed_policy(user="u-17"), "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert told.lines[0] == "FeaturePolicy media/image-generation for one user of free/new-accounts (u-17)"


def test_a_part_of_a_user_is_told_as_a_part_of_the_time(explain: Any) -> None:
    held = shed_policy(user="u-17", variant="full", percent=45)
    told = explain(held, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert "full for 45 % of the time, lite for the rest" in told.line("  has ")


def test_a_cell_whose_scalers_were_not_saved_says_that_it_cannot_know(explain: Any) -> None:
    objects = [one for one in shed_policy() if one["kind"] != "InferenceScaler"]
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert told.code == 0
    assert "[?]   InferenceScaler media/image-small is known: it is not among these objects" in told.text
    assert "[no]  dwell is over" in told.text
    assert "[?]   workloads are calm" in told.text
    assert "a part of it fits" not in told.text


def test_what_is_paused_does_not_come_back_by_itself(explain: Any) -> None:
    objects = shed_policy()
    next(one for one in objects if one["kind"] == "FeaturePolicy")["spec"]["mode"] = "Paused"
    told = explain(objects, "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts")

    assert "[no]  spec.mode is Auto: it is Paused" in told.text


# A policy, a scaler, a pool


def test_a_policy_tells_of_each_audience_that_has_less(explain: Any) -> None:
    told = explain(shed_policy(), "fpol", "image-generation")

    assert told.lines[0] == "FeaturePolicy media/image-generation"
    assert "- FeaturePolicy media/image-generation for free/new-accounts: denied, instead of full" in told.text
    assert "for free:" not in told.text
    assert "waits until dwell is over" in told.text


def test_a_scaler_says_its_load_what_was_learned_and_what_comes(explain: Any) -> None:
    told = explain(shed_policy(), "scaler", "image-small")

    assert told.line("  has ").endswith("8 ready, 2 coming; 10 decided, 12 demanded")
    assert "9.00 GPUs asked for, 6.50 GPUs let through, 8.00 GPUs ready" in told.line("  load ")
    assert told.line("  cost ").endswith("150 % of what is declared, off by 4 %")
    assert told.line("  cold start ").endswith("35 s, 70 s for the slowest of twenty")
    assert "[no]  2 replicas become ready (2026-11-22T20:02:00Z)" in told.text
    assert "[no]  spec.maxReplicas is raised: it is 10" in told.text
    assert told.line("  expected ").endswith("2026-11-22T20:02:00Z")


def test_a_trend_and_a_reclaim_are_told(explain: Any) -> None:
    objects = shed_policy()
    scaler = next(one for one in objects if one["metadata"]["name"] == "image-small")
    scaler["status"]["replicas"]["forecast"] = 14
    scaler["status"]["reclaim"] = {"to": "image-xl", "keeps": 6}
    scaler["status"]["memory"] = {"closedUntil": "2026-11-22T20:30:00Z", "deficitSince": "2026-11-22T20:01:00Z"}
    told = explain(objects, "scaler", "image-small")

    assert told.line("  forecast ").endswith("14 replicas' worth by the time that a new one is ready")
    assert told.line("  reclaim ").endswith("it keeps 6 replicas; the rest is to go to image-xl")
    assert told.line("  closed ").endswith("nothing is reclaimed from it until 2026-11-22T20:30:00Z")
    assert told.line("  short ").endswith("of its share of the pool since 2026-11-22T20:01:00Z")


def test_what_is_not_learned_yet_is_as_declared(explain: Any) -> None:
    told = explain([example("InferenceScaler", "image-xl")], "isc", "image-xl")

    assert told.line("  has ").endswith("no decision has been made yet")
    assert told.line("  cold start ").endswith("120 s as declared; not learned yet")


def test_what_somebody_has_to_look_at_is_said(explain: Any) -> None:
    message = "InferenceScaler media/image-xl: spec.poolRef.name: no GPUPool 'a100'; write one"
    not_ready = [{"type": "Ready", "status": "False", "reason": "NotFound", "message": message}]
    told = explain([example("InferenceScaler", "image-xl", **{"status.conditions": not_ready})], "scaler")

    assert told.line("  look at ").endswith(message)


# What is asked for


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("GPUPool", "GPUPool"), ("gpupools", "GPUPool"), ("gpool", "GPUPool"), ("pool", "GPUPool"), ("pools", "GPUPool"),
        ("InferenceScaler", "InferenceScaler"), ("isc", "InferenceScaler"), ("scalers", "InferenceScaler"),
        ("featurepolicies.brownout.dev", "FeaturePolicy"), ("fpol", "FeaturePolicy"), ("policies", "FeaturePolicy"),
        ("feature", "FeaturePolicy"),
    ],
)  # fmt: skip
def test_a_kind_is_known_by_the_words_that_kubectl_knows_and_by_shorter_ones(
    word: str, kind: str, explain: Any
) -> None:
    assert explain(shed_policy(), word).lines[0].startswith(f"{kind} ")


def test_kind_and_name_may_be_one_word(explain: Any) -> None:
    assert explain(shed_policy(), "scaler/image-xl").lines[0] == "InferenceScaler media/image-xl"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["deployment"], "there is no explanation for 'deployment'; write one of policy, pool, scaler"),
        (["poool"], "there is no explanation for 'poool'; write pool"),
        (["scaler", "image"], "there is no InferenceScaler 'image'; there are: media/image-small, media/image-xl"),
        (["scaler", "image", "-n", "media"], "there is no InferenceScaler 'image' in media; there are: image-small, image-xl"),
        (["pool", "a100"], "there is no GPUPool 'a100'; there are: h100"),
        (["policy", "image-generation", "-n", "x"], "there is no FeaturePolicy 'image-generation' in x; there are: none"),
        (["policy", "-n", "x"], "there is no FeaturePolicy in x; there are: none"),
        (["policy", "image-generation", "--tier", "fre"], "FeaturePolicy media/image-generation has no cell 'fre'; there are: free/new-accounts, free"),
        (["policy", "image-generation", "--tier", "free", "--cohort", "old"], "has no cell 'free/old'; there are: free/new-accounts, free"),
        (["scaler", "--tier", "free"], "--tier is of a policy; write: brownout explain policy NAME --tier TIER"),
        (["policy", "--cohort", "new-accounts"], "--cohort is of a tier; write --tier too"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_error_that_names_what_is(words: list[str], complaint: str, explain: Any) -> None:
    told = explain(shed_policy(), *words)

    assert (told.code, told.text) == (1, "")
    assert complaint in told.complaint


def test_a_name_in_two_namespaces_needs_the_namespace(explain: Any) -> None:
    twice = [example("FeaturePolicy", "image-generation", **{"metadata.namespace": name}) for name in ("a", "b")]
    told = explain(twice, "policy", "image-generation")

    assert told.code == 1
    assert "is in more than one namespace; write -n with one of a, b" in told.complaint
    assert explain(twice, "policy", "image-generation", "-n", "b").lines[0] == "FeaturePolicy b/image-generation"


def test_a_tier_may_be_asked_for_over_all_policies(explain: Any) -> None:
    objects = shed_policy()
    policy = next(one for one in objects if one["kind"] == "FeaturePolicy")
    without = changed(policy, {"metadata.name": "chat", "spec.flagKey": "chat", "status.cells": []})
    told = explain([*objects, without], "policy", "--tier", "free", "--json")

    assert [one["subject"] for one in json.loads(told.text)] == [
        "FeaturePolicy media/image-generation for free/new-accounts",
        "FeaturePolicy media/image-generation for free",
    ]


def test_as_json_it_is_a_list_with_the_same_in_fields(explain: Any) -> None:
    told = explain(shed_policy(), "policy", "image-generation", "--tier", "free", "--cohort", "new-accounts", "--json")

    (cell,) = json.loads(told.text)
    assert (cell["rule"], cell["since"]) == ("Capacity", "2026-11-22T20:00:00Z")
    assert {
        "what": "dwell is over",
        "met": False,
        "found": "shed 100 s ago; it stays for 240 s",
        "at": rfc3339(1795377840),
    } in cell["needs"]


def test_an_object_that_cannot_be_read_is_said_beside_the_others(explain: Any) -> None:
    broken = example("FeaturePolicy", "image-generation", **{"spec.variants": "none"})
    told = explain([broken, example("InferenceScaler", "image-xl")], "scaler", "image-xl")

    assert told.code == 0
    assert "warning: FeaturePolicy media/image-generation: spec: " in told.complaint


def test_a_file_that_is_not_there_is_no_empty_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(tmp_path / "absent.yaml")]) == 2
    assert "absent.yaml" in capsys.readouterr().err
