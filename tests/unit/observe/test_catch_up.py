"""When a watch has seen what is stored."""

from brownout.observe.catch_up import has_seen, is_as_late


def test_a_watch_has_caught_up_when_it_shows_everything_as_it_is_stored_or_later() -> None:
    assert has_seen({"a": "10", "b": "12"}, {"a": "10", "b": "11"})
    assert has_seen({"a": "10"}, {})


def test_an_older_version_or_an_object_that_was_never_seen_is_waited_for() -> None:
    assert not has_seen({"a": "9"}, {"a": "10"})
    assert not has_seen({}, {"a": "10"})


def test_versions_are_numbers_and_what_is_none_has_to_be_the_same() -> None:
    assert is_as_late("100", "99")
    assert not is_as_late("99", "100")
    assert is_as_late("x", "x")
    assert not is_as_late("y", "x")
