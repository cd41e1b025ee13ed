"""Which language somebody reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.flags.pages.languages import best, direction, negotiated, of_languages, preferred

THERE = ("en", "de", "pt", "zh-Hant")


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", ()),
        ("de", ("de",)),
        ("en;q=0.5, de", ("de", "en")),
        ("fr;q=0, en", ("en",)),
        ("*;q=0.1, he", ("he",)),
        ("de;q=lots, en", ("en",)),
        ("de;level=1, en;q=0.9", ("de", "en")),
        (",,;q=1, ar", ("ar",)),
    ],
)
def test_languages_are_wanted_in_the_order_of_their_quality(header: str, tags: tuple[str, ...]) -> None:
    assert preferred(header) == tags


def test_a_choice_on_the_page_comes_before_the_browsers_wish() -> None:
    assert preferred("de, en", asked="he") == ("he", "de", "en")


def test_a_header_without_end_is_read_in_part() -> None:
    assert len(preferred(",".join(f"x{n}" for n in range(10_000)))) <= 16


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("de-AT", "en"), "de"),
        (("DE",), "de"),
        (("zh-Hant-TW",), "zh-Hant"),
        (("zh",), "zh-Hant"),
        (("fr", "pt-BR"), "pt"),
        (("fr",), None),
        ((), None),
        (("",), None),
    ],
)
def test_the_nearest_language_that_is_there_is_found(wanted: tuple[str, ...], found: str | None) -> None:
    assert best(THERE, wanted) == found


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("en", "ltr"), ("ar-EG", "rtl"), ("he", "rtl"), ("az-Arab", "rtl"), ("ks-Deva", "ltr"), ("ja", "ltr")],
)
def test_the_direction_is_that_of_the_script(tag: str, expected: str) -> None:
    assert direction(tag) == expected


def test_readers_for_whom_the_same_texts_are_found_are_the_same_reader() -> None:
    there = (("en", "de"), ("fr", "de-CH"))

    def found(header: str) -> tuple[str | None, ...]:
        return negotiated(there, of_languages(there, preferred(header)))

    assert found("de") == found("de-AT, xx, yy;q=0.3") == ("de", "de-CH")
    assert found("fr-CA, tlh") == (None, "fr")
    assert of_languages(there, preferred("xx, tlh-Latn, DE-at")) == ("DE-at",)


@given(st.lists(st.sampled_from(["de", "de-AT", "fr", "pt-BR", "zh", "xx", "x-y-z"]), max_size=6))
def test_what_is_left_of_the_wanted_languages_finds_the_same(wanted: list[str]) -> None:
    there = (("en", "de"), ("fr", "de-CH", "zh-Hant"), ("pt",))
    assert negotiated(there, of_languages(there, wanted)) == tuple(best(tags, wanted) for tags in there)
