"""Tokens into text as they come: only whole characters, nothing of a stop text, and in the end the same text as all tokens decoded at once.

Tokens cannot be decoded one by one: a character may lie in several of them, and some tokenizers write the space before a word only where there is a word
before it. So a window of the last tokens is decoded each time, and what is new of its text is handed on; but what most tokens add behind other text is
always the same, and then it is looked up.
"""

from collections.abc import Callable, Mapping, Sequence

from brownout_inference.engine.pieces import UNFINISHED

LONGEST_UNFINISHED = 3
"""A character of UTF-8 has at most four bytes, so at most so many may still become one."""


class TextStream:
    """`decode` turns tokens into text; the text ends before the first of the texts in `stop`. `pieces` knows what some tokens add behind other text."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop: Sequence[str] = (),
        pieces: Mapping[int, str | None] | None = None,
    ) -> None:
        self.text = ""
        """What was handed on."""
        self.stopped = False
        """Whether one of the stop texts came."""
        self._decode = decode
        self._stop = tuple(filter(None, stop))
        self._window: list[int] = []
        self._fresh = 0  # tokens at the end of the window that came since its text was last whole
        self._seen: int | None = 0  # characters of the window's text that are known; None is all, not counted
        self._pieces = pieces
        self._behind_text = False  # something was added that is text, so what follows is behind other text
        self._held = ""

    def add(self, token: int) -> str:
        """The text that this token completes, often a few characters, sometimes none."""
        if self._behind_text and not self._fresh and self._pieces is not None:
            piece = self._pieces[token]
            if piece is not None:
                if piece:  # behind a token that is no text, the window's last that is text still decides
                    self._window, self._seen = [token], None
                return self._hand_on(piece)
        return self._add(token)

    def _add(self, token: int) -> str:
        if self._seen is None:
            self._seen = len(self._decode(self._window))
        self._window.append(token)
        self._fresh += 1
        text = self._decode(self._window)
        if not text.endswith(UNFINISHED):
            new = text[self._seen :]
            self._window = self._window[-self._fresh :]
            self._fresh, self._seen = 0, None
            self._behind_text = self._behind_text or bool(new)
            return self._hand_on(new)
        trailing = len(text) - len(text.rstrip(UNFINISHED))
        whole = len(text) - min(trailing, LONGEST_UNFINISHED)
        new = text[self._seen : whole]
        self._seen = max(self._seen, whole)
        return self._hand_on(new)

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
        if self.stopped:
            return ""
        if self._fresh:
            self._held += self._decode(self._window)[self._seen :]
        found = _first(self._held, self._stop)
        rest = self._held if found is None else self._held[:found]
        self.stopped = found is not None
        self._held = ""
        self.text += rest
        return rest

    def _hand_on(self, new: str) -> str:
        if self.stopped or not new:
            return ""
        if not self._stop:
            self.text += new
            return new
        self._held += new
        found = _first(self._held, self._stop)
        if found is not None:
            self.stopped = True
            piece, self._held = self._held[:found], ""
        else:
            safe = len(self._held) - begun(self._held, self._stop)
            piece, self._held = self._held[:safe], self._held[safe:]
        self.text += piece
        return piece


def _first(text: str, stops: Sequence[str]) -> int | None:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(places, default=None)


def begun(text: str, stops: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of a stop text."""
    return max(
        (
            length
            for stop in stops
            for length in range(1, min(len(stop), len(text) + 1))
            if stop.startswith(text[-length:])
        ),
        default=0,
    )
