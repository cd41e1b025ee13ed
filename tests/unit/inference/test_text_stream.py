"""Tokens into text, piece by piece."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.engine.text_stream import UNFINISHED, TextStream


def bytes_as_tokens(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode(errors="replace")


def words_as_tokens(tokens: Sequence[int]) -> str:
    """As sentencepiece does: the space before a word is not written at the beginning."""
    return "".join(f" {token}" for token in tokens).lstrip()


def pieces_of(stream: TextStream, tokens: Sequence[int]) -> list[str]:
    return [*(stream.add(token) for token in tokens if not stream.stopped), stream.finish()]


@given(st.text())
def test_pieces_of_a_text_are_whole_characters_and_together_the_text(text: str) -> None:
    pieces = pieces_of(TextStream(bytes_as_tokens), text.encode())
    assert "".join(pieces) == text
    assert UNFINISHED in text or not any(UNFINISHED in piece for piece in pieces)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_text_come_out_as_if_decoded_at_once(tokens: bytes) -> None:
    stream = TextStream(bytes_as_tokens)
    assert "".join(pieces_of(stream, tokens)) == bytes_as_tokens(tokens) == stream.text


@given(st.lists(st.integers(0, 9), max_size=20))
def test_spaces_between_words_are_kept(words: list[int]) -> None:
    assert "".join(pieces_of(TextStream(words_as_tokens), words)) == words_as_tokens(words)


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_the_first_stop_and_nothing_of_it_is_handed_on(text: str, stops: list[str]) -> None:
    stream = TextStream(bytes_as_tokens, stops)
    ends = [text.find(stop) for stop in stops if stop in text]
    pieces = pieces_of(stream, text.encode())
    kept = "".join(pieces)
    assert text.startswith(kept)
    assert not any(stop in kept for stop in stops)
    assert stream.stopped == bool(ends)
    assert ends or kept == text


def test_what_may_begin_a_stop_is_held_back_until_that_is_known() -> None:
    stream = TextStream(bytes_as_tokens, ["END"])
    assert [stream.add(byte) for byte in b"aENbEN"] == ["a", "", "", "ENb", "", ""]
    assert stream.finish() == "EN"


@pytest.mark.parametrize("stops", [[], [""]])
def test_an_empty_stop_stops_nothing(stops: list[str]) -> None:
    assert "".join(pieces_of(TextStream(bytes_as_tokens, stops), b"text")) == "text"
