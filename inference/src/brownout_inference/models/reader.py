"""The reader: a small network that has learned handwritten digits from real ones, and judges those that the image models make.

It reads which digit a picture shows, and what it sees on the way there is what the Fréchet distance between made and real pictures is taken from (Heusel et al., 2017,
"GANs Trained by a Two Time-Scale Update Rule", arXiv:1706.08500, with this network in Inception's place: distances compare with each other, not with other papers').
"""

import torch
from torch import Tensor, nn

SIDE = 28
FEATURES = 64


class Reader(nn.Module):
    """Reads digits of 28 x 28 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, FEATURES, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.answer = nn.Linear(FEATURES, 10)

    def features(self, pictures: Tensor) -> Tensor:
        """What is seen in (count, 28, 28) pictures in -1..1: (count, FEATURES)."""
        seen: Tensor = self.seen(pictures[:, None]).mean((2, 3))
        return seen

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores (count, 10) of the digits."""
        scores: Tensor = self.answer(self.features(pictures))
        return scores


def frechet(made: Tensor, real: Tensor) -> float:
    """The distance between two Gaussians that have the means and covariances of two sets of features, (count, FEATURES) each; 0 is the same distribution."""
    made, real = made.double(), real.double()
    shared = torch.linalg.eigvals(made.T.cov() @ real.T.cov()).real.clamp(min=0).sqrt().sum()
    means = (made.mean(0) - real.mean(0)).square().sum()
    return float(means + made.T.cov().trace() + real.T.cov().trace() - 2 * shared)
