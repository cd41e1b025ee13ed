"""The tokens of a prompt, and that it has too many told from its beginning: a tokenizer reads about a megabyte a second, and everybody in the batch waits for it."""

from collections.abc import Callable, Sequence

CHARACTERS_PER_TOKEN = 8
"""More than the tokens of any language have on average: where so much of a text has too many tokens, nothing more of it has to be read."""

CUT_TOKENS = 16
"""The last word before a cut may be of more tokens than it is with what follows; so many more are not taken for too many."""


def tokens_of(text: str, encode: Callable[[str], Sequence[int]], *, most: int) -> list[int] | None:
    """The tokens of a text; None where it has more than `most`, which is found without reading all of a long one."""
    read = CHARACTERS_PER_TOKEN * (most + CUT_TOKENS)
    while read < len(text):
        if len(encode(text[:read])) > most + CUT_TOKENS:
            return None
        read *= 2
    tokens = list(encode(text))
    return tokens if len(tokens) <= most else None
