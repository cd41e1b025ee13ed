"""The page's own words, one file for each language in `words/`. A file that lacks a word, or has one too many, cannot be read."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

DEFAULT = "en"


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sentences in one language; braces take a time, a percentage or a name.

    A percentage is filled into `percent` first, a time is marked up.
    """

    language: str
    title: str
    all_well: str
    some_limited: str
    nothing_known: str
    why_capacity: str
    available: str
    limited: str
    reduced: str
    paused: str
    reduced_for: str
    paused_for: str
    reduced_and_paused_for: str
    percent: str
    everybody: str
    rest: str
    because_capacity: str
    because_override: str
    since: str
    since_when: str
    back: str
    scheduled: str
    not_before: str
    about: str
    about_and_surely: str
    no_time: str
    as_of: str
    heard_last: str
    not_heard: str
    live: str
    lost: str
    languages: str
    feed: str
    skip: str


@cache
def shipped() -> Mapping[str, Words]:
    """The words of every language that is shipped, by its tag."""
    folder = files(__package__).joinpath("words")
    return {
        entry.name.removesuffix(".toml"): msgspec.convert(tomllib.loads(entry.read_text(encoding="utf-8")), Words)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
