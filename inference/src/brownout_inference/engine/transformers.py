"""Any causal language model of a folder in transformers' layout, batched token by token.

A step first reads on in prompts, at most so many tokens of all of them together that a long prompt delays the others little; then everybody whose prompt is read
gets one token more. The last token of a prompt goes the way of generated ones, so reading needs no scores. What a request is given depends on nothing but
itself: its seed draws its own numbers, and its row of the batch sees its own place of the cache.

Where nothing is said, nothing is fetched: the folder must hold weights (safetensors), configuration and tokenizer, and no code of it is run.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from brownout_inference.engine import attention, causal
from brownout_inference.engine.decoding import FROM_HOST, Chances, Pending, Turn, choose, pack, unpack
from brownout_inference.engine.fitting import memory_of
from brownout_inference.engine.graphs import Graphs
from brownout_inference.engine.hardware import Hardware, device_full, find_hardware
from brownout_inference.engine.interface import DeviceFullError, Memory, Progress, StepReport, UnsuitableError
from brownout_inference.engine.key_values import KeyValues, Seating
from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.engine.pieces import Pieces
from brownout_inference.engine.prefill import CHUNKS, PREFILL_TOKENS_OF_MANY, Prefill, at_least
from brownout_inference.engine.prompt import tokens_of
from brownout_inference.engine.text_stream import TextStream
from brownout_inference.work import Continuation, TextWork, Work

# fmt: off
ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
"""Batches are filled up to one of these where there are CUDA graphs."""
# fmt: on

PREFILL_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)

PREFILLS_BEFORE_A_GRAPH = 2
"""A shape of prompts that comes once is not worth a recording, which takes as long as four runs."""

SHORTEST_READ = 256
"""The cache is read up to the longest text of the batch: to this, or to 1.5 or 2 times as far, and so on."""


@dataclass(eq=False)
class _Request:
    work: TextWork
    prompt: list[int]
    chances: Chances
    text: TextStream
    last: int
    read: int = 0
    """Tokens in the cache."""
    tokens: int = 0
    """Tokens of the answer."""

    def __post_init__(self) -> None:
        self.read_ahead = len(self.prompt) - 1
        """Tokens to be in the cache before the first is chosen: the prompt's last goes the way of chosen ones."""


class TransformersEngine:
    """Continues texts. A piece is text that was added (whole characters, perhaps none); a result is a Continuation."""

    _seating: Seating
    _pending: Pending | None

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        hardware: Hardware,
        *,
        context: int,
        places: int,
        graphs: bool = True,
        ahead: bool | None = None,
    ) -> None:
        """`context` bounds the tokens of prompt and answer together, as does the model; `places` requests may be there at a time, paused ones too.

        With `ahead` the device is given each step before the last one's tokens are read (see `decoding`); by default that is so on GPUs.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._hardware = hardware
        self._shapes = causal.layer_shapes(model)
        self._context = min(context, causal.model_context(model.config))
        self._most_places = places
        self._graphs = Graphs(hardware.device, enabled=graphs)
        self._cache_name = causal.cache_parameter(model)
        self._ends = causal.end_tokens(model, tokenizer)
        self._pieces = Pieces(tokenizer, self._decode)
        self._requests: dict[int, _Request] = {}
        self._prefill = Prefill()
        self._ahead = hardware.is_gpu if ahead is None else ahead
        self._slots = places
        self._make_cache(1)

    @property
    def context(self) -> int:
        """The most tokens of a request, prompt and answer together."""
        return self._context

    # What the interface asks

    def warm_up(self, most: int) -> int:
        """Takes memory for as many places as fit, runs the largest batch once, and records the CUDA graphs of those that are likely."""
        places = max(most, self._most_places)
        free = self._hardware.free_bytes()
        if free is not None:
            # Scores of a row, and what choosing among them takes; and what is between two layers while prompts are read.
            scores = self._model.config.get_text_config().vocab_size * 24
            each = self._bytes_per_place() + scores
            places = max(1, min(places, (free - PREFILL_TOKENS_OF_MANY * 2**16) // each))
        while True:
            try:
                with device_full():
                    self._make_cache(places)
                    self._run_through(min(most, places))
                self._slots = min(most, places)
                return self._slots
            except DeviceFullError:
                self._make_cache(1)
                if places == 1:
                    raise
                places -= -(-places // 8)

    def memory(self) -> Memory:
        return memory_of(self._hardware, kv_places=len(self._seating), kv_places_most=self._cache.places)

    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, TextWork):
            raise TypeError(f"a language model cannot do {type(work).__name__}")
        prompt = self._encode(work)
        left = self._context - len(prompt)
        if work.tokens > left:
            instead = f" or write max_tokens {left} at most" if left > 0 else ""
            raise UnsuitableError(self._too_long(str(len(prompt)), work, instead))
        self._seating.take(key)
        text = TextStream(self._decode, work.stop, self._pieces)
        self._requests[key] = _Request(work, prompt, Chances(work.seed), text, prompt[-1])

    def leave(self, key: int) -> None:
        self._requests.pop(key, None)
        self._seating.give_back(key)

    @torch.inference_mode()
    def step(self, keys: Sequence[int]) -> StepReport:
        requests = {key: self._requests[key] for key in keys}
        if len(requests) > self._slots:
            raise DeviceFullError(f"{len(requests)} requests in a step; there is memory for {self._slots}")
        with device_full():
            self._seating.to_the_front(keys)
            # A chunk that was read stays read if what follows fails: what a request is given does not depend on where its prompt was cut.
            self._read_prompts(requests)
            ready = {key: request for key, request in requests.items() if request.read >= request.read_ahead}
            pending = self._pending
            if pending is None or pending.rows.keys().isdisjoint(ready.values()):
                pending = self._pending = self._begin(ready) if ready else None
        if pending is None:
            return StepReport()
        self._pending = self._begin_following(ready, pending)
        chosen = {key: request for key, request in ready.items() if request in pending.rows}
        return self._report(chosen, pending.read(list(chosen.values())))

    # The parts of a step

    def _read_prompts(self, requests: dict[int, _Request]) -> None:
        unread = {key: each.read_ahead - each.read for key, each in requests.items() if each.read < each.read_ahead}
        chunks = self._prefill.choose(unread, decoding=len(requests) - len(unread))
        for length, group in groupby(chunks, key=lambda chunk: chunk.length):
            members = [(chunk.key, requests[chunk.key], chunk.count) for chunk in group]
            self._read_chunks(length, members)
            for _, request, count in members:
                request.read += count

    def _read_chunks(self, chunk: int, members: Sequence[tuple[int, _Request, int]]) -> None:
        rows = self._filled_up(len(members), PREFILL_ROWS)
        spare = rows - len(members)
        tokens, positions, places = [], [], []
        for key, request, count in members:
            tokens.append(request.prompt[request.read : request.read + count] + [0] * (chunk - count))
            positions.append([*range(request.read, request.read + count)] + [self._cache.scratch] * (chunk - count))
            places.append(self._seating.place(key))
        inputs = [
            self._hardware.upload_numbers(tokens + [[0] * chunk] * spare),
            self._hardware.upload_numbers(positions + [[self._cache.scratch] * chunk] * spare),
            self._hardware.upload_numbers(places + [0] * spare),
        ]
        read = self._read_length(max(request.read + count for _, request, count in members))

        def prefill(tokens: Tensor, positions: Tensor, places: Tensor) -> None:
            self._cache.look_at(places, positions, read=read)
            self._call(self._model.base_model, tokens, positions, read)

        self._graphs.run(("prefill", rows, chunk, read), prefill, inputs, after=PREFILLS_BEFORE_A_GRAPH)

    def _begin(self, requests: Mapping[int, _Request], last: Pending | None = None) -> Pending:
        """One token more for each. Those of whom the device is still choosing the `last` go on from there."""
        turns, whose = [], {}
        for key, request in requests.items():
            place = self._seating.place(key)
            row = last.rows.get(request, FROM_HOST) if last else FROM_HOST
            come = row != FROM_HOST
            chance = request.chances.of(request.tokens + come)
            turns.append(Turn(place, request.last, row, request.read + come, request.work.temperature, chance))
            whose[request] = place
        rows = self._filled_up(1 + max(whose.values()))
        read = self._read_length(1 + max(turn.position for turn in turns))

        def decode(block: Tensor) -> Tensor:
            tokens, positions, temperature, chance = unpack(block, self._chosen)
            every = torch.arange(rows, device=block.device)
            self._cache.look_at(every, positions, read=read, first=rows)
            scores = self._call(self._model, tokens, positions, read, logits_to_keep=1).logits[:, -1]
            return choose(scores.float(), temperature, chance)

        block = self._hardware.upload(torch.from_numpy(pack(turns, rows=rows, scratch=self._cache.scratch)))
        chosen = self._graphs.run(("decode", rows, read), decode, [block])
        self._chosen[:rows].copy_(chosen)  # not inside, where a graph's warm-ups would overwrite what they go on from
        return Pending(whose, chosen, self._hardware)

    def _begin_following(self, requests: Mapping[int, _Request], pending: Pending) -> Pending | None:
        """The step after this one, for all who are sure to have one if nothing but their length ends them."""
        if not self._ahead:
            return None
        going_on = {
            key: request
            for key, request in requests.items()
            if request not in pending.rows or request.tokens + 1 < request.work.tokens
        }
        try:
            with device_full():
                return self._begin(going_on, pending) if going_on else None
        except Exception:  # what is wrong will be said of the step that asks for it
            return None

    def _report(self, requests: dict[int, _Request], tokens: Sequence[int]) -> StepReport:
        pieces: dict[int, str] = {}
        finished: dict[int, Continuation] = {}
        failed: dict[int, Exception] = {}
        for (key, request), token in zip(requests.items(), tokens, strict=True):
            try:
                piece, ended = self._add(request, token)
            except Exception as error:  # a tokenizer's; the others have their tokens
                failed[key] = error
                self.leave(key)
                continue
            if piece:
                pieces[key] = piece
            if ended is not None:
                finished[key] = Continuation(request.text.text, ended, len(request.prompt), request.tokens)
                self.leave(key)
        return StepReport(pieces=pieces, finished=finished, failed=failed)

    def _add(self, request: _Request, token: int) -> tuple[str, bool | None]:
        """What text there is now, and whether that was all: True where the model ended it, False where the length did."""
        request.read += 1
        request.last = token
        request.tokens += 1
        ended = token in self._ends
        piece = "" if ended else request.text.add(token)
        ended = ended or request.text.stopped
        if not ended and request.tokens < request.work.tokens:
            return piece, None
        piece += request.text.finish()
        return piece, ended or request.text.stopped

    # The model

    def _call(self, model: Any, tokens: Tensor, positions: Tensor, read: int, **more: Any) -> Any:
        seen = torch.arange(read, device=positions.device) <= positions[:, :, None]
        mask = torch.zeros(seen.shape, dtype=self._hardware.dtype, device=positions.device)
        mask = mask.masked_fill_(~seen, torch.finfo(self._hardware.dtype).min)[:, None]
        return model(
            input_ids=tokens,
            position_ids=positions.clamp(max=self._context - 1),
            attention_mask=mask,
            use_cache=True,
            **{self._cache_name: self._cache},
            **more,
        )

    def _run_through(self, slots: int) -> None:
        """Every kernel once, largest batch first so that smaller ones find room in what it took."""
        sizes = sorted({self._filled_up(rows) for rows in ROWS if rows <= slots} | {self._filled_up(slots)})
        for rows in reversed(sizes if self._graphs.enabled else sizes[-1:]):
            for read in (self._context - 1, 0):
                self._pretend(rows, read=read)
        for chunk in [chunk for chunk in reversed(CHUNKS) if chunk < self._context]:
            for _ in range(PREFILLS_BEFORE_A_GRAPH + 1 if self._graphs.enabled else 1):
                self._pretend(1, read=0, chunk=chunk)
        self._hardware.settle()

    @torch.inference_mode()
    def _pretend(self, rows: int, *, read: int, chunk: int = 0) -> None:
        """A step of `rows` requests that have read so many tokens and read on, or get a token."""
        requests = {}
        try:
            for key in range(-rows, 0):
                self._seating.take(key)
                requests[key] = _Request(_WARM, [0] * (chunk + 1), Chances(0), TextStream(self._decode), 0, read)
            if chunk:
                self._read_chunks(chunk, [(key, request, chunk) for key, request in requests.items()])
            else:
                self._begin(requests)
        finally:
            for key in requests:
                self._seating.give_back(key)

    def _make_cache(self, places: int) -> None:
        self._graphs.forget()
        self._cache: Any = None
        self._pending = None
        self._hardware.free_bytes()
        self._cache = KeyValues(
            self._shapes,
            places=places,
            context=self._context,
            device=self._hardware.device,
            dtype=self._hardware.dtype,
        )
        self._seating = Seating(self._cache)
        self._chosen = torch.zeros(max(places, ROWS[-1]), dtype=torch.long, device=self._hardware.device)

    def _bytes_per_place(self) -> int:
        length: int = self._cache.length
        return length * sum(shape.bytes_per_token(self._hardware.dtype) for shape in self._shapes)

    def _filled_up(self, rows: int, sizes: Sequence[int] = ROWS) -> int:
        return min(at_least(sizes, rows), self._cache.places) if self._graphs.enabled else rows

    def _read_length(self, tokens: int) -> int:
        read = SHORTEST_READ
        while read < tokens:
            read = read * 3 // 2 if read & (read - 1) == 0 else read * 4 // 3
        return min(read, int(self._cache.length))

    def _encode(self, work: TextWork) -> list[int]:
        """The tokens of a conversation, by the tokenizer's chat template where it has one, else of its turns' texts, a paragraph each. Raises UnsuitableError."""
        if getattr(self._tokenizer, "chat_template", None):
            turns = [{"role": turn.role, "content": turn.text} for turn in work.turns]
            try:
                text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            except TemplateError as error:  # such as Mistral's, where turns do not alternate
                raise UnsuitableError(f"messages do not fit this model's chat template: {error}") from error
            tokens = tokens_of(text, partial(self._tokens, add_special_tokens=False), most=self._context)
        else:
            text = "\n\n".join(turn.text for turn in work.turns)
            tokens = tokens_of(text, self._tokens, most=self._context)
        if tokens is None:
            raise UnsuitableError(self._too_long(f"more than {self._context}", work))
        if not tokens:
            raise UnsuitableError("the prompt has no token in this model's vocabulary; write some text")
        return tokens

    def _tokens(self, text: str, **options: Any) -> list[int]:
        tokens: list[int] = self._tokenizer(text, **options)["input_ids"]
        return tokens

    def _too_long(self, found: str, work: TextWork, instead: str = "") -> str:
        return (
            f"the prompt has {found} tokens and {work.tokens} may follow; "
            f"this model has room for {self._context} together, so shorten the prompt{instead}"
        )

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def load(spec: EngineSpec, progress: Progress) -> TransformersEngine:
    """The engine of a folder. Raises LoadError."""
    folder = spec.model
    try:
        hardware = find_hardware(spec.device, spec.dtype, memory_share=spec.memory_share)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        causal.check_kind(config)
        progress("tokenizer", 0.5)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        progress("weights", 0.55)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=hardware.dtype,
            attn_implementation=attention.NAME,
            output_loading_info=True,
        )
        if missing := sorted(found["missing_keys"]):  # they would be random numbers
            raise ValueError(f"the weights lack {', '.join(missing[:3])} and {max(0, len(missing) - 3)} others")
        progress("device", 0.9)
        model = model.to(hardware.device).eval().requires_grad_(False)
        return TransformersEngine(model, tokenizer, hardware, context=spec.max_tokens, places=spec.places)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        there = ", ".join(sorted(path.name for path in Path(folder).iterdir()))
        needed = "config.json of a causal language model, *.safetensors and a tokenizer (tokenizer.json)"
        raise LoadError(f"--model {folder}: {error}\nIt holds {there}; needed are {needed}") from error


_WARM = TextWork(prompt="", tokens=1, temperature=1.0)
