"""The tokens of a prompt, of which there may be too many."""

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.engine.prompt import tokens_of

MOST = 10


def encode(text: str) -> list[int]:
    """A token for each word of up to 100 letters."""
    return [len(word[start : start + 100]) for word in text.split() for start in range(0, len(word), 100)]


def test_of_a_text_that_is_far_too_long_only_the_beginning_is_read() -> None:
    read: list[int] = []

    def counting(text: str) -> list[int]:
        read.append(len(text))
        return encode(text)

    assert tokens_of("word " * 50_000, counting, most=MOST) is None
    assert sum(read) < 1000


def test_a_long_text_of_few_tokens_is_read_whole() -> None:
    text = "a" * 1000
    assert tokens_of(text, encode, most=MOST) == encode(text)


@given(st.lists(st.integers(1, 300), max_size=40).map(lambda lengths: " ".join("a" * length for length in lengths)))
def test_as_many_tokens_as_there_may_be_are_never_too_many(text: str) -> None:
    tokens = encode(text)
    assert tokens_of(text, encode, most=MOST) == (tokens if len(tokens) <= MOST else None)
