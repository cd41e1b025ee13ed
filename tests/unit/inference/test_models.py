"""What is said of the shipped models: what a step of each costs, what their quality is, and what made them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

import characters
from brownout_inference.models.catalogue import IMAGE_MODELS, IMAGE_SHARES, SIDES, TEXT_MODELS, TEXT_SHARES
from brownout_inference.models.characters import SHAPES as TEXT_SHAPES
from brownout_inference.models.characters import WINDOW, CharacterModel, empty_cache
from brownout_inference.models.digits import SHAPES as IMAGE_SHAPES
from brownout_inference.models.digits import DigitDenoiser, sample
from brownout_inference.models.reader import Reader
from brownout_inference.models.weights import FIGURES, READER, characters_path, digits_path, load_into

FIGURE: Any = json.loads(FIGURES.read_text())
ALL = [*(digits_path(model) for model in IMAGE_SHAPES), *(characters_path(model) for model in TEXT_SHAPES), READER]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def counting(network: nn.Module) -> list[int]:
    """The multiply-adds of each convolution and each matrix that will have been gone through."""
    counts: list[int] = []

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        counts.append(output.numel() * weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    return counts


@torch.inference_mode()
def multiply_adds_of_a_picture(model: str, side: int) -> int:
    network, zero = DigitDenoiser(IMAGE_SHAPES[model]), torch.zeros(1)
    counts = counting(network)
    network(torch.zeros(1, side, side), zero, zero, zero.long())
    return sum(counts)


@torch.inference_mode()
def multiply_adds_of_a_character(model: str) -> int:
    shape, zero = TEXT_SHAPES[model], torch.zeros(1, 1, dtype=torch.long)
    network = CharacterModel(shape)
    cache = empty_cache(shape, 1, device=zero.device, dtype=torch.float32)
    counts = counting(network)
    network.go_on(zero, zero + WINDOW, zero[0], cache=cache, slots=slice(1), reach=WINDOW)
    attention = 2 * shape.layers * WINDOW * shape.width
    return sum(counts) + attention


def test_the_share_of_a_picture_is_its_part_of_the_multiply_adds() -> None:
    assert list(IMAGE_SHARES) == [(model, side) for model in IMAGE_SHAPES for side in SIDES]
    assert tuple(IMAGE_SHAPES) == IMAGE_MODELS
    whole = multiply_adds_of_a_picture(IMAGE_MODELS[0], SIDES[0])
    for (model, side), share in IMAGE_SHARES.items():
        assert share == round(multiply_adds_of_a_picture(model, side) / whole, 2)


def test_the_share_of_a_text_is_its_part_of_the_multiply_adds() -> None:
    assert tuple(TEXT_SHAPES) == tuple(TEXT_SHARES) == TEXT_MODELS
    whole = multiply_adds_of_a_character(TEXT_MODELS[0])
    for model, share in TEXT_SHARES.items():
        assert share == round(multiply_adds_of_a_character(model) / whole, 2)


def test_the_weights_say_what_made_them_and_are_small() -> None:
    for path in ALL:
        with safe_open(path, framework="pt") as file:
            assert {"data", "script", "seed", "updates", "torch"} <= set(file.metadata())
    assert sum(path.stat().st_size for path in ALL) < 4_000_000


@pytest.mark.parametrize("said", FIGURE["images"], ids=lambda said: f"{said['model']}-{said['side']}-{said['steps']}")
@torch.inference_mode()
def test_pictures_are_read_as_often_as_is_said(said: Any) -> None:
    model, side, steps = said["model"], said["side"], said["steps"]
    network = load_into(DigitDenoiser(IMAGE_SHAPES[model]), digits_path(model))
    digit = torch.arange(10).repeat(16)
    start = torch.randn(len(digit), side, side, generator=torch.Generator().manual_seed(3))
    made = sample(network, start, digit, steps=steps, distilled=IMAGE_SHAPES[model].distilled)
    shown = torch.nn.functional.interpolate(made[:, None], size=SIDES[0], mode="bilinear")[:, 0]
    read = load_into(Reader(), READER)(shown).argmax(1)
    assert float((read == digit).float().mean()) == pytest.approx(said["readAsAsked"], abs=0.08)


@pytest.mark.parametrize("said", FIGURE["texts"], ids=lambda said: said["model"])
def test_a_language_model_needs_as_many_bits_as_is_said(said: Any) -> None:
    network = load_into(CharacterModel(TEXT_SHAPES[said["model"]]), characters_path(said["model"]))
    _, held_out = characters.load()
    bits = characters.bits_per_character(network, held_out)
    assert bits == pytest.approx(said["bitsPerCharacter"], abs=0.15)  # each Python's reference is a little different


@torch.inference_mode()
def test_a_slot_that_has_gone_round_remembers_exactly_the_last_window() -> None:
    shape = TEXT_SHAPES["lite"]
    network = load_into(CharacterModel(shape), characters_path("lite"))
    _, held_out = characters.load()
    text = held_out[: 2 * WINDOW + 40]
    cache = empty_cache(shape, 3, device=text.device, dtype=torch.float32)
    slot, step = torch.tensor([1]), torch.zeros(1, dtype=torch.long)
    scores = []
    for position, token in enumerate(text):
        at = torch.tensor([[position]])
        scores.append(network.go_on(token.view(1, 1), at, step, cache=cache, slots=slot, reach=WINDOW))

    positions = torch.arange(len(text))
    distance = positions[:, None] - positions
    shade = torch.where((distance < 0) | (distance >= WINDOW), float("-inf"), 0.0)
    hidden = network.embedding(text)[None]
    for layer in network.layers:
        asked = layer.asks(hidden, network.cosines[: len(text)], network.sines[: len(text)])
        hidden = layer.answers(hidden, *asked, shade)
    assert torch.allclose(torch.cat(scores), network.answer(network.norm(hidden))[0], atol=1e-3)


def test_each_cheaper_variant_is_worse_and_no_more_than_that() -> None:
    of = {(said["model"], said["side"], said["steps"]): said for said in FIGURE["images"]}
    assert of["full", 28, 8]["frechet"] < of["lite", 28, 8]["frechet"]
    assert of["full", 28, 8]["frechet"] < of["full", 28, 4]["frechet"] < of["full", 28, 2]["frechet"]
    for steps in (2, 4):  # what distilling is for
        assert of["distilled", 28, steps]["frechet"] < of["full", 28, steps]["frechet"]
    full, lite = (said["bitsPerCharacter"] for said in FIGURE["texts"])
    assert full < lite
