"""JavaScript's evaluator, which providers in process have, finds everybody's audience as we do."""

from pathlib import Path

import pytest

from brownout.api.tier import Match
from brownout.flags.render import AUDIENCE, render
from browser.javascript import in_process
from flags.builders import NAMESPACE, TIERS, cell, policy
from flags.random_flags import NOW
from flags.rules import TESTS, audience_of, contexts, expected_audiences

NO_CONTAINERS = {"OlderThan", "YoungerThan"}
"""Tests that are an error in JavaScript of a list or an object (docs/evaluation.md)."""


@pytest.mark.parametrize("key", ["a", "b.a"])
@pytest.mark.parametrize("match", TESTS, ids=lambda match: match.operator)
def test_javascript_finds_the_audience_that_we_find(built: Path, match: Match, key: str) -> None:
    flag_set, users = audience_of(match, key), contexts()
    expected = expected_audiences(match, key, flag_set, users, no_containers=NO_CONTAINERS, error="ERROR")
    answers = in_process(built, flag_set.document, AUDIENCE, users)
    found = [answer.get("variant") or answer["reason"] for answer in answers]
    wrong = [each for each in zip(users, expected, found, strict=True) if each[1] != each[2]]
    assert wrong == []


def test_a_date_that_is_text_is_no_error_but_a_new_account(built: Path) -> None:
    shed = policy(cells=[cell("free", "lite"), cell("free", "denied", cohort="new-accounts")])
    document = render(NAMESPACE, policies=[shed], tiers=TIERS, overrides=[], now=NOW).document
    user = {"targetingKey": "u", "plan": "free", "accountCreatedAt": "2024-01-01T00:00:00Z"}
    [found] = in_process(built, document, "image-generation", [user])
    assert (found["variant"], found["reason"]) == ("denied_new_accounts", "TARGETING_MATCH")
