"""What the training scripts share: a loop that can be stopped and gone on with, and comes to the same weights either way."""

import argparse
import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from brownout_inference.models.weights import save_from

AVERAGE_OVER = 500
WARM_UP = 100
SAVE_SECONDS = 60
CHECKPOINTS = Path("out/train")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of every script."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then; the next run goes on from there")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads the options, and does what they say of random numbers and threads."""
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    return options


def train(
    name: str,
    network: nn.Module,
    loss_of: Callable[[nn.Module, nn.Module, int], Tensor],
    *,
    updates: int,
    learning_rate: float,
    weight_decay: float,
    minutes: float,
    average_over: int = AVERAGE_OVER,
) -> nn.Module | None:
    """Makes `updates` updates of AdamW down `loss_of(network, average, update)`, and returns the average of the weights over the last `average_over`.

    None where the minutes were over first. `loss_of` may draw from torch's random numbers alone; their state is kept with the rest.
    """
    checkpoint, began = CHECKPOINTS / f"{name}.pt", time.monotonic()
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98))
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {
        "network": network,
        "average": average,
        "optimiser": optimiser,
    }
    first = _resume(checkpoint, parts)
    saved, seen = began, 0.0
    for update in range(first, updates):
        rate = min(1.0, (update + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * update / updates))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * rate
        loss = loss_of(network, average, update)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            share = max(1 / average_over, 9 / (update + 10))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)
        seen = loss.item() if update == first else seen + 0.02 * (loss.item() - seen)
        if update % 250 == 0:
            print(
                f"{name}: update {update} of {updates}, {time.monotonic() - began:.0f} s, loss {seen:.4f}", flush=True
            )
        now = time.monotonic()
        if now - saved > SAVE_SECONDS or now - began > 60 * minutes:
            saved = now
            _save(checkpoint, parts, update + 1)
            if now - began > 60 * minutes:
                return None
    checkpoint.unlink(missing_ok=True)
    return average.eval()


def write(network: nn.Module, path: Path, *, seed: int, updates: int, about: dict[str, str]) -> None:
    """Writes the weights with what made them."""
    made_by = {"seed": str(seed), "updates": str(updates), "torch": torch.__version__.split("+")[0]}
    save_from(network, path, about={**about, **made_by})
    print(f"wrote {path.name}, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def _save(path: Path, parts: dict[str, nn.Module | torch.optim.Optimizer], update: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**state, "update": update, "random": torch.get_rng_state()}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def _resume(path: Path, parts: dict[str, nn.Module | torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return int(state["update"])
