"""The page's words in every language."""

import re
from collections import Counter

import msgspec
import pytest

from brownout.flags.pages.words import DEFAULT, Words, shipped


def placeholders(sentence: str) -> Counter[str]:
    return Counter(re.findall(r"\{(\w+)\}", sentence))


@pytest.mark.parametrize("locale", sorted(shipped()))
def test_every_sentence_has_its_placeholders_in_every_language(locale: str) -> None:
    here, default = msgspec.structs.asdict(shipped()[locale]), msgspec.structs.asdict(shipped()[DEFAULT])
    assert {name: placeholders(text) for name, text in here.items()} == {
        name: placeholders(text) for name, text in default.items()
    }


@pytest.mark.parametrize("locale", sorted(shipped()))
def test_no_word_is_missing(locale: str) -> None:
    assert all(text.strip() for text in msgspec.structs.asdict(shipped()[locale]).values())


def test_a_file_with_a_word_too_many_cannot_be_read() -> None:
    words = msgspec.structs.asdict(shipped()[DEFAULT])
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({**words, "colour": "green"}, Words)
