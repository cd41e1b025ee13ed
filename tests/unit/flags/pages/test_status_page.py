"""The status page as it is rendered."""

from collections.abc import Sequence

import pytest

from brownout.api.schema import DisplayName
from brownout.flags.pages.expected import Return
from brownout.flags.pages.limits import Audience, Feature, Limit
from brownout.flags.pages.reader import reader
from brownout.flags.pages.status_page import Hearing, document

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z
HEARD = Hearing(False)


def render(features: Sequence[Feature] | None, *, heard: Hearing = HEARD, language: str = "en") -> str:
    shown = reader(accept_language=language, asked="", now=NOON)
    return document("media", features, reader=shown, version="v", set_version="s", heard=heard, assets="status/")


def feature(*limits: Limit, audiences: int = 2) -> Feature:
    return Feature(
        key="image-generation", names=(), notices=(), limits=limits, since=None, audiences=audiences, by_itself=False
    )


def limit(tier: str, *, paused: int = 100, since: float | None = NOON - 60, back: Return | None = None) -> Limit:
    audience = Audience(tier=tier, cohort="", rest=False, tier_names=(), cohort_names=())
    return Limit(audience=audience, reduced_percent=0, paused_percent=paused, cause="Capacity", since=since, back=back)


def test_before_anything_is_known_the_page_says_so() -> None:
    assert "Nothing is known of this service yet" in render(None)


def test_a_view_that_is_interrupted_is_dated() -> None:
    page = render([feature()], heard=Hearing(True, NOON - 86_400))
    assert "Our own view is interrupted" in page
    assert "2026-11-26 12:00 UTC" in page
    assert "interrupted" not in render([feature()])
    assert "This is what was known last" in render([feature()], heard=Hearing(True))


def test_audiences_with_the_same_limit_are_told_together() -> None:
    page = render([feature(limit("free"), limit("plus"), audiences=3)])
    assert page.count("<li class") == 1
    assert "Free" in page
    assert "Plus" in page
    assert "Everybody" not in page


def test_a_limit_of_all_is_everybodys() -> None:
    page = render([feature(limit("free"), limit("plus"), audiences=2)])
    assert "Everybody" in page
    assert "Plus" not in page


def test_what_is_not_known_is_not_said() -> None:
    page = render([feature(limit("free", since=None))])
    assert "Since" not in page
    assert "No time is known yet" in page


def test_not_before_this_very_minute_says_nothing() -> None:
    soon, later = (Return(at=NOON + seconds, certainty="NotBefore") for seconds in (59, 60))
    assert "No time is known yet" in render([feature(limit("free", back=soon))])
    assert "Not before" in render([feature(limit("free", back=later))])


@pytest.mark.parametrize(("language", "name"), [("de-CH", "Bilder"), ("fr", "Images"), ("", "Images")])
def test_a_feature_is_called_as_people_call_it(language: str, name: str) -> None:
    names = (DisplayName(text="Images"), DisplayName(locale="de", text="Bilder"))
    named = Feature(key="i", names=names, notices=(), limits=(), since=None, audiences=1, by_itself=False)
    assert f"<bdi>{name}</bdi>" in render([named], language=language)


def test_without_a_name_for_people_the_objects_name_is_made_one() -> None:
    assert "<bdi>Image generation</bdi>" in render([feature()])
