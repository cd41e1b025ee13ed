"""What is drawn by a chance."""

import torch

from brownout_inference.engine.decoding import Turn, choose, pack, unpack


def test_a_chance_of_nearly_one_does_not_choose_what_is_all_but_impossible() -> None:
    turn = Turn(place=0, token=1, from_row=-1, position=1, temperature=1.0, chance=1 - 2**-26)
    block = torch.from_numpy(pack([turn], rows=1, scratch=5))
    _, _, temperature, chance = unpack(block, torch.zeros(1, dtype=torch.long))
    scores = torch.full((1, 1000), -30.0)
    scores[0, 3] = 10.0
    assert choose(scores, temperature, chance).tolist() == [3]
