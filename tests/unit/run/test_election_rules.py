"""Who may lead: the rules of the Lease, in virtual time."""

import pytest

from brownout.run.election.rules import (
    CLOCK_RATE,
    Held,
    Lease,
    Seen,
    Terms,
    TermsError,
    given_back,
    may_take,
    seconds_for_a_write,
    see,
    taken,
)

TERMS = Terms()


def lease(holder: str = "other", *, version: str = "1", lease_seconds: int = 15, transitions: int = 3) -> Lease:
    """A Lease as it is stored."""
    return Lease(version=version, holder=holder, lease_seconds=lease_seconds, transitions=transitions)


def seen(stored: Lease | None, *, at: float = 100.0, before: Seen | None = None) -> Seen:
    """A look that was answered at this moment."""
    return see(before, stored, at)


def held(*, confirmed: float = 100.0) -> Held:
    """A lease of our own."""
    return Held(lease=lease("me"), confirmed=confirmed)


def test_a_lease_that_does_not_exist_or_was_given_back_is_to_be_had_at_once() -> None:
    assert may_take(seen(None), "me", 100.0)
    assert may_take(seen(given_back(lease())), "me", 100.0)


def test_a_lease_of_somebody_else_is_to_be_had_once_it_was_seen_unchanged_for_as_long_as_it_lasts() -> None:
    look = seen(lease())
    assert not may_take(look, "me", 114.9)
    assert may_take(seen(lease(), at=115.0, before=look), "me", 115.0)


def test_a_renewal_begins_the_wait_anew_whatever_times_it_names() -> None:
    look = seen(lease(version="2"), at=110.0, before=seen(lease()))
    assert not may_take(look, "me", 124.9)
    assert may_take(look, "me", 125.0)


def test_how_long_to_wait_is_what_the_holder_wrote_and_not_what_we_would_write() -> None:
    assert not may_take(seen(lease(lease_seconds=60)), "me", 159.0)


def test_a_lease_of_our_own_by_a_write_whose_answer_was_lost_is_to_be_had_at_once() -> None:
    assert may_take(seen(lease("me")), "me", 100.0)


def test_a_lease_that_somebody_deleted_while_it_was_held_is_held_until_it_would_have_run_out() -> None:
    gone = seen(None, at=110.0, before=seen(lease()))
    assert not may_take(seen(None, at=124.0, before=gone), "me", 124.0)
    assert may_take(seen(None, at=125.0, before=gone), "me", 125.0)


def test_who_takes_it_counts_a_transition_and_replaces_the_very_version_that_was_seen() -> None:
    wanted = taken(seen(lease()), "me", TERMS, wall="now")
    assert (wanted.version, wanted.holder, wanted.transitions, wanted.acquired_at) == ("1", "me", 4, "now")
    assert taken(seen(lease("me")), "me", TERMS, wall="now").transitions == 3
    assert taken(seen(None), "me", TERMS, wall="now") == Lease(
        version="", holder="me", lease_seconds=15, acquired_at="now"
    )


def test_who_holds_nothing_may_write_nothing() -> None:
    assert seconds_for_a_write(None, TERMS, 100.0) == 0.0


def test_a_write_may_last_until_somebody_else_may_lead_and_no_write_begins_after_the_deadline() -> None:
    assert seconds_for_a_write(held(), TERMS, 100.0) == pytest.approx(15 * CLOCK_RATE)
    assert seconds_for_a_write(held(), TERMS, 109.9) == pytest.approx(15 * CLOCK_RATE - 9.9)
    assert seconds_for_a_write(held(), TERMS, 110.0) == 0.0
    assert seconds_for_a_write(held(), TERMS, 500.0) == 0.0


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (Terms(retry_seconds=6.0), "twice the retry"),
        (Terms(retry_seconds=0.0), "twice the retry"),
        (Terms(lease_seconds=10), "one and a half times the renew deadline"),
    ],
)
def test_durations_that_do_not_go_together_are_refused_with_what_to_write(terms: Terms, words: str) -> None:
    with pytest.raises(TermsError, match=words):
        terms.check()


def test_the_defaults_go_together() -> None:
    TERMS.check()
