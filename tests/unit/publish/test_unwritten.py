"""What could not be written, and when it is tried again."""

import pytest

from brownout.api.resources import Key
from brownout.publish.unwritten import Name, Unwritten, is_refusal

ONE: Name = ("FeaturePolicy", Key("n", "one"))
TWO: Name = ("FeaturePolicy", Key("n", "two"))


def tries(unwritten: Unwritten, name: Name, *, refused: bool, seconds: int) -> list[int]:
    """When a loop that wants to write it every second tries, where every try fails."""
    found = []
    for second in range(seconds):
        if not unwritten.pause(name, now=second):
            found.append(second)
            unwritten.failed(name, "why", refused=refused, now=second)
    return found


def test_a_refusal_that_lasts_is_tried_less_and_less_often_and_never_given_up() -> None:
    found = tries(Unwritten(), ONE, refused=True, seconds=160)
    assert found == [0, 1, 2, 3, 5, 9, 17, 33, 63, 93, 123, 153]


def test_what_the_api_server_did_not_get_to_is_tried_every_few_seconds() -> None:
    found = tries(Unwritten(), ONE, refused=False, seconds=20)
    assert found == [0, 1, 2, 3, 5, 8, 11, 14, 17]


def test_one_or_two_failures_are_no_reason_for_a_pause() -> None:
    unwritten = Unwritten()
    for second in (0, 1):
        unwritten.failed(ONE, "HTTP 409", refused=False, now=second)
        assert unwritten.pause(ONE, now=second) == ""
    assert unwritten.all() == [ONE]


def test_a_refusal_after_a_long_outage_is_a_first_one() -> None:
    """An API server that has just started knows no rights yet, and says 403 for a moment."""
    unwritten = Unwritten()
    assert tries(unwritten, ONE, refused=False, seconds=60)[-1] == 59
    unwritten.failed(ONE, "HTTP 403", refused=True, now=60)
    assert unwritten.pause(ONE, now=60) == ""


def test_who_could_be_written_begins_anew() -> None:
    unwritten = Unwritten()
    for second in range(5):
        unwritten.failed(ONE, "why", refused=True, now=second)
    assert unwritten.pausing("FeaturePolicy", now=4) == {ONE[1]: "why"}
    assert unwritten.pausing("GPUPool", now=4) == {}
    assert unwritten.written(ONE)
    assert not unwritten.written(ONE)
    assert (unwritten.all(), unwritten.pause(ONE, now=4)) == ([], "")


def test_all_whom_the_api_server_did_not_get_to_are_due_at_once() -> None:
    """Else the one that comes later on the ladder would be taken first when the API server is back."""
    unwritten = Unwritten()
    for name, at in ((ONE, 0), (ONE, 1), (TWO, 1), (TWO, 1.5), (ONE, 2), (TWO, 2.5)):
        unwritten.failed(name, "no answer", refused=False, now=at)
    assert [bool(unwritten.pause(name, now=2.9)) for name in (ONE, TWO)] == [True, True]
    assert [bool(unwritten.pause(name, now=3.0)) for name in (ONE, TWO)] == [False, False]


def test_what_nobody_wants_to_write_any_more_is_forgotten_and_so_is_what_is_gone() -> None:
    unwritten = Unwritten()
    unwritten.failed(ONE, "why", refused=True, now=0)
    unwritten.failed(TWO, "why", refused=True, now=100)
    unwritten.forget({ONE, TWO}, now=119)
    assert unwritten.all() == [ONE, TWO]
    unwritten.forget({ONE, TWO}, now=120)
    assert unwritten.all() == [TWO]
    unwritten.forget(set(), now=120)
    assert unwritten.all() == []


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(400, True), (403, True), (422, True), (404, False), (409, False), (429, False), (500, False), (None, False)],
)
def test_rights_and_rules_refuse_and_a_busy_server_does_not(status: int | None, refusal: bool) -> None:
    assert is_refusal(status) == refusal
