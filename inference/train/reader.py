"""Trains the reader, which judges the image models, on real handwritten digits.

    python inference/train/reader.py            # about a minute on one core; needs the dependency group `train`

Half of what it learns from has gone through the smaller picture size, so that a picture is not misread for being coarse.
"""

import torch
from torch import Tensor, nn

import mnist
import training
from brownout_inference.models.catalogue import SIDES
from brownout_inference.models.reader import Reader
from brownout_inference.models.weights import READER

BATCH = 64
UPDATES = 2000
LEARNING_RATE = 3e-3
MOVE = 2
"""Pictures are moved by so many pixels at most, to make more of them."""


def main() -> None:
    parser = training.arguments(__doc__)
    parser.add_argument("--updates", type=int, default=UPDATES)
    options = training.begin(parser)
    pictures, labels, held_out, held_out_labels = mnist.load()

    def loss_of(network: nn.Module, _average: nn.Module, update: int) -> Tensor:
        chosen = torch.randint(len(labels), (BATCH,))
        down, right = torch.randint(-MOVE, MOVE + 1, (2,)).tolist()
        shown = pictures[chosen].roll((down, right), (1, 2))
        if update % 2:
            shown = coarse(shown)
        return nn.functional.cross_entropy(network(shown), labels[chosen])

    network = training.train(
        "reader",
        Reader(),
        loss_of,
        updates=options.updates,
        learning_rate=LEARNING_RATE,
        weight_decay=1e-2,
        minutes=options.minutes,
    )
    if network is not None:
        for name, shown in (("real", held_out), ("coarse", coarse(held_out))):
            read = network(shown).argmax(1) == held_out_labels
            print(f"{name} digits that it was not trained on are read in {read.float().mean():.1%}")
        about = {"data": mnist.SOURCE, "script": "inference/train/reader.py"}
        training.write(network, READER, seed=options.seed, updates=options.updates, about=about)


def coarse(pictures: Tensor) -> Tensor:
    """Pictures as they are when they have been made at the smaller size and enlarged."""
    return mnist.at_side(mnist.at_side(pictures, SIDES[1]), SIDES[0])


if __name__ == "__main__":
    main()
