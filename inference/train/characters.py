"""Trains the language models `full` and `lite` on the Python language reference, as `pydoc_data.topics` carries it with every Python.

    python inference/train/characters.py full       # about ten minutes on one core; needs nothing but torch
    python inference/train/characters.py lite       # about three

The weights go to where the server loads them from. What is printed is bits per character on the tenth of the text that was not trained on.
"""

import math
import re
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn

import training
from brownout_inference.models.characters import SHAPES, WINDOW, CharacterModel, encode
from brownout_inference.models.weights import characters_path

BATCH = 16
UPDATES = {"full": 4000, "lite": 5000}
LEARNING_RATE = {"full": 2e-3, "lite": 4e-3}
SOURCE = "pydoc_data.topics (the Python language reference), the last tenth held out"


def main() -> None:
    parser = training.arguments(__doc__)
    parser.add_argument("model", choices=list(SHAPES))
    parser.add_argument("--updates", type=int)
    options = training.begin(parser)
    updates = options.updates or UPDATES[options.model]
    shown, held_out = load()
    reach = torch.arange(WINDOW + 1)

    def loss_of(network: nn.Module, _average: nn.Module, update: int) -> Tensor:
        begins = torch.randint(len(shown) - WINDOW, (BATCH, 1))
        texts = shown[begins + reach]
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(texts[:, :-1])
        return nn.functional.cross_entropy(scores.float().flatten(0, 1), texts[:, 1:].flatten())

    network = training.train(
        f"characters-{options.model}",
        CharacterModel(SHAPES[options.model]),
        loss_of,
        updates=updates,
        learning_rate=LEARNING_RATE[options.model],
        weight_decay=0.1,
        minutes=options.minutes,
    )
    if network is not None:
        print(f"{bits_per_character(network, held_out):.3f} bits per character on text that was not trained on")
        about = {"data": SOURCE, "script": "inference/train/characters.py"}
        training.write(network, characters_path(options.model), seed=options.seed, updates=updates, about=about)


def load() -> tuple[Tensor, Tensor]:
    """The tokens that are trained on, and those that are held out."""
    tokens = torch.tensor(encode(corpus()))
    held_out = len(tokens) // 10
    return tokens[:-held_out], tokens[-held_out:]


def corpus() -> str:
    """The reference's prose: its topics in a fixed order, lines joined to paragraphs, tables and rules left out."""
    paragraphs = [
        " ".join(paragraph.split())
        for name in sorted(topics)
        for paragraph in topics[name].split("\n\n")
        if not re.search(r"[-+=*]{3}", paragraph)
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if len(paragraph) > 40)


@torch.inference_mode()
def bits_per_character(network: nn.Module, tokens: Tensor) -> float:
    """Bits per character over `tokens`, each scored after half a window of text at least."""
    half = WINDOW // 2
    texts = tokens.unfold(0, WINDOW + 1, half)
    scores = torch.cat([network(part)[:, half:] for part in torch.split(texts[:, :-1], 64)])
    return float(nn.functional.cross_entropy(scores.flatten(0, 1), texts[:, half + 1 :].flatten())) / math.log(2)


if __name__ == "__main__":
    main()
