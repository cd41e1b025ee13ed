"""Language models: a Llama of 1.2 thousand million parameters with random weights, by the engine, by a bare loop and by transformers' own generation."""

import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from brownout_inference.engine import attention
from brownout_inference.engine.decoding import choose
from brownout_inference.engine.hardware import Hardware, find_hardware
from brownout_inference.engine.interface import DeviceFullError
from brownout_inference.engine.transformers import TransformersEngine
from brownout_inference.work import TextWork
from gpu_figures.saturation import saturate
from gpu_figures.timing import attempt, note, report, seconds_each

REAL = {
    "vocab_size": 32_000,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 4096,
}
TINY = REAL | {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
TINY |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
PROMPT_TOKENS = 128


def model_and_tokenizer(tiny: bool, hardware: Hardware) -> tuple[Any, Any]:
    """Made where it runs, so that nothing is read or copied."""
    config = LlamaConfig(**(TINY if tiny else REAL), eos_token_id=None, bos_token_id=None, pad_token_id=0)
    config._attn_implementation = attention.NAME
    torch.manual_seed(0)
    with torch.device(hardware.device):
        torch.set_default_dtype(hardware.dtype)
        model = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(config.vocab_size)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return model.eval().requires_grad_(False), PreTrainedTokenizerFast(tokenizer_object=words)


def prompt(tokens: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(512)}" for _ in range(tokens))


def measure(tiny: bool) -> None:
    """Steps by batch size, saturation beside the bare loop, and transformers' generation."""
    hardware = find_hardware()
    model, tokenizer = model_and_tokenizer(tiny, hardware)
    note("model", f"{sum(each.numel() for each in model.parameters()) / 1e6:.0f} M parameters, {hardware}")
    batches = [1, 2, 4] if tiny else [1, 8, 32, 64, 128, 256]
    context, most = (200, 4) if tiny else (1024, 256)
    calls = 3 if tiny else 20
    prompts = 16 if tiny else PROMPT_TOKENS

    def engine(*, graphs: bool) -> TransformersEngine:
        made = TransformersEngine(model, tokenizer, hardware, context=context, places=most, graphs=graphs)
        slots = made.warm_up(most)
        report("slots that warm-up measured", [slots], "slots", way="graphs" if graphs else "eager")
        return made

    reads = {}
    for way, some in (("eager", batches[-3:-2]), ("graphs", batches)):
        made = attempt("engine", lambda way=way: engine(graphs=way == "graphs"), way=way)
        if made is None:
            return
        for batch in some:
            reads[batch] = attempt(
                "engine's step",
                lambda m=made, b=batch, w=way: _steps(m, b, w, calls, prompts * 3 // 4),
                way=way,
                batch=batch,
            )
        if way == "eager":
            del made
    bare = {}
    for batch in batches:
        read = reads[batch] or made._read_length(2 * prompts)
        bare[batch] = attempt("bare loop", lambda b=batch, r=read: _bare(made, b, r, calls), batch=batch) or 0.0
    for batch in batches[-1], batches[len(batches) // 2]:
        attempt("saturation", lambda b=batch: _saturation(made, b, tiny, prompts), batch=batch)
    attempt("model.generate", lambda: _generate(model, hardware, batches[-3], tiny), batch=batches[-3])


def _steps(engine: TransformersEngine, batch: int, way: str, calls: int, prompts: int) -> int:
    """Returns how far the cache was read in the last of them."""
    keys = range(batch)
    for key in keys:
        engine.join(
            key,
            TextWork(
                prompt=prompt(prompts, key), tokens=12 + calls * 6 + batch * prompts // 1024, temperature=0.8, seed=key
            ),
        )
    try:
        while len(engine.step(list(keys)).pieces) < batch:  # until all prompts are read
            pass
        each = seconds_each(lambda: engine.step(list(keys)), calls=calls, repeats=5 if calls > 3 else 2)
        read = engine._read_length(2 + max(engine._requests[key].read for key in keys))
    finally:
        for key in keys:
            engine.leave(key)
    report("engine's step", [one * 1e3 for one in each], "ms", way=way, batch=batch)
    report("engine's tokens", [batch / one for one in each], "tokens/s", way=way, batch=batch)
    return read


def _bare(engine: TransformersEngine, batch: int, read: int, calls: int) -> float:
    """The same network, cache and graph in a loop that does nothing else: no host reads a token, nobody joins, nothing is decoded into text."""
    cache, device = engine._cache, engine._hardware.device
    every = torch.arange(batch, device=device)
    tokens = torch.ones(batch, 1, dtype=torch.long, device=device)
    positions = torch.full((batch, 1), min(PROMPT_TOKENS, read - 2), dtype=torch.long, device=device)

    temperature = torch.full((batch,), 0.8, device=device)

    def once() -> None:
        cache.look_at(every, positions, read=read, first=batch)
        scores = engine._call(engine._model, tokens, positions, read, logits_to_keep=1).logits[:, -1]
        tokens.copy_(choose(scores.float(), temperature, torch.rand(batch, device=device))[:, None])

    with torch.inference_mode():
        if engine._graphs.enabled:
            engine._graphs.run(("bare", batch), once, [])
        each = seconds_each(
            lambda: engine._graphs.run(("bare", batch), once, []), calls=calls, repeats=5 if calls > 3 else 2
        )
    report("bare loop's step", [one * 1e3 for one in each], "ms", batch=batch, reads=read)
    return report("bare loop's tokens", [batch / one for one in each], "tokens/s", batch=batch, reads=read)


def _bare_answers(engine: TransformersEngine, batch: int, prompts: int, answer: int) -> float:
    """A bare loop that does what a saturated engine does: reads `batch` prompts, several in a call, and gives each `answer` tokens. Returns tokens a second.

    It is easier off: all begin and end together, so no row is ever empty or longer than the others.
    """
    cache, device = engine._cache, engine._hardware.device
    at_once = max(1, min(batch, 2048 // prompts))
    every = torch.arange(batch, device=device)
    tokens = torch.ones(batch, 1, dtype=torch.long, device=device)
    positions = torch.zeros(batch, 1, dtype=torch.long, device=device)
    temperature = torch.full((batch,), 0.8, device=device)
    texts = torch.ones(at_once, prompts, dtype=torch.long, device=device)
    places = torch.arange(prompts, device=device).repeat(at_once, 1)

    def prefill(rows: Any) -> None:
        read = engine._read_length(prompts)
        cache.look_at(rows, places, read=read)
        engine._call(engine._model.base_model, texts, places, read)

    def decode(read: int) -> None:
        cache.look_at(every, positions, read=read, first=batch)
        scores = engine._call(engine._model, tokens, positions, read, logits_to_keep=1).logits[:, -1]
        tokens.copy_(choose(scores.float(), temperature, torch.rand(batch, device=device))[:, None])
        positions.add_(1)

    def once() -> None:
        for start in range(0, batch if prompts > 1 else 0, at_once):
            rows = every[start : start + at_once]
            if len(rows) == at_once:
                engine._graphs.run(("bare prefill", batch, prompts), prefill, [rows])
        positions.fill_(prompts - 1)
        for number in range(answer):
            read = engine._read_length(prompts + number)
            engine._graphs.run(("bare answers", batch, prompts, read), lambda read=read: decode(read), [])

    with torch.inference_mode():
        positions.fill_(prompts - 1)
        once()  # recordings are warmed up and advance the positions, which nobody reads
        each = seconds_each(once, calls=1, repeats=2)
    return report(
        "bare loop's answers", [batch * answer / one for one in each], "tokens/s", batch=batch, prompt_tokens=prompts
    )


def _saturation(engine: TransformersEngine, batch: int, tiny: bool, prompts: int) -> None:
    """Answers of 64 to 192 tokens: once after a word, once after prompts of 128 tokens that have to be read."""
    longest = 24 if tiny else 192
    for words in (1, prompts):
        bare = attempt("bare answers", lambda words=words: _bare_answers(engine, batch, words, longest * 2 // 3))
        texts = [prompt(words, number) for number in range(256)]
        found = []
        for repeat in range(3 if tiny else 4):
            draw = random.Random(repeat)

            def work(number: int, draw: random.Random = draw, texts: list[str] = texts) -> TextWork:
                tokens = draw.randint(longest // 3, longest)
                return TextWork(prompt=texts[number % len(texts)], tokens=tokens, temperature=0.8, seed=number)

            done = saturate(engine, work, slots=batch, seconds=1.0 if tiny else 2.0)
            found.append(_tokens(done) / done.seconds)
        found = found[1:]  # in the first, graphs were recorded
        report("saturated engine's tokens", found, "tokens/s", batch=batch, prompt_tokens=words)
        if bare:
            report(
                "of the bare loop's answers", [one / bare for one in found], "share", batch=batch, prompt_tokens=words
            )


def _tokens(done: Any) -> int:
    return sum(result.tokens for result in done.results)


def _generate(model: Any, hardware: Hardware, batch: int, tiny: bool) -> None:
    tokens = torch.randint(1, 512, (batch, 16 if tiny else PROMPT_TOKENS), device=hardware.device)
    length = 8 if tiny else 64
    model.set_attn_implementation("sdpa")
    try:

        def once() -> None:
            model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=length,
                min_new_tokens=length,
                do_sample=False,
            )

        each = seconds_each(once, calls=1, repeats=3)
        report("model.generate's tokens", [batch * length / one for one in each], "tokens/s", batch=batch)
    finally:
        model.set_attn_implementation(attention.NAME)


def measure_memory(tiny: bool) -> None:
    """What warm-up says fits, and where memory really ends; then a device that is full, and goes on."""
    hardware = find_hardware()
    model, tokenizer = model_and_tokenizer(tiny, hardware)
    context, most = (200, 6) if tiny else (4096, 4096)
    engine = TransformersEngine(model, tokenizer, hardware, context=context, places=most, graphs=False)
    slots = engine.warm_up(most)
    report("slots that warm-up measured", [slots], "slots", context=context, asked=most)
    memory = engine.memory()
    if memory.used_bytes and memory.most_bytes:
        report("memory in use after warm-up", [memory.used_bytes / memory.most_bytes], "share")
        attempt("where memory ends", lambda: _where_it_ends(engine, slots))
        slots = engine.warm_up(most)
    for key in range(slots):
        engine.join(key, TextWork(prompt=prompt(4, key), tokens=8, temperature=0.0))
    try:
        engine.join(slots, TextWork(prompt="w1", tokens=8, temperature=0.0))
        note("one more than fits", "was taken")
    except DeviceFullError as error:
        note("one more than fits", f"DeviceFullError: {error}")
    if hardware.is_gpu:
        _fill(hardware, engine, slots)
    finished = 0
    while finished < slots:
        report_ = engine.step([key for key in range(slots) if key in engine._requests])
        finished += len(report_.finished)
    note("afterwards", f"all {finished} requests were finished")


def _where_it_ends(engine: TransformersEngine, slots: int) -> None:
    """Makes the cache larger by a fiftieth until a whole step no longer fits."""
    places = fits = slots
    try:
        while places < 2 * slots:
            engine._make_cache(1)
            engine._make_cache(places)
            engine._slots = places
            engine._run_through(places)
            fits, places = places, places + max(1, slots // 50)
    except (torch.OutOfMemoryError, DeviceFullError):
        pass
    engine._make_cache(1)
    report("places at which memory really ends", [fits], "slots")
    report("measured of these", [slots / fits], "share")


def _fill(hardware: Hardware, engine: TransformersEngine, slots: int) -> None:
    """Takes nearly all memory that is left, so that a step has none to work in."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(hardware.device)
    ballast = [torch.empty(max(0, free - 48 * 2**20), dtype=torch.uint8, device=hardware.device)]
    try:
        engine.step(list(range(slots)))
        note("a step without memory", "went through")
    except DeviceFullError as error:
        note("a step without memory", f"DeviceFullError: {str(error)[:120]}")
    ballast.clear()
    torch.cuda.empty_cache()
