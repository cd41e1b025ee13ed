"""The language batch: each request has a state of its own, and one call of the network adds a character to all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from brownout_inference.engine.interface import Memory, StepReport
from brownout_inference.models.characters import END, CharacterModel, decode, empty_state, encode
from brownout_inference.models.weights import CHARACTERS, load_into
from brownout_inference.work import Continuation, TextWork, Work

PROMPT_LENGTH = 128
"""Characters of the prompt that are read, counted from its end: what the model remembers of more is not worth the time."""

GREEDY_BELOW = 0.01
"""A temperature below this takes the likeliest character."""


@dataclass(eq=False)
class _Request:
    work: TextWork
    random: torch.Generator
    state: Tensor
    last: int
    prompt_tokens: int
    tokens: list[int] = field(default_factory=list)
    handed_on: int = 0

    def advance(self, token: int) -> tuple[str, Continuation | None]:
        """What this token adds to the text that is handed on, and the whole answer if it is the last.

        The answer ends before a stop text or a paragraph's end, so what may become one is held back.
        """
        self.tokens.append(token)
        text = decode(self.tokens)
        begin = len(text) - len(text.lstrip())
        ends = [
            place for stop in (END, *self.work.stop) if (place := text.find(stop, begin if stop == END else 0)) >= 0
        ]
        last = bool(ends) or len(self.tokens) == self.work.tokens
        text = text[: min(ends)] if ends else text
        safe = len(text) if last else len(text) - _begun(text, (END, *self.work.stop))
        piece, self.handed_on = text[self.handed_on : safe], max(self.handed_on, safe)
        return piece, Continuation(text, bool(ends), self.prompt_tokens, len(self.tokens)) if last else None


class TextEngine:
    """Continues texts. A piece is what was added, mostly a character; a result is a Continuation."""

    def __init__(self) -> None:
        self._network = load_into(CharacterModel(), CHARACTERS)
        self._requests: dict[int, _Request] = {}

    def warm_up(self, most: int) -> int:
        self.join(-1, TextWork(prompt="warm", tokens=1, temperature=1.0))
        self.step([-1])
        return most

    def memory(self) -> Memory:
        return Memory()

    @torch.inference_mode()
    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, TextWork):
            raise TypeError(f"the language model cannot do {type(work).__name__}")
        random = torch.Generator()
        if work.seed is None:
            random.seed()
        else:
            random.manual_seed(work.seed)
        prompt = encode(work.prompt[-PROMPT_LENGTH:] + END)
        _, state = self._network(torch.tensor([prompt[:-1]]), empty_state(1))
        self._requests[key] = _Request(work, random, state, prompt[-1], len(prompt))

    def leave(self, key: int) -> None:
        self._requests.pop(key, None)

    @torch.inference_mode()
    def step(self, keys: Sequence[int]) -> StepReport:
        requests = [(key, self._requests[key]) for key in keys]
        if not requests:
            return StepReport()
        last = torch.tensor([[request.last] for _, request in requests])
        scores, states = self._network(last, torch.cat([request.state for _, request in requests], dim=1))
        pieces: dict[int, str] = {}
        finished: dict[int, Continuation] = {}
        for place, (key, request) in enumerate(requests):
            request.state = states[:, place : place + 1]
            request.last = _choose(scores[place, 0], request)
            piece, answer = request.advance(request.last)
            if piece:
                pieces[key] = piece
            if answer:
                finished[key] = answer
                del self._requests[key]
        return StepReport(pieces=pieces, finished=finished)


def _begun(text: str, stops: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of a stop text."""
    lengths = (length for stop in stops for length in range(1, len(stop)) if text.endswith(stop[:length]))
    return max(lengths, default=0)


def _choose(scores: Tensor, request: _Request) -> int:
    if request.work.temperature < GREEDY_BELOW:
        return int(scores.argmax())
    likelihoods = torch.softmax(scores / request.work.temperature, dim=0)
    return int(torch.multinomial(likelihoods, 1, generator=request.random))
