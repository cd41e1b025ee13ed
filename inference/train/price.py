"""Measures what the smaller, fewer and cheaper variants cost in quality, and makes the picture that shows it.

    python inference/train/price.py             # about three minutes on one core; needs the dependency group `train`

Writes `figures.json` beside the weights and `docs/images/digits.png`. Of each image model, size and number of steps: how often the reader, which has seen real digits alone,
reads the digit that was asked for, and the Fréchet distance to real digits; `real` and `realCoarse` are 500 real ones that no model has seen, the second
at the smaller size and enlarged, as they are for pictures of that size. Of each language model: bits per character on text that it was not trained on.
"""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import characters
import mnist
import training
from brownout_inference.models.catalogue import SIDES
from brownout_inference.models.characters import SHAPES as TEXT_SHAPES
from brownout_inference.models.characters import CharacterModel
from brownout_inference.models.digits import SHAPES, DigitDenoiser, sample
from brownout_inference.models.reader import Reader, frechet
from brownout_inference.models.weights import FIGURES, READER, characters_path, digits_path, load_into
from reader import coarse

STEPS = {"full": (8, 4, 2, 1), "lite": (8, 4, 2, 1), "distilled": (4, 2, 1)}
EACH = 200
"""Pictures of each digit."""

GRID = Path("docs/images/digits.png")
CELL, LABEL, ROW = 56, 190, 60
SHOWN = (
    ("full", 28, 8),
    ("full", 28, 2),
    ("distilled", 28, 4),
    ("distilled", 28, 2),
    ("distilled", 28, 1),
    ("lite", 28, 8),
    ("lite", 28, 2),
    ("full", 14, 8),
    ("lite", 14, 8),
)


@torch.inference_mode()
def main() -> None:
    options = training.arguments(__doc__).parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    real, _, held_out, labels = mnist.load()
    reader = load_into(Reader(), READER)
    seen = reader.features(real)

    def judged(shown: Tensor, digit: Tensor) -> dict[str, float]:
        read = float((reader(shown).argmax(1) == digit).float().mean())
        return {"readAsAsked": round(read, 3), "frechet": round(frechet(reader.features(shown), seen), 1)}

    figures: dict[str, Any] = {"real": judged(held_out, labels), "realCoarse": judged(coarse(held_out), labels)}
    figures |= {"images": [], "texts": []}
    digit = torch.arange(10).repeat(EACH)
    rows = {}
    for model, shape in SHAPES.items():
        network = load_into(DigitDenoiser(shape), digits_path(model))
        for side in SIDES:
            start = torch.randn(len(digit), side, side, generator=torch.Generator().manual_seed(options.seed))
            for steps in STEPS[model]:
                parts = zip(torch.split(start, 200), torch.split(digit, 200), strict=True)
                made = torch.cat([sample(network, *part, steps=steps, distilled=shape.distilled) for part in parts])
                shown = mnist.at_side(made, SIDES[0])
                rows[model, side, steps] = made[:10]
                figures["images"].append({"model": model, "side": side, "steps": steps, **judged(shown, digit)})
                print(figures["images"][-1], flush=True)
    _, text = characters.load()
    for model, text_shape in TEXT_SHAPES.items():
        language = load_into(CharacterModel(text_shape), characters_path(model))
        bits = round(characters.bits_per_character(language, text), 3)
        figures["texts"].append({"model": model, "bitsPerCharacter": bits})
        print(figures["texts"][-1], flush=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    draw([(f"{model} {side}, {steps} steps", rows[model, side, steps]) for model, side, steps in SHOWN])


def draw(rows: list[tuple[str, Tensor]]) -> None:
    """Writes a row of digits for each variant, all made of the same noise."""
    picture = Image.new("L", (LABEL + 10 * ROW, len(rows) * ROW + 4), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for line, (label, digits) in enumerate(rows):
        pen.text((8, line * ROW + 22), label.replace("1 steps", "1 step"), fill=0, font=font)
        for column, pixels in enumerate(((digits + 1) * 127.5).round().to(torch.uint8)):
            digit = Image.fromarray(255 - pixels.numpy()).resize((CELL, CELL), Image.Resampling.BICUBIC)
            picture.paste(digit, (LABEL + column * ROW, line * ROW + 4))
    GRID.parent.mkdir(parents=True, exist_ok=True)
    picture.save(GRID, optimize=True)


if __name__ == "__main__":
    main()
