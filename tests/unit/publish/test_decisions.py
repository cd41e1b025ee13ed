"""Which tick made which version."""

from msgspec import structs

from brownout.api.policy import FeaturePolicyStatus
from brownout.api.resources import Key
from brownout.decide.outcome import PolicyPlan
from brownout.decide.snapshot import StoredPolicy
from brownout.publish.decisions import Decisions
from support.operator_builders import policy


def planned(version: int) -> PolicyPlan:
    """A plan that serves this version."""
    return PolicyPlan(key=Key("media", "images"), cells=(), version=version, summary="")


def stored(*, version: int = 0, decision: str = "") -> StoredPolicy:
    """The policy with a status."""
    return structs.replace(policy("images"), status=FeaturePolicyStatus(version=version, decision=decision))


def test_each_tick_of_each_process_has_an_id_of_its_own() -> None:
    one, other = Decisions(), Decisions()
    assert len({one.begin(), one.begin(), other.begin(), other.begin()}) == 4


def test_a_version_keeps_the_tick_that_made_it_also_while_the_watch_lags() -> None:
    decisions = Decisions()
    first = decisions.begin()
    assert decisions.made(planned(2), stored(version=1, decision="before-9")) == first
    assert decisions.is_new(planned(2))
    decisions.begin()
    assert decisions.made(planned(2), stored(version=1, decision="before-9")) == first
    assert not decisions.is_new(planned(2))


def test_a_version_of_an_earlier_process_keeps_what_status_says() -> None:
    decisions = Decisions()
    decisions.begin()
    assert decisions.made(planned(5), stored(version=5, decision="before-9")) == "before-9"
    assert not decisions.is_new(planned(5))


def test_what_is_gone_is_forgotten() -> None:
    decisions = Decisions()
    decisions.begin()
    decisions.made(planned(5), stored(version=5, decision="before-9"))
    decisions.forget(set())
    assert decisions.made(planned(5), stored(version=4)) == decisions.current
