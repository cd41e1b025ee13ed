"""Trains the image model on the 1,797 handwritten digits that scikit-learn carries, and says how well its pictures are read.

    python inference/train/digits.py            # about five minutes on one core; needs the dependency group `train`

The weights go to where the server loads them from. Two figures are printed for pictures generated with 8, 4, 2 and 1 steps: how often a nearest-neighbour classifier
that has seen only real digits reads the one that was asked for, and the Fréchet distance between generated and real pictures (0 is the same distribution;
few steps give pictures that are readable but soft and alike). The second is the price of a `lite` variant.
"""

import argparse
import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from brownout_inference.models.digits import ANY_DIGIT, PIXELS, DigitDenoiser, denoise, noise, signal
from brownout_inference.models.weights import DIGITS, save_from

BATCH = 256
LEARNING_RATE = 2e-3
AVERAGE = 0.999
FORGET_CLASS = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the image model.")
    parser.add_argument("--updates", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)

    pictures, labels = load_digits(return_X_y=True)
    network = train(torch.tensor(pictures / 8 - 1, dtype=torch.float32), torch.tensor(labels), arguments.updates)
    classifier = KNeighborsClassifier(n_neighbors=3).fit(pictures / 8 - 1, labels)
    save_from(
        network, DIGITS, about={"data": "scikit-learn load_digits (UCI optical recognition of handwritten digits)"}
    )
    print(f"wrote {DIGITS.name}")
    for steps in (8, 4, 2, 1):
        made, asked = generate(network, steps=steps)
        accuracy, distance = classifier.score(made, asked), frechet(made, pictures / 8 - 1)
        print(f"{steps} steps: read as asked {accuracy:.1%}, Fréchet distance {distance:.2f}")


def train(pictures: Tensor, labels: Tensor, updates: int) -> DigitDenoiser:
    """The average of the weights over the last updates; `pictures` is (count, 64) in -1..1."""
    network, average = DigitDenoiser(), DigitDenoiser()
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * update / updates))
        chosen = torch.randint(len(pictures), (BATCH,))
        clean, digit = pictures[chosen], labels[chosen].clone()
        digit[torch.rand(BATCH) < FORGET_CLASS] = ANY_DIGIT
        time, grain = torch.rand(BATCH), torch.randn(BATCH, PIXELS)
        noisy = signal(time)[:, None] * clean + noise(time)[:, None] * grain
        velocity = signal(time)[:, None] * grain - noise(time)[:, None] * clean
        loss = torch.nn.functional.mse_loss(network(noisy, time, digit), velocity)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1 - min(AVERAGE, (update + 1) / (update + 10)))
        if update % 2000 == 0:
            print(f"update {update}: loss {loss.item():.4f}", flush=True)
    return average.eval()


@torch.inference_mode()
def generate(network: DigitDenoiser, *, steps: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1,800 pictures, (1800, 64) in -1..1, and the digits that were asked for."""
    digit = torch.arange(10).repeat(180)
    times = torch.linspace(1, 0, steps + 1)
    picture = clean = torch.randn(len(digit), PIXELS)
    for time, next_time in pairwise(times):
        now = time.expand(len(digit))
        picture, clean = denoise(picture, network(picture, now, digit), now, next_time.expand(len(digit)))
    return clean.numpy(), digit.numpy()


def frechet(made: NDArray[np.float32], real: NDArray[np.float64]) -> float:
    """The distance between two Gaussians that have the pictures' means and covariances."""
    made_covariance, real_covariance = np.cov(made.T), np.cov(real.T) + 1e-6 * np.eye(PIXELS)
    shared = sqrtm(real_covariance @ made_covariance).real
    means = float(((made.mean(0) - real.mean(0)) ** 2).sum())
    return means + float(np.trace(made_covariance + real_covariance - 2 * shared))


if __name__ == "__main__":
    main()
