"""The compiled evaluator gives the reference evaluator's answers, to everybody, at every moment and from every set."""

import json
import time
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brownout.api.policy import Notice
from brownout.api.tier import Match
from brownout.flags.classify import UnknownLogicError
from brownout.flags.evaluate import Evaluation, Evaluator, Failure
from brownout.flags.outcome import cbor_text
from brownout.flags.render import AUDIENCE, FlagSet, render
from flags import random_flags
from flags.builders import NAMESPACE, TIERS, WEEK, cell, policy, tier
from flags.random_flags import NOW
from flags.reference import Reference, as_answer
from flags.rules import ODD, TESTS, audience_of


def agree(flag_set: FlagSet, context: dict[str, Any]) -> None:
    """Every flag of a set comes to the same by both, one by one and all at once."""
    evaluator, reference = Evaluator(flag_set), Reference(flag_set)
    for key in evaluator.keys:
        expected, second = reference.evaluate(key, context)
        one = evaluator.evaluate(key, context, now=second)
        assert isinstance(one, Evaluation)
        assert as_answer(one) == expected
        together = evaluator.evaluate_all(context, now=second)[evaluator.keys.index(key)]
        assert together.content == one.content


sets = st.builds(
    lambda first, second, tiers, overrides: render(
        NAMESPACE,
        policies=[first, named(second, "video-generation")],
        tiers=tiers,
        overrides=overrides,
        now=NOW,
    ),
    random_flags.policies,
    random_flags.policies,
    random_flags.odd_tiers | random_flags.tiers,
    random_flags.overrides,
)


def named(each: Any, name: str) -> Any:
    return policy(
        name,
        mode=each.spec.mode,
        tiers=each.spec.tiers,
        cells=each.status.cells,
        notices=[Notice(text="come back later")],
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flag_set=sets, users=st.lists(random_flags.users | random_flags.odd_users, min_size=1, max_size=6))
def test_both_evaluators_give_one_answer(flag_set: FlagSet, users: list[dict[str, Any]]) -> None:
    for user in users:
        agree(flag_set, user)


@settings(max_examples=200, deadline=None)
@given(user=random_flags.odd_users)
def test_both_evaluators_give_one_answer_to_odd_contexts(user: dict[str, Any]) -> None:
    lines = [
        cell("free", "lite", 40),
        cell("free", "full", 35, cohort="new-accounts"),
        cell("free", "denied", user="u"),
    ]
    agree(render(NAMESPACE, policies=[policy(cells=lines)], tiers=TIERS, overrides=[], now=NOW), user)


@pytest.mark.parametrize("match", TESTS, ids=lambda match: match.operator)
@pytest.mark.parametrize("key", ["a", "b.a", "b.1", "b.length", "b.01", "b.-1", "targetingKey"])
def test_every_test_agrees_on_every_odd_value(match: Match, key: str) -> None:
    flag_set = audience_of(match, key)
    for value in ODD:
        contexts = [{"a": value}, {"b": {"a": value, "1": value}}, {"b": ["", value]}, {"b": value}]
        if value is None or isinstance(value, str):
            contexts.append({"targetingKey": value})
        for context in contexts:
            agree(flag_set, context)


@pytest.mark.parametrize("match", TESTS[4:], ids=lambda match: match.operator)
def test_both_count_an_account_of_exactly_that_age_as_older(match: Match) -> None:
    flag_set = audience_of(match, "a")
    reference, evaluator = Reference(flag_set), Evaluator(flag_set)
    for offset in (-1, 0, 1):
        while True:
            moment = int(time.time())
            context = {"a": moment - WEEK + offset}
            expected, second = reference.evaluate(AUDIENCE, context)
            if second == moment:
                break
        found = evaluator.evaluate(AUDIENCE, context, now=second)
        assert isinstance(found, Evaluation)
        assert as_answer(found) == expected


@pytest.mark.parametrize("percent", range(0, 101, 5))
def test_a_share_of_one_users_seconds_is_the_same_in_both(percent: int) -> None:
    held = policy(cells=[cell("free", "full"), cell("free", "lite", percent, user="batch-job")])
    flag_set = render(NAMESPACE, policies=[held], tiers=TIERS, overrides=[], now=NOW)
    agree(flag_set, {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "batch-job"})


@given(flag_set=sets, user=random_flags.users)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_bulk_answer_is_the_single_answers_and_the_sets_metadata(flag_set: FlagSet, user: dict[str, Any]) -> None:
    evaluator = Evaluator(flag_set)
    content = json.loads(evaluator.evaluate_all(user, now=NOW).content)
    single = [evaluator.evaluate(key, user, now=NOW) for key in evaluator.keys]
    assert content == {
        "flags": [json.loads(each.content) for each in single if isinstance(each, Evaluation)],
        "metadata": json.loads(flag_set.document)["metadata"],
    }


@given(flag_set=sets, one=random_flags.users, other=random_flags.users)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_answers_of_one_set_with_one_identity_are_the_same(flag_set: FlagSet, one: Any, other: Any) -> None:
    evaluator = Evaluator(flag_set)
    first, second = (evaluator.evaluate_all(user, now=NOW) for user in (one, other))
    if first.identity == second.identity:
        assert first.content == second.content


@given(st.text(max_size=40) | st.integers(0, 70_000).map(lambda size: "é" * (size // 2) + "x" * (size % 2)))
@settings(max_examples=200, deadline=None)
def test_a_text_is_hashed_in_canonical_cbor(text: str) -> None:
    assert cbor_text(text) == cbor2.dumps(text, canonical=True)


def test_a_key_that_cannot_be_hashed_fails_closed_as_the_reference_does() -> None:
    shed = policy(cells=[cell("plus", "full", 50)])
    flag_set = render(NAMESPACE, policies=[shed], tiers=TIERS, overrides=[], now=NOW)
    user = {"plan": "plus", "targetingKey": "\ud800"}
    agree(flag_set, user)
    found = Evaluator(flag_set).evaluate("image-generation", user)
    assert isinstance(found, Evaluation)
    assert (found.variant, found.reason) == ("denied_plan", "DEFAULT")


@pytest.mark.parametrize("key", ["$flagd.flagKey", "$flagd"])
def test_a_rule_that_is_not_compiled_is_refused_and_never_guessed_at(key: str) -> None:
    tiers = [tier("odd", 2, Match(key=key, operator="Exists")), tier("other", 1)]
    with pytest.raises(UnknownLogicError, match=r"\$flagd"):
        Evaluator(render(NAMESPACE, policies=[], tiers=tiers, overrides=[], now=NOW))


def test_an_unknown_flag_is_not_found_and_the_sentence_names_flag_and_namespace() -> None:
    flag_set = render(NAMESPACE, policies=[], tiers=TIERS, overrides=[], now=NOW)
    found = Evaluator(flag_set).evaluate("nope", {})
    assert isinstance(found, Failure)
    assert found.error_code == "FLAG_NOT_FOUND"
    assert "'nope'" in found.error_details
    assert NAMESPACE in found.error_details


@given(before=sets, after=sets, user=random_flags.users)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_compiled_before_changes_no_answer(before: FlagSet, after: FlagSet, user: dict[str, Any]) -> None:
    anew, onwards = Evaluator(after), Evaluator(after, before=Evaluator(before))
    assert onwards.evaluate_all(user, now=NOW).content == anew.evaluate_all(user, now=NOW).content
    assert onwards.evaluate_all(user, now=NOW).identity == anew.evaluate_all(user, now=NOW).identity


def test_a_new_version_of_the_set_is_in_the_metadata_of_flags_that_have_not_changed() -> None:
    first = render(NAMESPACE, policies=[policy(), policy("video")], tiers=TIERS, overrides=[], now=NOW)
    second = render(NAMESPACE, policies=[policy(), policy("video", version=2)], tiers=TIERS, overrides=[], now=NOW)
    found = Evaluator(second, before=Evaluator(first)).evaluate("image-generation", {"plan": "pro"})
    assert isinstance(found, Evaluation)
    assert first.version != second.version
    assert json.loads(found.content)["metadata"]["version"] == second.version
