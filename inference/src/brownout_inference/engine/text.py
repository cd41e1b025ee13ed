"""The language batch: each text has a slot of the model's cache and a position of its own, and one call of the network adds a character to all of them.

A prompt is read in chunks, those of a few texts in a step, so that a long one holds up nobody's next character for long. What the network writes into a slot beyond
the position that its text has come to is not looked at, and a position moves only when all of a step has been computed: a step that fails has changed nothing,
and who is left out of one may be computed along, which is cheaper than to copy the others' past together.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brownout_inference.engine.fitting import how_many_fit, memory_of
from brownout_inference.engine.hardware import Hardware, device_full, find_hardware
from brownout_inference.engine.interface import DeviceFullError, Memory, StepReport, UnsuitableError
from brownout_inference.engine.text_stream import begun
from brownout_inference.models.catalogue import TEXT_SHARES
from brownout_inference.models.characters import (
    ALPHABET,
    END,
    MOST_POSITIONS,
    SHAPES,
    WINDOW,
    CharacterModel,
    empty_cache,
    encode,
)
from brownout_inference.models.weights import characters_path, load_into
from brownout_inference.work import Continuation, TextWork, Work

PREFILL_CHUNK = 64
"""Characters of a prompt that are read in one step."""

PREFILL_TEXTS = 4
"""Texts whose prompts are read in the same step; the others' wait for the next one."""

PROMPT_LENGTH = WINDOW - len(END) - 1
"""Characters of the prompt that are read, counted from its end: with them a slot is not yet full, so that what is written beyond them is beyond all of them."""

PLACES_FOR_EACH = 2
"""Places in a cache for each text that can be in a step: as many may be paused as run."""

REACH_STEP = 32
"""The cache is looked at in lengths that are multiples of this."""

PLACES_AT_FIRST = 8
"""Places before it is warm."""

GREEDY_BELOW = 0.01
"""A temperature below this takes the likeliest character."""

_NOT_A_NUMBER = -1


@dataclass(eq=False)
class _Request:
    work: TextWork
    group: "_Group"
    place: int
    prompt: list[int]
    read: int = 0
    """Characters of the prompt that have been read."""
    reading: bool = True
    tokens: int = 0
    text: str = ""
    shown: int = 0
    """Characters of the text that have been handed out; the rest may turn out to be the beginning of a stop text."""

    def add(self, character: str) -> tuple[str, bool | None]:
        """Adds a character. Returns what can be handed out now, and whether the model ended the text; None where it goes on."""
        self.tokens += 1
        self.text += character
        ended = None if self.tokens < self.work.tokens else False
        if character == END[-1] and self.text.endswith(END) and self.text.strip():
            ended = True
        if not self.work.stop:
            return character, ended
        if stop := next((stop for stop in self.work.stop if stop and self.text.endswith(stop)), ""):
            self.text, ended = self.text.removesuffix(stop), True
        until = len(self.text) if ended is not None else len(self.text) - begun(self.text, self.work.stop)
        piece, self.shown = self.text[self.shown : until], max(until, self.shown)
        return piece, ended


class TextEngine:
    """Continues texts. A piece is the characters that were added; a result is a Continuation. `device` and `dtype` are those of `find_hardware`."""

    def __init__(self, device: str = "cpu", dtype: str = "auto") -> None:
        self._hardware = find_hardware(device, dtype)
        self._groups = {model: _Group(model, self._hardware) for model in SHAPES}
        self._requests: dict[int, _Request] = {}

    @torch.inference_mode()
    def warm_up(self, most: int) -> int:
        fits = how_many_fit(self._hardware, most, self._try)
        for model, group in self._groups.items():
            group.allot(PLACES_FOR_EACH * math.ceil(fits / TEXT_SHARES[model]))
        return fits

    def memory(self) -> Memory:
        groups = self._groups.values()
        most = sum(group.places for group in groups)
        return memory_of(self._hardware, kv_places=most - sum(len(group.free) for group in groups), kv_places_most=most)

    @torch.inference_mode()
    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, TextWork):
            raise TypeError(f"the language model cannot do {type(work).__name__}")
        group = self._groups.get(work.model or next(iter(SHAPES)))
        if group is None:
            raise ValueError(f"no model {work.model!r}; there are {', '.join(SHAPES)}")
        said = END.join(turn.text for turn in work.turns)
        prompt = encode(said[-PROMPT_LENGTH:] + END)
        if len(prompt) + work.tokens >= MOST_POSITIONS:
            raise UnsuitableError(
                f"max_completion_tokens is {work.tokens}; write {MOST_POSITIONS - len(prompt) - 1} at most"
            )
        random = torch.Generator()
        if work.seed is None:
            random.seed()
        else:
            random.manual_seed(work.seed)
        with device_full():
            place = group.take(len(prompt), work.temperature, torch.rand(work.tokens, generator=random))
        self._requests[key] = _Request(work, group, place, prompt)

    def leave(self, key: int) -> None:
        if request := self._requests.pop(key, None):
            request.group.give_back(request.place)

    @torch.inference_mode()
    def step(self, keys: Sequence[int]) -> StepReport:
        members: dict[tuple[_Group, bool], list[tuple[int, _Request]]] = {}
        for key in keys:
            request = self._requests[key]
            members.setdefault((request.group, request.reading), []).append((key, request))
        with device_full():
            advances = [
                _Advance(group, each[:PREFILL_TEXTS] if reading else each) for (group, reading), each in members.items()
            ]

        pieces: dict[int, str] = {}
        finished: dict[int, Continuation] = {}
        failed: dict[int, Exception] = {}
        for advance in advances:
            advance.write(pieces, finished, failed)
        for key in (*finished, *failed):
            self.leave(key)
        return StepReport(pieces=pieces, finished=finished, failed=failed)

    def _try(self, count: int) -> None:
        """Reads `count` prompts of full length and writes a character to all of them at once."""
        for model, group in self._groups.items():
            group.allot(PLACES_FOR_EACH * math.ceil(count / TEXT_SHARES[model]))
        keys = range(-count, 0)
        try:
            for key in keys:
                self.join(key, TextWork(prompt="-" * WINDOW, tokens=4, temperature=1.0))
            while reading := [key for key in keys if key in self._requests and self._requests[key].reading]:
                self.step(reading)
            self.step([key for key in keys if key in self._requests])
        finally:
            for key in keys:
                self.leave(key)


class _Group:
    """The texts of one model: a place for each in its cache, and in tensors beside it."""

    def __init__(self, model: str, hardware: Hardware) -> None:
        self._model, self._hardware = model, hardware
        network = load_into(CharacterModel(SHAPES[model]), characters_path(model))
        self.network = network.to(hardware.device, hardware.dtype)
        self.allot(PLACES_AT_FIRST)

    def allot(self, places: int) -> None:
        """Makes room for so many texts. Nobody may be there."""
        device, dtype = self._hardware.device, self._hardware.dtype
        self.cache = torch.empty(0)  # what there was goes before what there will be comes
        self.cache = empty_cache(SHAPES[self._model], places, device=device, dtype=dtype)
        self.last = torch.zeros(places, dtype=torch.long, device=device)
        self.position = torch.zeros(places, dtype=torch.long, device=device)
        self.temperature = torch.ones(places, device=device)
        self.chances = torch.zeros(places, MOST_POSITIONS, device=device)
        self.free = list(range(places))

    @property
    def places(self) -> int:
        return len(self.last)

    def take(self, position: int, temperature: float, chances: Tensor) -> int:
        """The lowest free place, for a text whose first character will stand at `position` and be chosen by the first of `chances`, which are in 0..1.

        Raises DeviceFullError where none is free.
        """
        if not self.free:
            raise DeviceFullError(f"all {self.places} places of the key-value cache of {self._model!r} are taken")
        place = self.free[0]
        self.cache[:, :, place] = 0.0  # what is no number hurts even where it is not looked at
        self.position[place], self.temperature[place] = position, temperature
        self.chances[place, position : position + len(chances)] = chances.to(self.chances.device)
        self.free = self.free[1:]
        return place

    def give_back(self, place: int) -> None:
        insort(self.free, place)

    def index(self, places: list[int]) -> Tensor | slice:
        """What selects these places, in ascending order: a slice where they are the first ones, which is usual and cheaper."""
        return slice(len(places)) if places[-1] + 1 == len(places) else self.tensor(places)

    def tensor(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=self.last.device)

    def choose(self, scores: Tensor, places: Tensor | slice, positions: Tensor) -> Tensor:
        """The characters for `positions` of the texts in `places`, drawn by their likelihoods; _NOT_A_NUMBER where these are none."""
        scores, temperature = scores.float(), self.temperature[places, None]
        if isinstance(places, slice):
            chances = self.chances[places].gather(1, positions[:, None])
        else:
            chances = self.chances[places, positions, None]
        sums = torch.softmax(scores / temperature.clamp(min=GREEDY_BELOW), dim=-1).cumsum(-1)
        drawn = (sums <= chances * sums[:, -1:]).sum(-1).clamp(max=len(ALPHABET) - 1)
        token = torch.where(temperature[:, 0] < GREEDY_BELOW, scores.argmax(-1), drawn)
        return torch.where(scores.isfinite().all(-1), token, _NOT_A_NUMBER)


class _Advance:
    """One step of some texts of a group that all read or all write, computed when it is made and written afterwards."""

    def __init__(self, group: _Group, members: Sequence[tuple[int, _Request]]) -> None:
        self._group, self._members = group, sorted(members, key=lambda member: member[1].place)
        requests = [request for _, request in self._members]
        self._reads = requests[0].reading
        self._places = group.index([request.place for request in requests])
        scores, positions = self._read(requests) if self._reads else self._continue(requests)
        self._chosen = group.choose(scores, self._places, positions)
        self._tokens = self._chosen.tolist()

    def write(self, pieces: dict[int, str], finished: dict[int, Continuation], failed: dict[int, Exception]) -> None:
        """Makes it so, and adds what came of it to `pieces`, `finished` and `failed`."""
        self._group.last[self._places] = self._chosen.clamp(min=0)
        if not self._reads:
            self._group.position[self._places] += 1
        for (key, request), token in zip(self._members, self._tokens, strict=True):
            if request.reading:
                request.read = min(request.read + PREFILL_CHUNK, len(request.prompt))
                request.reading = request.read < len(request.prompt)
            if token == _NOT_A_NUMBER:
                failed[key] = ArithmeticError("the likelihoods of the next character are no numbers")
            elif not request.reading:
                piece, ended = request.add(ALPHABET[token])
                if piece:
                    pieces[key] = piece
                if ended is not None:
                    finished[key] = Continuation(request.text, ended, len(request.prompt), request.tokens)

    def _continue(self, requests: Sequence[_Request]) -> tuple[Tensor, Tensor]:
        group, count = self._group, requests[-1].place + 1
        together = not isinstance(self._places, slice) and count <= 2 * len(requests)
        slots = slice(count) if together else self._places
        tokens, positions = group.last[slots], group.position[slots]
        scores = group.network.go_on(
            tokens[:, None],
            positions[:, None],
            torch.zeros_like(tokens),
            cache=group.cache,
            slots=slots,
            reach=_reach(max(len(request.prompt) + request.tokens for request in requests)),
        )
        return (scores[self._places], positions[self._places] + 1) if together else (scores, positions + 1)

    def _read(self, requests: Sequence[_Request]) -> tuple[Tensor, Tensor]:
        group = self._group
        chunks = [request.prompt[request.read :][:PREFILL_CHUNK] for request in requests]
        length = max(map(len, chunks))
        first = group.tensor([request.read for request in requests])
        last = group.tensor([len(chunk) - 1 for chunk in chunks])
        scores = group.network.go_on(
            torch.tensor([chunk + [0] * (length - len(chunk)) for chunk in chunks], device=first.device),
            first[:, None] + torch.arange(length, device=first.device),
            last,
            cache=group.cache,
            slots=self._places,
            reach=_reach(max(request.read for request in requests) + length),
        )
        return scores, first + last + 1


def _reach(length: int) -> int:
    return min(WINDOW, math.ceil(length / REACH_STEP) * REACH_STEP)
