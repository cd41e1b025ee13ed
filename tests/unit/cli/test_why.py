"""`brownout why`: the gates, each with its evidence, and that they come to what the flag server answers."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from brownout.api.override import CellRef
from brownout.api.policy import CellStatus
from brownout.cli.failure import CommandError
from brownout.cli.gates import person
from brownout.cli.gates.answer import Product, feature, why
from brownout.cli.gates.matches import Person
from brownout.cli.gates.model import Gate, Why
from brownout.cli.gates.text import text
from brownout.cli.main import main
from brownout.flags.outcome import bucket
from flags import random_flags
from flags.builders import NAMESPACE, TIERS, always, auto, cell, never, override, policy
from support.examples import EXAMPLES, example

NOW = time.time()
OLD, YOUNG = int(NOW) - 100 * 86400, int(NOW) - 2 * 86400
FREE: dict[str, Any] = {"targetingKey": "u-17", "plan": "free", "accountCreatedAt": OLD}


def ask(context: dict[str, Any], *policies: Any, overrides: Any = (), tiers: Any = TIERS) -> Why:
    seen = Product(namespace=NAMESPACE, policies=policies, tiers=tuple(tiers), overrides=tuple(overrides))
    return why(seen, policies[0], Person(context, NOW))


def gate(found: Why, name: str) -> Gate:
    (one,) = (gate for gate in found.gates if gate.name == name)
    return one


def test_a_tier_is_found_with_the_test_that_matched_and_those_that_did_not() -> None:
    found = ask({**FREE, "plan": "plus"}, policy())
    assert (found.tier, found.cohort, found.variant) == ("plus", "", "full")
    assert gate(found, "tier").found == "plus, tried as number 2 of 3; priority 50"
    assert gate(found, "tier").evidence == (
        'pro: no: plan In [pro]; found "plus"',
        'plus: yes: plan In [plus]; found "plus"',
    )


def test_the_unknown_user_is_in_the_last_tier_because_nothing_matched() -> None:
    found = ask({}, policy())
    assert found.tier == "free"
    assert gate(found, "tier").evidence[0] == "pro: no: plan In [pro]; found nothing"
    assert gate(found, "tier").evidence[-1] == "free: is the last tier: unknown users get it"


@pytest.mark.parametrize(
    ("created", "words"),
    [
        (YOUNG, "UTC, 2d"),
        (None, "found nothing, which counts as young"),
        ("yesterday", 'found "yesterday", which is not a number of Unix seconds and counts as young'),
        (int(NOW) + 86400, "in the future: counts as young"),
        (0, "which is what an unset field looks like"),
        (True, "found true, which is not a number"),
        (10**30, "in the future: counts as young"),
    ],
    ids=["young", "absent", "text", "future", "zero", "true", "huge"],
)
def test_a_cohort_says_what_age_it_saw(created: Any, words: str) -> None:
    context = {key: value for key, value in {**FREE, "accountCreatedAt": created}.items() if value is not None}
    found = ask(context, policy(cells=[cell("free", "denied", cohort="new-accounts")]))
    assert found.cohort == "new-accounts"
    assert found.variant == "denied_new_accounts"
    line = gate(found, "cohort").evidence[0]
    assert line.startswith("new-accounts: yes: accountCreatedAt YoungerThan 7d (604800 s)")
    assert words in line


@pytest.mark.parametrize(
    ("tiers", "words"),
    [((never("free"),), "tier free is Never"), ((), "the policy does not list tier free, which is Never")],
)
def test_a_tier_without_a_part_is_refused_by_the_plan_and_nothing_else_is_asked(tiers: Any, words: str) -> None:
    found = ask(FREE, policy(tiers=tiers), overrides=[override(variant="full", expires="2099-01-01T00:00:00Z")])
    assert (found.decided_by, found.variant) == ("plan", "denied_plan")
    assert found.gates[-1] == Gate(name="plan", says="no", found=words)


def test_an_override_that_denies_is_named_with_its_reason_and_its_end() -> None:
    word = override(
        "incident", cells=[CellRef(tier="free")], expires="2099-01-01T00:00:00Z", created_at=NOW - 7 * 86400 + 600
    )
    over = override("earlier", expires="2020-01-01T00:00:00Z", created_at=1.5e9)
    found = ask(FREE, policy(), overrides=[word, over])
    assert (found.decided_by, found.variant) == ("override", "denied_override")
    told = gate(found, "override")
    assert told.says == "no"
    assert told.found.startswith("incident gives free denied until ")
    assert told.found.endswith("(for 10m more)")
    assert told.evidence == ("reason: a test", "earlier is over since 2017-07-21T02:40:00Z")


def test_an_override_of_others_is_said_not_to_count() -> None:
    others = override(
        "others", cells=[CellRef(tier="free", cohort="new-accounts")], expires="2099-01-01T00:00:00Z", created_at=NOW
    )
    wrong = override("wrong", variant="gone", expires="2099-01-01T00:00:00Z", created_at=NOW)
    found = ask(FREE, policy(), overrides=[others, wrong])
    assert found.variant == "full"
    assert gate(found, "override").evidence == (
        "others speaks of free/new-accounts",
        "wrong is Invalid: there is no variant 'gone'",
    )


def test_capacity_tells_the_plans_rule_its_numbers_and_when_it_comes_back() -> None:
    line = CellStatus(
        tier="free",
        variant="denied",
        reason="Capacity",
        message="image is 161 % full: 7.6 GPUs of load on 7 ready GPUs",
        since="2026-11-22T20:00:00Z",
        refused_by="Dwell",
        refusal="shed 20 s ago, and stays for 120 s",
        expected_return="2026-11-22T20:05:00Z",
    )
    found = ask(FREE, policy(cells=[line]))
    assert (found.decided_by, found.variant) == ("capacity", "denied_capacity")
    assert gate(found, "capacity").evidence == (
        "Capacity: image is 161 % full: 7.6 GPUs of load on 7 ready GPUs",
        "since 2026-11-22T20:00:00Z",
        "not back yet: Dwell: shed 20 s ago, and stays for 120 s",
        "expected back 2026-11-22T20:05:00Z",
    )
    assert found.expected_return == "2026-11-22T20:05:00Z"


def test_a_plan_that_allows_no_less_is_said_to_hold_against_status() -> None:
    found = ask(FREE, policy(tiers=[auto("free", "lite")], cells=[cell("free", "denied")]))
    assert found.variant == "lite"
    assert gate(found, "capacity").evidence == ("status says denied 100 %, and the plan allows no less than this",)
    assert ask(FREE, policy(tiers=[always("free")], cells=[cell("free", "denied")])).variant == "full"


def test_a_percentage_says_the_users_number_and_the_border() -> None:
    number = bucket("image-generation" + FREE["targetingKey"])
    inside = ask(FREE, policy(cells=[cell("free", "full", number + 1)]))
    outside = ask(FREE, policy(cells=[cell("free", "full", number)]))
    assert (inside.variant, outside.variant) == ("full", "lite")
    assert gate(inside, "capacity").says == "part"
    assert gate(outside, "percentage").says == "no"
    assert (
        f"targetingKey u-17 is number {number} of 0 to 99; full is for those below {number}, so lite"
        in gate(outside, "percentage").found
    )
    anonymous = ask({"plan": "free", "accountCreatedAt": OLD}, policy(cells=[cell("free", "full", 99)]))
    assert gate(anonymous, "percentage").found == "there is no targetingKey to go by, so lite"


def test_a_user_who_is_held_back_alone_is_told_so() -> None:
    lines = [cell("free", "full"), cell("free", "denied", user="u-17")]
    found = ask(FREE, policy(cells=lines))
    assert (found.decided_by, found.variant) == ("this user alone", "denied_capacity")
    other = ask({**FREE, "targetingKey": "u-18"}, policy(cells=lines))
    assert gate(other, "this user alone").found == "is not held back; others of this cell are"


def test_advise_serves_the_first_variant_whatever_status_says() -> None:
    found = ask(FREE, policy(mode="Advise", cells=[cell("free", "denied")]))
    assert (found.decided_by, found.variant) == ("mode", "full")


def test_of_two_policies_with_one_flag_the_older_is_said_to_be_served() -> None:
    newer = policy("newer", flag_key="image-generation", created_at=5.0)
    found = ask(FREE, newer, policy())
    assert found.feature == "image-generation"
    assert (
        gate(found, "flag").found == "image-generation is older and has the flag image-generation; newer is not served"
    )


def test_a_namespace_without_tiers_has_nobody_who_has_it() -> None:
    assert ask(FREE, policy(), tiers=()).variant == "denied_plan"


def test_a_feature_is_found_by_its_name_or_its_flag_and_else_all_are_named() -> None:
    policies = [policy("images", flag_key="image-generation"), policy("videos")]
    assert feature(policies, "image-generation", NAMESPACE).key.name == "images"
    assert feature(policies, "videos", NAMESPACE).key.name == "videos"
    with pytest.raises(CommandError, match="there is no feature 'chat' in media; there are: images, videos"):
        feature(policies, "chat", NAMESPACE)


def test_a_namespace_without_features_is_said_to_be_perhaps_the_wrong_one() -> None:
    with pytest.raises(CommandError, match="no feature 'chat' in media, and no other; write -n with the namespace"):
        feature([], "chat", NAMESPACE)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])  # tables of characters load at the first
@given(
    random_flags.policies,
    random_flags.tiers,
    random_flags.overrides,
    random_flags.users,
)
def test_the_gates_come_to_what_the_flag_server_answers(
    drawn: Any, tiers: Any, overrides: Any, user: dict[str, Any]
) -> None:
    seen = Product(namespace=NAMESPACE, policies=(drawn,), tiers=tiers, overrides=tuple(overrides))
    found = why(seen, drawn, Person(user, time.time()))
    assert found.disagreement == "", text(found)


@pytest.mark.parametrize(
    ("words", "context"),
    [
        (["targetingKey=7", "plan=free"], {"targetingKey": "7", "plan": "free"}),
        (["plan=free,age=3"], {"plan": "free", "age": 3}),
        (["a.b=true", "a.c=null"], {"a": {"b": True, "c": None}}),
        (['n="5"', "f=1.5", "e="], {"n": "5", "f": 1.5, "e": ""}),
        (['{"plan": "pro"}', "plan=free"], {"plan": "free"}),
        (['{"context": {"plan": "pro"}}'], {"plan": "pro"}),
    ],
)
def test_a_context_is_read_from_pairs_and_json(words: list[str], context: dict[str, Any]) -> None:
    assert person.context(words) == context


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["free"], "USER-CONTEXT: found 'free'; write JSON, @FILE, or pairs such as"),
        (["chat"], "and the feature last"),
        (["{plan: free}"], "USER-CONTEXT: is not JSON"),
        (["@/nowhere/at/all"], "@/nowhere/at/all: No such file"),
        (["a=1", "a.b=2"], "a has a value already"),
        (['{"targetingKey": 5}'], "context.targetingKey: expected a string, found a number"),
    ],
)
def test_a_context_that_is_none_is_refused_in_a_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match="error: ") as refused:
        person.context(words)
    assert sentence in str(refused.value)


def test_the_command_reads_manifests_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "context.json").write_text(json.dumps(FREE | {"accountCreatedAt": YOUNG}))
    words = ["why", f"@{tmp_path}/context.json", "image-generation", "-f", str(EXAMPLES / "full.yaml")]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("image-generation in media for u-17 (free/new-accounts): denied_override\n")
    assert "[no]   override" in printed.out
    assert "reason: incident 4711" in printed.out
    assert printed.err == ""
    assert main([*words, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decidedBy"] == "override"
    assert main([*words, "-o", "yaml"]) == 0
    again = yaml.safe_load(capsys.readouterr().out)
    assert again.keys() == found.keys()
    assert again | {"gates": []} == found | {"gates": []}  # the override is as old as the look at it


def test_a_file_that_cannot_be_read_as_a_policy_leads_to_validate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tier.yaml").write_text(yaml.safe_dump(example("UserTier", "free", **{"spec.priority": "high"})))
    words = [
        "why",
        "plan=pro",
        "image-generation",
        "-f",
        str(EXAMPLES / "full.yaml"),
        "-f",
        str(tmp_path / "tier.yaml"),
    ]
    assert main(words) == 0
    assert capsys.readouterr().err.endswith("; `brownout validate -f` says what to write\n")


def test_a_feature_that_is_not_there_is_an_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "plan=free", "chat", "-f", str(EXAMPLES / "full.yaml")]) == 1
    assert capsys.readouterr().err == "error: there is no feature 'chat' in media; there are: image-generation\n"
