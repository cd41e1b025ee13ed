"""Makes the image model `distilled`, which needs four, two or one wide steps, out of `full`.

    python inference/train/distil.py            # about a quarter of an hour on one core; needs the dependency group `train`

Progressive distillation (Salimans and Ho, 2022, arXiv:2202.00512): a step of the student is taught to land where two steps of its teacher do. There the
student becomes the teacher of the next one, which takes half as many steps; here one network is told how wide its steps are and learns all of them at once, as in
Frans et al. (2024, "One Step Diffusion via Shortcut Models", arXiv:2410.12557). A quarter-wide step learns from four steps of `full`, a wider one from two steps half as
wide of the student's own average.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

import mnist
import training
from brownout_inference.models.catalogue import SIDES
from brownout_inference.models.digits import ANY_DIGIT, SHAPES, DigitDenoiser, denoise, noise, signal
from brownout_inference.models.weights import digits_path, load_into
from digits import FORGET_CLASS

BATCH = 48
SMALL_EVERY = 3
STEPS = (4, 2, 1)
TEACHER_STEPS = 4
AVERAGE_OVER = 100
UPDATES = 1500
LEARNING_RATE = 7e-4


def main() -> None:
    parser = training.arguments(__doc__)
    parser.add_argument("--updates", type=int, default=UPDATES)
    options = training.begin(parser)
    pictures, labels, _, _ = mnist.load()
    at_sides = {side: mnist.at_side(pictures, side) for side in SIDES}
    teacher = load_into(DigitDenoiser(SHAPES["full"]), digits_path("full"))
    student = DigitDenoiser(SHAPES["distilled"])
    student.load_state_dict(teacher.state_dict())

    def loss_of(network: nn.Module, follower: nn.Module, update: int) -> Tensor:
        side = SIDES[1] if update % SMALL_EVERY == 0 else SIDES[0]
        chosen = torch.randint(len(labels), (BATCH,))
        clean, digit = at_sides[side][chosen], labels[chosen].clone()
        digit[torch.rand(BATCH) < FORGET_CLASS] = ANY_DIGIT
        steps = torch.tensor(STEPS).repeat_interleave(BATCH // len(STEPS))
        time, next_time = spans(steps)
        noisy = signal(time)[:, None, None] * clean + noise(time)[:, None, None] * torch.randn_like(clean)
        fine = steps == STEPS[0]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            landed = torch.empty_like(noisy)
            landed[fine] = walk(
                teacher, noisy[fine], time[fine], next_time[fine], digit[fine], TEACHER_STEPS, wide=False
            )
            wide = ~fine
            landed[wide] = walk(follower, noisy[wide], time[wide], next_time[wide], digit[wide], 2, wide=True)
        with torch.autocast("cpu", torch.bfloat16):
            velocity = network(noisy, time, time - next_time, digit)
        return nn.functional.mse_loss(velocity.float(), velocity_to(landed, noisy, time, next_time))

    network = training.train(
        "digits-distilled",
        student,
        loss_of,
        updates=options.updates,
        learning_rate=LEARNING_RATE,
        weight_decay=1e-3,
        minutes=options.minutes,
        average_over=AVERAGE_OVER,
    )
    if network is not None:
        about = {"data": mnist.SOURCE, "script": "inference/train/distil.py", "teacher": "full"}
        path = digits_path("distilled")
        training.write(network, path, seed=options.seed, updates=options.updates, about=about)


def spans(steps: Tensor) -> tuple[Tensor, Tensor]:
    """For each count of steps, where one of them begins and ends."""
    at = (torch.rand(len(steps)) * steps).floor()
    return 1 - at / steps, 1 - (at + 1) / steps


def walk(
    network: nn.Module, noisy: Tensor, time: Tensor, next_time: Tensor, digit: Tensor, steps: int, *, wide: bool
) -> Tensor:
    """Where `steps` even DDIM steps of `network` come to from `time` to `next_time`; `wide` tells the network how far each goes."""
    marks = [torch.lerp(time, next_time, step / steps) for step in range(steps + 1)]
    for now, then in pairwise(marks):
        width = now - then if wide else torch.zeros_like(now)
        noisy, _ = denoise(noisy, network(noisy, now, width, digit).float(), now, then)
    return noisy


def velocity_to(landed: Tensor, noisy: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
    """The v with which one DDIM step from `noisy` at `time` comes to `landed` at `next_time` (Salimans and Ho, appendix G)."""
    now_signal, now_noise = signal(time)[:, None, None], noise(time)[:, None, None]
    ratio = noise(next_time)[:, None, None] / now_noise
    clean = (landed - ratio * noisy) / (signal(next_time)[:, None, None] - ratio * now_signal)
    return now_signal * (noisy - now_signal * clean) / now_noise - now_noise * clean


if __name__ == "__main__":
    main()
