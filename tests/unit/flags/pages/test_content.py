"""What many are answered is made once."""

import gzip

import pytest

from brownout.flags.pages.content import LEAST_BYTES, Content, Kept, accepts_gzip, matches

LARGE = b"<p>Images are few.</p>" * 100


def test_each_form_has_an_entity_tag_of_its_own() -> None:
    content = Content(LARGE, "text/html")
    plain, tag, _ = content.form(gzipped=False)
    small, other, gzipped = content.form(gzipped=True)
    assert plain == LARGE
    assert gzipped
    assert gzip.decompress(small) == LARGE
    assert tag != other
    assert Content(LARGE, "text/html").form(gzipped=True) == (small, other, True)  # replicas agree


def test_a_form_is_made_once() -> None:
    content = Content(LARGE, "text/html")
    assert content.form(gzipped=True)[0] is content.form(gzipped=True)[0]


def test_what_is_small_is_left_as_it_is() -> None:
    small = Content(b"x" * (LEAST_BYTES - 1), "text/css")
    assert small.form(gzipped=True) == small.form(gzipped=False)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("*", True),
        ("*;q=0.1, gzip;q=0", False),
        ("br", False),
        (",".join(f"x{n}" for n in range(9_999)) + ",gzip", False),
    ],
)
def test_gzip_is_for_who_takes_it(header: str, taken: bool) -> None:
    assert accepts_gzip(header) is taken


@pytest.mark.parametrize(
    ("header", "same"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"a-gzip"', False), ("", False), ("a", False)],
)
def test_a_validator_is_compared_weakly(header: str, same: bool) -> None:
    assert matches(header, '"a"') is same


def test_who_was_asked_for_last_stays() -> None:
    kept, made = Kept(most=2, most_bytes=1_000_000), []

    def get(key: str) -> None:
        kept.get(key, lambda: made.append(key) or Content(LARGE, "text/html"))  # type: ignore[func-returns-value]

    for key in "abacab":
        get(key)
    assert made == ["a", "b", "c", "b"]
    assert len(kept) == 2


def test_all_together_have_a_bounded_size() -> None:
    kept = Kept(most=100, most_bytes=3 * len(LARGE))
    for number in range(10):
        kept.get(number, lambda: Content(LARGE, "text/html"))
    assert len(kept) == 3
