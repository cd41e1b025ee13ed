"""Where the shipped weights lie, and how they are read and written.

They are kept as 16-bit floats to halve what the repository carries, and computed with as 32-bit ones, which is faster on a CPU.
"""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

FOLDER = Path(__file__).parent
READER = FOLDER / "reader.safetensors"
FIGURES = FOLDER / "figures.json"
"""What `inference/train/price.py` measured of the models."""

Network = TypeVar("Network", bound=nn.Module)


def digits_path(model: str) -> Path:
    """The weights of an image model."""
    return FOLDER / f"digits-{model}.safetensors"


def characters_path(model: str) -> Path:
    """The weights of a language model."""
    return FOLDER / f"characters-{model}.safetensors"


def load_into(network: Network, path: Path) -> Network:
    """Reads `path` into `network` and makes it ready to answer.

    Raises FileNotFoundError without the file, and RuntimeError when it was made for another network.
    """
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def save_from(network: nn.Module, path: Path, *, about: dict[str, str]) -> None:
    """Writes the network's weights to `path`, with what is to be said about them (safetensors metadata)."""
    halves = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in network.state_dict().items()}
    save_file(halves, path, metadata=about)
    path.chmod(0o644)
