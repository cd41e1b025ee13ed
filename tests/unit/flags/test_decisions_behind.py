"""Which ticks are behind a set, for the flag server's log."""

from brownout.flags.cells import Policy
from brownout.flags.render import FlagSet, render
from brownout.flags.service import decisions_behind
from flags.builders import NAMESPACE, policy


def rendered(*policies: Policy, before: FlagSet | None = None) -> FlagSet:
    """A set of these policies alone."""
    return render(NAMESPACE, policies=policies, tiers=(), overrides=(), now=0.0, before=before)


def test_a_first_set_names_the_ticks_of_all_its_policies_and_a_later_one_of_those_that_changed() -> None:
    images, chat = policy("images", decision="k-1"), policy("chat", decision="k-2")
    first = rendered(images, chat)
    assert decisions_behind(first, None) == ["k-1", "k-2"]
    later = rendered(policy("images", version=2, decision="k-9"), chat, before=first)
    assert decisions_behind(later, first) == ["k-9"]


def test_a_status_without_an_id_names_none() -> None:
    assert decisions_behind(rendered(policy("images")), None) == []
