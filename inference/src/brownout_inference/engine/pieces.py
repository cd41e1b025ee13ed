"""What a token adds to a text, looked up instead of decoded, for tokens of which that does not depend on their neighbours.

Decoding takes some 10 µs, twice for each token, which for a large batch is longer than a GPU takes for all of them. But the decoders of nearly all tokenizers treat each token that is a
whole piece of text alike wherever it stands, save at the beginning. A token is asked for once, behind an ordinary one. Not looked up are bytes
(a character may lie in several of them), and anything of a decoder that is not known to work so.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

UNFINISHED = "\ufffd"
"""What decoders write for bytes that are no character, or not yet."""

TOKEN_BY_TOKEN = {"ByteLevel", "ByteFallback", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece"}
"""Decoders of the tokenizers library that, in any sequence, treat whole tokens behind the first one by one: https://docs.rs/tokenizers/latest/tokenizers/decoders"""

BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")

ANCHORS = ("a", "the", "The", "e", "0")


class Pieces(dict[int, str | None]):
    """By token, the text that it adds behind other text; None where that has to be found by decoding. Filled as it is asked."""

    def __init__(self, tokenizer: Any, decode: Callable[[Sequence[int]], str]) -> None:
        super().__init__()
        self._decode = decode
        self._tokenizer = tokenizer
        self._anchor: int | None = None
        self._before = ""
        if _is_token_by_token(tokenizer):
            self._find_anchor()

    def __missing__(self, token: int) -> str | None:
        piece = self[token] = self._find(token)
        return piece

    def _find(self, token: int) -> str | None:
        if self._anchor is None or self._is_byte(token):
            return None
        text = self._decode([self._anchor, token])
        if UNFINISHED in text or not text.startswith(self._before):
            return None
        return text[len(self._before) :]

    def _find_anchor(self) -> None:
        """A token that is text and neither a byte nor special."""
        tokens = [token for word in ANCHORS for token in self._tokenizer(word, add_special_tokens=False)["input_ids"]]
        for token in (*tokens, *range(min(len(self._tokenizer), 512))):
            text = self._decode([token])
            if text.strip() and UNFINISHED not in text and not self._is_byte(token):
                self._anchor, self._before = token, text
                return

    def _is_byte(self, token: int) -> bool:
        word = self._tokenizer.convert_ids_to_tokens(token)
        return word is None or BYTE.fullmatch(word) is not None


def _is_token_by_token(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "decoder"):
        return False
    if backend.decoder is None:
        return True  # tokens are joined by spaces
    described = json.loads(backend.decoder.__getstate__())
    parts = described["decoders"] if described["type"] == "Sequence" else [described]
    kinds = [part["type"] for part in parts]
    fused = kinds.index("Fuse") if "Fuse" in kinds else len(kinds)
    return (
        TOKEN_BY_TOKEN.issuperset(kinds)
        and all(kind == "Strip" for kind in kinds[fused + 1 :])  # others would look across tokens
        and not any(part.get("stop") for part in parts if part["type"] == "Strip")
    )
