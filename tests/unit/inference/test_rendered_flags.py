"""What the flag server renders is what the inference server understands: the two share a contract and no code."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from brownout.api.policy import CellStatus, Notice
from brownout.flags.render import render
from brownout_inference.features import BUILT_IN, ImageAsk
from brownout_inference.identity import context_of
from brownout_inference.refusal import Refusal, denial
from brownout_inference.verdict import AUDIENCE_FLAG, Audience, Verdict, verdict_of
from flags.builders import LISTED, NAMESPACE, TIERS, cell, never, override, policy

NOW = 1_795_000_000.0
FEATURE = BUILT_IN["image-generation"]
UNKNOWN = Audience(tier="unknown", cohort="", priority=-1)


@dataclass
class Flag:
    value: Any
    variant: str | None
    flag_metadata: Any = field(default_factory=dict)
    error_code: Any = None


def judged(plan: str, *cells: CellStatus, tiers: Any = LISTED, overridden: bool = False, new: bool = False) -> Verdict:
    notices = [Notice(locale="en", when="Denied", text="Paused."), Notice(locale="de", when="Denied", text="Pausiert.")]
    flag_set = render(
        NAMESPACE,
        policies=[policy(cells=cells, tiers=tiers, notices=notices)],
        tiers=TIERS,
        overrides=[override(created_at=NOW, expires="2100-01-01T00:00:00Z")] if overridden else [],
        now=NOW,
    )
    core = FlagdCore()
    core.set_flags(json.loads(flag_set.document))
    created = time.time() if new else NOW - 365 * 86_400  # evaluators look at the clock
    headers = {"X-Brownout-User": "ana", "X-Brownout-Plan": plan, "X-Brownout-Account-Created-At": f"{created:.0f}"}
    context = context_of(headers)
    return verdict_of(
        evaluated(core, FEATURE.flag_key, context), evaluated(core, AUDIENCE_FLAG, context), unknown=UNKNOWN, now=NOW
    )


def evaluated(core: FlagdCore, key: str, context: EvaluationContext) -> Flag:
    details = core.resolve_object_value(key, {}, context)
    return Flag(details.value, details.variant, details.flag_metadata)


def refused(verdict: Verdict, language: str = "") -> Refusal:
    assert not verdict.enabled
    return denial(verdict, FEATURE.name, accept_language=language)


def test_the_audience_is_the_tier_with_its_priority() -> None:
    assert judged("pro").audience == Audience(tier="pro", cohort="", priority=100)
    assert judged("free", new=True).audience == Audience(tier="free", cohort="new-accounts", priority=10)


def test_a_degraded_cell_gets_the_steps_of_its_variant() -> None:
    verdict = judged("plus", cell("plus", "lite"))
    assert (verdict.enabled, verdict.variant) == (True, "lite")
    work = ImageAsk(prompt="7", pictures=1, seed=None).work(FEATURE, verdict.value)
    assert work.steps == 8


def test_a_shed_cell_is_denied_for_capacity_in_the_words_of_the_policy() -> None:
    refusal = refused(judged("free", cell("free", "denied")), "de-AT")
    assert (refusal.status, refusal.reason, refusal.detail) == (503, "denied_capacity", "Pausiert.")
    assert refusal.retry_after_seconds is not None


@pytest.mark.parametrize(("cohort", "new"), [("", False), ("new-accounts", True)])
def test_a_refusal_says_to_come_back_when_the_cell_is_expected_back(cohort: str, new: bool) -> None:
    at = datetime.fromtimestamp(NOW + 240, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shed = structs.replace(cell("free", "denied", cohort=cohort), expected_return=at)
    assert refused(judged("free", shed, new=new)).headers()["Retry-After"] == "240"


def test_a_shed_cohort_is_named() -> None:
    shed = cell("free", "denied", cohort="new-accounts")
    assert refused(judged("free", shed, new=True)).reason == "denied_new_accounts"


def test_a_tier_without_the_feature_is_refused_for_its_plan() -> None:
    refusal = refused(judged("free", tiers=[*LISTED[:2], never("free")]))
    assert (refusal.status, refusal.reason, refusal.retry_after_seconds) == (403, "denied_plan", None)


def test_a_persons_word_is_told_apart() -> None:
    assert refused(judged("free", overridden=True)).reason == "denied_override"


def test_a_user_who_is_held_back_alone_is_denied_for_capacity() -> None:
    held = cell("free", "denied", user="ana")
    assert refused(judged("free", held)).reason == "denied_capacity"
    assert judged("free", cell("free", "denied", user="ben")).enabled
