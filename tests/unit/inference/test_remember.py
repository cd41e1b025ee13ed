"""What a network was asked before is answered from memory."""

import torch
from torch import Tensor

from brownout_inference.engine.remember import REMEMBERED, remembering


def test_the_same_question_is_asked_of_the_network_once_until_others_push_it_out() -> None:
    asked: list[tuple[list[int], float]] = []

    def network(tokens: Tensor, *, scale: float = 1.0) -> tuple[Tensor]:
        asked.append((tokens.tolist(), scale))
        return (tokens * scale,)

    ask = remembering(network)
    first = ask(torch.tensor([1, 2]), scale=2.0)[0]
    assert ask(torch.tensor([1, 2]), scale=2.0)[0].tolist() == first.tolist() == [2, 4]
    assert ask(torch.tensor([1, 2]), scale=3.0)[0].tolist() == [3, 6]
    assert ask(torch.tensor([[1, 2]]), scale=2.0)[0].tolist() == [[2, 4]]
    assert len(asked) == 3
    for number in range(REMEMBERED):
        ask(torch.tensor([number, 0]))
    ask(torch.tensor([1, 2]), scale=2.0)
    assert len(asked) == 3 + REMEMBERED + 1
