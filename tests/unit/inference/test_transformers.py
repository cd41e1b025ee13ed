"""Tiny language models in transformers' layout, held against transformers' own generation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from brownout_inference.engine.interface import DeviceFullError, UnsuitableError
from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.engine.transformers import TransformersEngine, load
from brownout_inference.work import ChatTurn, Continuation, ImageWork, TextWork
from inference.builders import finished
from inference.tiny_models import CHAT, CONTEXT, language_folder

FAMILIES = ["llama", "qwen2", "gpt2", "mistral"]
PROMPTS = {
    1: "the import statement",
    2: "a",
    3: "größer",
    4: "日本語 the thing imports that statement and that is a statement",
}


def engine_of(folder: Path, *, places: int = 6, max_tokens: int = CONTEXT, ahead: bool = False) -> TransformersEngine:
    spec = EngineSpec(model=str(folder), device="cpu", max_batch=4, places=places, max_tokens=max_tokens)
    engine = load(spec, lambda what, part: None)
    engine._ahead = ahead
    assert engine.warm_up(4) == 4
    return engine


def text(prompt: str, *, tokens: int = 12, temperature: float = 0.0, **more: Any) -> TextWork:
    return TextWork(prompt=prompt, tokens=tokens, temperature=temperature, **more)


def run(engine: TransformersEngine, keys: Sequence[int], *, most: int = 300) -> dict[int, Continuation]:
    """Steps with these until all are done; says what each was given."""
    return finished(engine, keys, most=most)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"sliding_window": CONTEXT} if request.param == "mistral" else {}
    return language_folder(tmp_path_factory.mktemp(request.param), request.param, **changes)


@pytest.fixture(scope="module", params=[False, True], ids=["step by step", "ahead"])
def engine(folder: Path, request: pytest.FixtureRequest) -> TransformersEngine:
    return engine_of(folder, ahead=request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return engine_of(language_folder(tmp_path_factory.mktemp("llama"), "llama"))


@pytest.fixture(autouse=True)
def nobody_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("engine", "llama"):
        if name in request.fixturenames:
            used: TransformersEngine = request.getfixturevalue(name)
            assert used.memory().kv_places == 0


def generated(folder: Path, prompts: Mapping[int, str], tokens: int) -> dict[int, str]:
    """What transformers gives each of them alone."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    texts = {}
    for key, prompt in prompts.items():
        inputs = tokenizer(prompt, return_tensors="pt")
        answer = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        texts[key] = tokenizer.decode(answer, skip_special_tokens=True)
    return texts


def test_each_text_is_what_transformers_generates_whoever_else_is_in_the_batch(
    engine: TransformersEngine, folder: Path
) -> None:
    expected = generated(folder, PROMPTS, 12)
    for key, prompt in PROMPTS.items():
        engine.join(key, text(prompt))
    assert {key: result.text for key, result in run(engine, list(PROMPTS)).items()} == expected
    engine.join(4, text(PROMPTS[4]))
    assert run(engine, [4])[4].text == expected[4]


def test_who_pauses_goes_on_as_if_nothing_had_been(engine: TransformersEngine, folder: Path) -> None:
    expected = generated(folder, PROMPTS, 12)
    for key in (1, 2, 3):
        engine.join(key, text(PROMPTS[key]))
    results: dict[int, Continuation] = {}
    engine.step([1, 2, 3])
    engine.step([3])
    engine.step([3, 2])
    engine.join(4, text(PROMPTS[4]))
    engine.step([4])
    results |= run(engine, [4])
    engine.step([1])
    results |= run(engine, [3])
    results |= run(engine, [2, 1])
    assert {key: result.text for key, result in results.items()} == expected


def test_a_long_prompt_is_read_in_pieces_while_others_go_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = language_folder(tmp_path_factory.mktemp("long"), "llama", max_position_embeddings=2048)
    engine = engine_of(folder, max_tokens=2048)
    long = {9: "zq" * 700}
    engine.join(1, text(PROMPTS[1], tokens=2))
    engine.join(9, text(long[9], tokens=3))
    first, second = engine.step([1, 9]), engine.step([1, 9])
    assert not first.finished
    assert second.finished[1].text == generated(folder, {1: PROMPTS[1]}, 2)[1]
    assert not first.pieces.get(9)
    assert not second.pieces.get(9)
    assert run(engine, [9])[9].text == generated(folder, long, 3)[9]


def test_a_seed_gives_the_same_text_whoever_else_is_in_the_batch(llama: TransformersEngine) -> None:
    sampled = text("the", temperature=1.0, seed=5, tokens=20)
    llama.join(1, sampled)
    alone = run(llama, [1])[1]
    llama.join(2, text("a statement", temperature=1.0, seed=6))
    llama.join(1, sampled)
    llama.join(3, text("the", temperature=1.0, seed=7, tokens=20))
    together = run(llama, [2, 1, 3])
    assert together[1] == alone
    assert together[3] != alone


def test_tokens_are_drawn_as_likely_as_the_model_says(llama: TransformersEngine) -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, -1.0])
    from brownout_inference.engine.decoding import choose

    chances = (torch.arange(10_000) + 0.5) / 10_000
    drawn = choose(scores.expand(10_000, 4), torch.full((10_000,), 0.5), chances)
    found = torch.bincount(drawn, minlength=4) / 10_000
    assert torch.allclose(found, torch.softmax(scores / 0.5, 0), atol=2e-4)


def test_the_pieces_of_a_text_are_whole_characters_and_together_the_text(llama: TransformersEngine) -> None:
    llama.join(1, text("größer", tokens=40, temperature=1.5, seed=3))
    pieces, result = [], None
    while result is None:
        report = llama.step([1])
        pieces.append(report.pieces.get(1, ""))
        result = report.finished.get(1)
    assert "".join(pieces) == result.text


def test_a_text_ends_before_a_stop(llama: TransformersEngine) -> None:
    llama.join(1, text("the", tokens=20))
    whole = run(llama, [1])[1].text
    stop = whole[5:8]
    llama.join(1, text("the", tokens=20, stop=(stop,)))
    result = run(llama, [1])[1]
    assert (result.text, result.ended) == (whole[: whole.index(stop)], True)


def test_the_models_end_token_ends_a_text_and_is_not_in_it(tmp_path: Path) -> None:
    engine = engine_of(language_folder(tmp_path / "without", "llama"))
    engine.join(1, text("the", tokens=8))
    whole = run(engine, [1])[1]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "without", local_files_only=True)
    end = tokenizer.encode("the" + whole.text)[-1]
    again = engine_of(language_folder(tmp_path / "with", "llama", eos_token_id=[0, end]))
    again.join(1, text("the", tokens=8))
    result = run(again, [1])[1]
    assert result.ended
    assert whole.text.startswith(result.text)
    assert result.tokens <= 8


def test_a_chat_template_is_used_where_there_is_one(tmp_path: Path) -> None:
    plain = engine_of(language_folder(tmp_path / "plain", "llama"))
    chat = engine_of(language_folder(tmp_path / "chat", "llama", chat=True))
    assert "assistant" in CHAT
    plain.join(1, text("<user>the<assistant>"))
    chat.join(1, text("the"))
    assert run(plain, [1]) == run(chat, [1])
    plain.join(2, text("<system>be kind<assistant>well<user>the<assistant>"))
    chat.join(2, text("the", earlier=(ChatTurn("system", "be kind"), ChatTurn("assistant", "well"))))
    assert run(plain, [2]) == run(chat, [2])


def test_without_a_chat_template_what_was_said_before_is_a_paragraph_each(llama: TransformersEngine) -> None:
    llama.join(1, text("the", earlier=(ChatTurn("user", "a class"), ChatTurn("assistant", "well"))))
    llama.join(2, text("a class\n\nwell\n\nthe"))
    results = run(llama, [1, 2])
    assert results[1] == results[2]


def test_turns_that_the_chat_template_refuses_are_refused_with_its_words(tmp_path: Path) -> None:
    folder = language_folder(tmp_path, "llama", chat=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{% if messages|length > 1 %}{{ raise_exception('turns must alternate') }}{% endif %}<user>"
    (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    engine = engine_of(folder)
    with pytest.raises(UnsuitableError, match="chat template: turns must alternate"):
        engine.join(1, text("the", earlier=(ChatTurn("user", "a"),)))
    engine.join(1, text("the"))


def test_what_does_not_fit_the_context_fails_alone(llama: TransformersEngine) -> None:
    with pytest.raises(UnsuitableError, match=f"room for {CONTEXT} together"):
        llama.join(1, text("the", tokens=CONTEXT))
    llama.join(1, text("the", tokens=CONTEXT - 1))
    assert run(llama, [1])[1].tokens == CONTEXT - 1
    with pytest.raises(TypeError, match="ImageWork"):
        llama.join(2, ImageWork(prompt="a", pictures=1, frames=1, steps_per_frame=1))


def test_nobody_waits_until_all_of_a_prompt_that_is_far_too_long_is_read(
    llama: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, read = llama._tokens, list[int]()

    def counting(text: str, **options: Any) -> list[int]:
        read.append(len(text))
        return encode(text, **options)

    monkeypatch.setattr(llama, "_tokens", counting)
    with pytest.raises(UnsuitableError, match=f"has more than {CONTEXT} tokens and 1 may follow"):
        llama.join(1, text("the statement " * 20_000, tokens=1))
    assert sum(read) < 16 * CONTEXT


def test_places_that_are_all_taken_are_a_full_device_and_nothing_changes(llama: TransformersEngine) -> None:
    for key in range(6):
        llama.join(key, text("the"))
    assert (llama.memory().kv_places, llama.memory().kv_places_most) == (6, 6)
    with pytest.raises(DeviceFullError, match="all 6 places"):
        llama.join(6, text("the"))
    with pytest.raises(DeviceFullError, match="memory for 4"):
        llama.step(range(5))
    results = run(llama, [0, 1, 2]) | run(llama, [3, 4, 5])
    assert len({result.text for result in results.values()}) == 1


def test_a_step_that_runs_out_of_memory_changes_nothing(llama: TransformersEngine, monkeypatch: Any) -> None:
    llama.join(1, text("the", temperature=1.0, seed=1))
    expected = run(llama, [1])
    llama.join(1, text("the", temperature=1.0, seed=1))
    llama.step([1])
    with monkeypatch.context() as full:
        full.setattr(llama._model.lm_head, "forward", _out_of_memory)
        with pytest.raises(DeviceFullError, match="no memory"):
            llama.step([1])
    assert run(llama, [1]) == expected


def test_a_step_begun_ahead_that_runs_out_of_memory_is_made_when_it_is_asked_for(
    llama: TransformersEngine, monkeypatch: Any
) -> None:
    monkeypatch.setattr(llama, "_ahead", True)
    llama.join(1, text("the", temperature=1.0, seed=1))
    expected = run(llama, [1])
    llama.join(1, text("the", temperature=1.0, seed=1))
    with monkeypatch.context() as full:
        llama.step([1])
        full.setattr(llama._model.lm_head, "forward", _out_of_memory)
        assert not llama.step([1]).failed  # its token was there already
        with pytest.raises(DeviceFullError, match="no memory"):
            llama.step([1])
    assert run(llama, [1]) == expected


def test_who_comes_and_goes_while_a_step_is_ahead_disturbs_nobody(llama: TransformersEngine, monkeypatch: Any) -> None:
    works = {key: text(PROMPTS[key % 4 + 1], temperature=1.0, seed=key, tokens=5 + key % 7) for key in range(24)}
    expected: dict[int, Continuation] = {}
    for key, work in works.items():
        llama.join(key, work)
        expected |= run(llama, [key])
    monkeypatch.setattr(llama, "_ahead", True)
    draw, waiting = Random(0), list(works)
    there: list[int] = []
    results: dict[int, Continuation] = {}
    while waiting or there:
        while waiting and len(there) < 6:
            there.append(waiting.pop(0))
            llama.join(there[-1], works[there[-1]])
        if draw.random() < 0.1:  # one is dropped, begins again later, and has left its place to somebody else
            waiting.append(there.pop(draw.randrange(len(there))))
            llama.leave(waiting[-1])
        elif finished := llama.step(draw.sample(there, draw.randint(1, min(4, len(there))))).finished:
            results |= finished
            there = [key for key in there if key not in finished]
    assert results == expected


def _out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("no memory. Tried to allocate")


def test_a_model_of_long_rotations_is_served_as_far_as_its_short_ones_go(tmp_path: Path) -> None:
    folder = language_folder(tmp_path, "phi3")
    engine = engine_of(folder)
    assert engine.context == CONTEXT // 2
    for key, prompt in PROMPTS.items():
        engine.join(key, text(prompt))
    results = run(engine, list(PROMPTS))
    assert {key: result.text for key, result in results.items()} == generated(folder, PROMPTS, 12)


def test_sliding_attention_is_served_within_its_window(tmp_path: Path) -> None:
    engine = engine_of(language_folder(tmp_path, "mistral", sliding_window=32))
    assert engine.context == 32


@pytest.mark.parametrize(
    ("missing", "said"), [("tokenizer.json", "tokenizer"), ("model.safetensors", "model.safetensors")]
)
def test_an_incomplete_folder_says_what_it_holds_and_what_is_needed(tmp_path: Path, missing: str, said: str) -> None:
    folder = language_folder(tmp_path / "llama", "llama")
    (folder / missing).unlink()
    with pytest.raises(LoadError, match=r"It holds .*config\.json.*needed are") as raised:
        load(EngineSpec(model=str(folder), device="cpu"), lambda what, part: None)
    assert said in str(raised.value)


def test_a_model_that_continues_no_text_is_refused(tmp_path: Path) -> None:
    folder = language_folder(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForSequenceClassification"]}))
    with pytest.raises(LoadError, match="says LlamaForSequenceClassification, which continues no text"):
        load(EngineSpec(model=str(folder), device="cpu"), lambda what, part: None)


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    folder = language_folder(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(LoadError, match=r"the weights lack model\.layers\.2\."):
        load(EngineSpec(model=str(folder), device="cpu"), lambda what, part: None)
