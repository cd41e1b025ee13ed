"""Which language somebody reads: Accept-Language, and the best of what there is (RFC 4647, section 3.4, "lookup")."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

MOST_LANGUAGES = 16
RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "iw", "ji", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})
RIGHT_TO_LEFT_SCRIPTS = frozenset({"adlm", "arab", "hebr", "nkoo", "rohg", "syrc", "thaa"})


def preferred(accept_language: str, *, asked: str = "") -> tuple[str, ...]:
    """Language tags, the most wanted first. `asked` is a choice made on the page, and comes before the header's."""
    weighted = []
    for position, part in enumerate(accept_language.split(",")[:MOST_LANGUAGES]):
        tag, _, parameters = part.partition(";")
        if (tag := tag.strip()) and tag != "*" and (weight := quality(parameters)) > 0:
            weighted.append((-weight, position, tag))
    tags = [tag for _, _, tag in sorted(weighted)]
    return tuple(dict.fromkeys([asked, *tags] if asked else tags))


def quality(parameters: str) -> float:
    """The weight among the parameters of a listed value, 0 to 1 (RFC 9110, 12.4.2); 0 where it is none."""
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return max(0.0, min(1.0, float(value)))
    except ValueError:
        return 0.0


def best(there: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The tag among those that are there which suits best; None where none does.

    `de-AT` finds `de-AT`, then `de`, then any other German, before the next language that is wanted is tried.
    """
    known = {tag.lower(): tag for tag in there}
    for tag in wanted:
        parts = tag.lower().split("-")
        for length in range(len(parts), 0, -1):
            if (found := "-".join(parts[:length])) in known:
                return known[found]
        for candidate, original in known.items():
            if candidate.split("-")[0] == parts[0]:
                return original
    return None


@lru_cache(maxsize=512)
def negotiated(there: tuple[tuple[str, ...], ...], wanted: tuple[str, ...]) -> tuple[str | None, ...]:
    """What `best` finds in each of several lists of tags. Whoever has the same of all of them reads the same page."""
    return tuple(best(tags, wanted) for tags in there)


def of_languages(there: tuple[tuple[str, ...], ...], wanted: Iterable[str]) -> tuple[str, ...]:
    """The wanted tags of languages that are there at all; of those of any other language nothing can come."""
    languages = {tag.lower().split("-")[0] for tags in there for tag in tags}
    return tuple(tag for tag in wanted if tag.lower().split("-")[0] in languages)


def direction(tag: str) -> str:
    """`rtl` or `ltr`: by the script where the tag names one, else by the language."""
    language, *rest = tag.lower().split("-")
    scripts = [part for part in rest if len(part) == 4 and part.isalpha()]
    if scripts:
        return "rtl" if scripts[0] in RIGHT_TO_LEFT_SCRIPTS else "ltr"
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"
