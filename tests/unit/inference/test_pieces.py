"""Tokens whose text is looked up give the text that decoding gives."""

import random
from collections.abc import Callable, Sequence

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from brownout_inference.engine.pieces import Pieces
from brownout_inference.engine.text_stream import TextStream
from inference.tiny_models import tokenizer as of_bytes

WORDS = [
    "<unk>",
    "<end>",
    "▁the",
    "▁a",
    "s",
    "ing",
    "▁",
    "▁größer",
    "<0x41>",
    "<0xE6>",
    "<0x97>",
    "<0xA5>",
    "日",
    "\ufffd",
]


def words(decoder: decoders.Decoder | None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    if decoder is not None:
        backend.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>")


LLAMA = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)
TOKENIZERS = {
    "bytes": of_bytes(),
    "sentencepiece with bytes": words(LLAMA),
    "sentencepiece": words(decoders.Metaspace()),
    "word pieces": words(decoders.WordPiece(prefix="s", cleanup=True)),
    "no decoder": words(None),
}
ACROSS_TOKENS = {
    "the last one differs": words(decoders.BPEDecoder("ing")),
    "replaced in the whole": words(decoders.Sequence([decoders.Fuse(), decoders.Replace("sing", "x")])),
    "the end stripped": words(decoders.Strip(" ", 0, 1)),
}


def decoder_of(tokenizer: PreTrainedTokenizerFast) -> Callable[[Sequence[int]], str]:
    return lambda tokens: str(
        tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_of_looked_up_pieces_is_that_of_decoded_ones(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    decode = decoder_of(tokenizer)
    pieces = Pieces(tokenizer, decode)
    special = set(tokenizer.all_special_ids)
    plain = [token for token in range(len(tokenizer)) if token not in special]
    draw = random.Random(0)
    for _ in range(300):
        tokens = draw.choices(plain, k=draw.randint(1, 30))
        looked_up, decoded = TextStream(decode, (), pieces), TextStream(decode)
        assert [looked_up.add(token) for token in tokens] == [decoded.add(token) for token in tokens]
        assert looked_up.finish() == decoded.finish()
    assert any(pieces.values())


def test_a_special_token_takes_no_space_from_the_word_behind_it() -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    decode = decoder_of(tokenizer)
    stream = TextStream(decode, (), Pieces(tokenizer, decode))
    assert "".join(stream.add(WORDS.index(word)) for word in ("▁the", "<end>", "▁a")) == "the a"


@pytest.mark.parametrize("name", ACROSS_TOKENS)
def test_nothing_is_looked_up_where_a_decoder_looks_at_several_tokens(name: str) -> None:
    tokenizer = ACROSS_TOKENS[name]
    pieces = Pieces(tokenizer, decoder_of(tokenizer))
    assert [pieces[token] for token in range(len(WORDS))] == [None] * len(WORDS)
