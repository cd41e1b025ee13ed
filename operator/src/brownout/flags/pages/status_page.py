"""The status page as HTML, complete without a script: what is limited, for whom, since when, until when. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from brownout.flags.events import PATH
from brownout.flags.pages.limits import Audience, Feature, Limit
from brownout.flags.pages.markup import Markup, fill, join, tag
from brownout.flags.pages.reader import Reader, plain
from brownout.flags.pages.words import shipped

EVENTS = PATH.removeprefix("/")
"""The stream of events, from where the page is: `/NAMESPACE/status`, or `/status`."""


class Hearing(NamedTuple):
    """Whether the API server is lost, and when it was last heard (Unix seconds), where it was at all."""

    lost: bool
    at: float | None = None


def document(
    namespace: str,
    features: Sequence[Feature] | None,
    *,
    reader: Reader,
    version: str,
    set_version: str,
    heard: Hearing,
    assets: str,
) -> str:
    """The page of a namespace; without features where nothing is known of it yet.

    version: of what the page says; set_version: of the flag set, of whose changes the stream of events tells. assets: the
    address that the names of scripts and styles are added to.
    """
    words = reader.words
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", fill(words.title, name=plain(namespace))),
        tag("link", rel="icon", href=f"{assets}icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href=f"{assets}status.css"),
        tag("link", rel="alternate", href=f"{_here(assets)}.json", type="application/json"),
        tag("script", src=f"{assets}status.js", type="module"),
    )
    body = tag(
        "body",
        tag("a", words.skip, class_="skip", href="#features"),
        tag("p", _lost(reader), id="lost", class_="banner", role="alert", hidden=True),
        tag("div", _page(namespace, features, reader, heard), id="page", data_version=version),
        tag("p", id="news", class_="unseen", role="status"),
        _footer(reader, assets),
    )
    events = f"{EVENTS}?since={set_version}"
    return "<!doctype html>\n" + tag("html", head, body, lang=reader.locale, dir=reader.direction, data_events=events)


def _here(assets: str) -> str:
    return assets.removesuffix("/")


def _lost(reader: Reader) -> Markup:
    return fill(reader.words.lost, time=tag("time", dir="ltr"))


def _page(namespace: str, features: Sequence[Feature] | None, reader: Reader, heard: Hearing) -> Markup:
    words = reader.words
    limited = [feature for feature in features or () if feature.limits]
    state = "unknown" if features is None else "limited" if limited else "well"
    headline = {"unknown": words.nothing_known, "limited": words.some_limited, "well": words.all_well}[state]
    stale = None
    if heard.lost:
        stale = words.not_heard if heard.at is None else fill(words.heard_last, time=reader.time(heard.at))
    return join(
        tag(
            "header",
            tag("p", fill(words.title, name=tag("bdi", plain(namespace))), class_="product"),
            tag("h1", headline, class_=f"headline {state}"),
            tag("p", words.why_capacity, class_="why") if any(feature.by_itself for feature in limited) else None,
            tag("p", stale, class_="banner") if stale else None,
        ),
        tag(
            "main",
            *(_feature(feature, reader) for feature in features or ()),
            tag("p", fill(words.as_of, time=reader.time(reader.now)), class_="as-of"),
            id="features",
            tabindex="-1",
        ),
    )


def _feature(feature: Feature, reader: Reader) -> Markup:
    words = reader.words
    state = "paused" if feature.paused else "reduced" if feature.reduced else "well"
    label = words.limited if feature.limits else words.available
    heading = tag("h2", tag("bdi", reader.name(feature.names, feature.key)))
    since = fill(words.since, time=reader.time(feature.since)) if feature.since is not None else None
    return tag(
        "section",
        tag("div", heading, tag("p", label, class_=f"state {state}"), class_="title"),
        tag("p", since, class_="since") if since else None,
        reader.notice(feature.notices, "Denied") if feature.paused else None,
        reader.notice(feature.notices, "Degraded") if feature.reduced else None,
        tag("ul", *(_limit(feature, alike, reader) for alike in _alike(feature))) if feature.limits else None,
        class_=f"feature {state}",
    )


def _alike(feature: Feature) -> list[list[Limit]]:
    """The limits of a feature, those together that differ in nothing but the audience."""
    groups: dict[tuple[object, ...], list[Limit]] = {}
    for limit in feature.limits:
        alike = (limit.reduced_percent, limit.paused_percent, limit.cause, limit.since, limit.back)
        groups.setdefault(alike, []).append(limit)
    return list(groups.values())


def _limit(feature: Feature, alike: list[Limit], reader: Reader) -> Markup:
    words, limit = reader.words, alike[0]
    cause = words.because_capacity if limit.cause == "Capacity" else words.because_override
    facts = [(words.back, _back(limit, reader))]
    if limit.since is not None:
        facts.insert(0, (words.since_when, reader.time(limit.since)))
    everybody = tag("p", words.everybody, class_="who") if len(alike) == feature.audiences else None
    return tag(
        "li",
        tag("div", everybody or join(*(tag("p", _audience(one.audience, reader), class_="who") for one in alike))),
        tag(
            "div",
            tag("p", _what(limit, reader), class_="what"),
            tag("p", cause, class_="cause"),
            tag("dl", *(tag("div", tag("dt", term), tag("dd", text)) for term, text in facts)),
        ),
        class_="paused" if limit.paused_percent else "reduced",
    )


def _audience(audience: Audience, reader: Reader) -> Markup:
    tier = tag("bdi", reader.name(audience.tier_names, audience.tier))
    if audience.rest:
        return join(tier, " ", tag("span", reader.words.rest, class_="part"))
    if not audience.cohort:
        return tier
    cohort = tag("bdi", reader.name(audience.cohort_names, audience.cohort))
    return join(tier, " ", tag("span", cohort, class_="part"))


def _what(limit: Limit, reader: Reader) -> Markup:
    words, reduced, paused = reader.words, limit.reduced_percent, limit.paused_percent
    if paused == 100:
        return join(words.paused)
    if reduced == 100:
        return join(words.reduced)
    if reduced and paused:
        return fill(words.reduced_and_paused_for, reduced=reader.percent(reduced), paused=reader.percent(paused))
    sentence = words.paused_for if paused else words.reduced_for
    return fill(sentence, percent=reader.percent(paused or reduced))


def _back(limit: Limit, reader: Reader) -> Markup:
    words, back = reader.words, limit.back
    if back is None or (back.certainty == "NotBefore" and back.at < reader.now + 60):  # this very minute says nothing
        return join(words.no_time)
    time = reader.time(back.at)
    if back.latest is not None:
        return fill(words.about_and_surely, time=time, latest=reader.time(back.latest))
    sentences = {"Scheduled": words.scheduled, "NotBefore": words.not_before, "Estimated": words.about}
    return fill(sentences[back.certainty], time=time)


def _footer(reader: Reader, assets: str) -> Markup:
    words = reader.words
    languages = (
        tag(
            "li",
            tag(
                "a",
                tag("bdi", other.language),
                href=f"?lang={locale}",
                lang=locale,
                hreflang=locale,
                aria_current="true" if locale == reader.locale else None,
            ),
        )
        for locale, other in shipped().items()
    )
    return tag(
        "footer",
        tag("p", words.live, id="live", hidden=True),
        tag("nav", tag("ul", *languages), aria_label=words.languages),
        tag("p", tag("a", words.feed, href=f"{_here(assets)}.json")),
    )
