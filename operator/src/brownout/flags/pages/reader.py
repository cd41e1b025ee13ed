"""What one reader is shown: the page's words in their language, names and notices in the language of theirs that is there."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from brownout.api.policy import Notice
from brownout.api.schema import DisplayName
from brownout.flags.pages.languages import best, direction, preferred
from brownout.flags.pages.markup import Markup, tag
from brownout.flags.pages.words import DEFAULT, Words, shipped


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """`locale` is the language of the page's own words, `wanted` all that the reader takes, the most wanted first."""

    locale: str
    wanted: tuple[str, ...]
    words: Words
    now: float

    @property
    def direction(self) -> str:
        return direction(self.locale)

    def name(self, names: Sequence[DisplayName], otherwise: str) -> str:
        """What people call it: in a wanted language, else in the first, else made of the object's name."""
        texts = {one.locale: one.text for one in names}
        locale = best(texts, self.wanted)
        if locale is not None:
            return texts[locale]
        return names[0].text if names else plain(otherwise)

    def notice(self, notices: Iterable[Notice], when: Literal["Denied", "Degraded"]) -> Markup | None:
        """A policy's own words for those who are denied, or have less."""
        texts = {one.locale: one.text for one in notices if one.when == when}
        if not texts:
            return None
        locale = best(texts, self.wanted) or next(iter(texts))
        return tag("p", texts[locale], class_="notice", lang=locale, dir=direction(locale))

    def time(self, at: float) -> Markup:
        """A moment in UTC, with its day where that is another; a script shows it in the reader's zone."""
        found = datetime.fromtimestamp(at, UTC)
        today = datetime.fromtimestamp(self.now, UTC).date()
        text = f"{found:%H:%M} UTC" if found.date() == today else f"{found:%Y-%m-%d %H:%M} UTC"
        return tag("time", text, datetime=f"{found:%Y-%m-%dT%H:%M:%SZ}", dir="ltr")

    def percent(self, number: int) -> str:
        return self.words.percent.format(n=number)


def reader(*, accept_language: str, asked: str, now: float) -> Reader:
    """Who asks, by the header and by a choice made on the page; without either English."""
    wanted = preferred(accept_language, asked=asked)
    locale = best(shipped(), wanted) or DEFAULT
    return Reader(locale=locale, wanted=(*wanted, DEFAULT), words=shipped()[locale], now=now)


def plain(name: str) -> str:
    """`image-generation` as words."""
    words = name.replace("-", " ").replace("_", " ").replace(".", " ")
    return words[:1].upper() + words[1:]
