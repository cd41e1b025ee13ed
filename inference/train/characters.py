"""Trains the language model on the Python language reference, as `pydoc_data.topics` carries it with every Python.

    python inference/train/characters.py        # about ten minutes on one core; needs nothing but torch

The weights go to where the server loads them from. What is printed is bits per character on the tenth of the text that was not trained on.
"""

import argparse
import math
import re
import time
from pydoc_data.topics import topics

import torch
from torch import Tensor

from brownout_inference.models.characters import ALPHABET, CharacterModel, empty_state, encode
from brownout_inference.models.weights import CHARACTERS, save_from

BATCH = 32
LENGTH = 128
LEARNING_RATE = 4e-3


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the language model.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)

    tokens = torch.tensor(encode(corpus()))
    held_out = len(tokens) // 10
    network = train(tokens[:-held_out], minutes=arguments.minutes)
    bits = measure(network, tokens[-held_out:])
    save_from(
        network, CHARACTERS, about={"data": "pydoc_data.topics (the Python language reference)", "bits": f"{bits:.2f}"}
    )
    print(f"wrote {CHARACTERS.name}; {bits:.2f} bits per character on text that was not trained on")


def corpus() -> str:
    """The reference's prose: its topics in a fixed order, lines joined to paragraphs, tables and rules left out."""
    paragraphs = [
        " ".join(paragraph.split())
        for name in sorted(topics)
        for paragraph in topics[name].split("\n\n")
        if not re.search(r"[-+=*]{3}", paragraph)
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if len(paragraph) > 40)


def train(tokens: Tensor, *, minutes: float) -> CharacterModel:
    """Goes through the text in `BATCH` parallel strands, keeping the state from one stretch to the next, for so many minutes."""
    network = CharacterModel()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    strands = tokens[: len(tokens) // BATCH * BATCH].view(BATCH, -1)
    began, update, position, state = time.monotonic(), 0, 0, empty_state(BATCH)
    while (spent := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * spent))
        if position + LENGTH + 1 > strands.shape[1]:
            position, state = int(torch.randint(LENGTH, ())), empty_state(BATCH)
        stretch = strands[:, position : position + LENGTH + 1]
        scores, state = network(stretch[:, :-1], state.detach())
        loss = torch.nn.functional.cross_entropy(scores.reshape(-1, len(ALPHABET)), stretch[:, 1:].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        update, position = update + 1, position + LENGTH
        if update % 250 == 0:
            print(f"update {update} ({spent:.0%}): {loss.item() / math.log(2):.2f} bits per character", flush=True)
    return network.eval()


@torch.inference_mode()
def measure(network: CharacterModel, tokens: Tensor) -> float:
    """Bits per character over `tokens`, read as one text."""
    scores, _ = network(tokens[None, :-1], empty_state(1))
    return float(torch.nn.functional.cross_entropy(scores[0], tokens[1:])) / math.log(2)


if __name__ == "__main__":
    main()
