"""Which digit a prompt asks for."""

import re

ANY_DIGIT = 10
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGIT = re.compile(r"(?<!\d)(\d)(?!\d)|\b(" + "|".join(_WORDS) + r")s?\b", re.IGNORECASE)


def digit_in(prompt: str) -> int:
    """The last digit that a prompt names, as a numeral or an English word; ANY_DIGIT where it names none."""
    found = _DIGIT.findall(prompt)
    if not found:
        return ANY_DIGIT
    numeral, word = found[-1]
    return int(numeral) if numeral else _WORDS.index(word.lower())
