"""What a policy allows a tier, through the flag's metadata."""

from typing import Any

from brownout.api.policy import Quota, TierEntry
from brownout.api.schema import Ref
from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.quota.allowance import Allowance, allowance_of
from brownout.flags.render import render
from flags.builders import NAMESPACE, TIERS, always, never, policy, tier

KEY = "image-generation"


def entry(name: str, **quota: Any) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=name), quota=Quota(**quota))


def metadata(*entries: TierEntry, tiers: Any = TIERS) -> dict[str, Any]:
    flag_set = render(NAMESPACE, policies=[policy(tiers=entries)], tiers=tiers, overrides=(), now=0.0)
    found = Evaluator(flag_set).evaluate(KEY, {})
    assert isinstance(found, Evaluation)
    return found.metadata


def test_a_quota_comes_through_the_flag_as_it_was_written() -> None:
    found = metadata(entry("free", limit=3, when_unavailable="Deny"), entry("plus", limit=20, day="User"))
    assert allowance_of(found, "free") == Allowance(limit=3, zone_key=None, when_unavailable="Deny")
    assert allowance_of(found, "plus") == Allowance(limit=20, zone_key="zoneinfo", when_unavailable="Allow")


def test_the_attribute_with_the_zone_can_be_named() -> None:
    found = metadata(entry("free", limit=3, day="User", zone_key="profile.zone"))
    allowance = allowance_of(found, "free")
    assert allowance is not None
    assert allowance.zone_key == "profile.zone"


def test_a_quota_of_nothing_is_not_no_quota() -> None:
    allowance = allowance_of(metadata(entry("free", limit=0)), "free")
    assert allowance is not None
    assert allowance.limit == 0


def test_a_tier_without_a_quota_has_none() -> None:
    assert allowance_of(metadata(always("pro"), entry("free", limit=3)), "pro") is None


def test_a_tier_that_never_has_the_feature_has_no_quota_of_it() -> None:
    found = metadata(TierEntry(tier_ref=Ref(name="free"), availability="Never", quota=Quota(limit=3)), never("plus"))
    assert allowance_of(found, "free") is None


def test_a_tier_whose_name_has_a_dot_has_its_own_quota() -> None:
    found = metadata(entry("a.b", limit=1), entry("a", limit=2), tiers=(tier("a.b", 2), tier("a", 1)))
    limits = [allowance.limit for name in ("a.b", "a") if (allowance := allowance_of(found, name))]
    assert limits == [1, 2]


def test_another_limit_is_another_version_of_the_set() -> None:
    versions = {
        render(NAMESPACE, policies=[policy(tiers=[entry("free", limit=n)])], tiers=TIERS, overrides=(), now=0).version
        for n in (3, 4)
    }
    assert len(versions) == 2
