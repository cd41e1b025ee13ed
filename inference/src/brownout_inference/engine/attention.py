"""Attention over a cache whose keys and values several query heads share (grouped-query attention), without copying them for each head.

transformers' own function repeats keys and values for every query head once there is a mask, which for one new token means reading and writing the whole
cache several times. Here the queries of a group stand beside each other as if they were tokens of one head.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "brownout_grouped"
"""What models are told to use; registered by importing this module."""

UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""What some models want of attention and this does not do."""


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, None]:
    """`query` (batch, heads, tokens, size), `key` and `value` (batch, groups, seen, size), additive `attention_mask` (batch, 1, tokens, seen).

    Returns (batch, tokens, heads, size). Raises ValueError for a model that needs more.
    """
    if wanted := [name for name in UNSUPPORTED if more.get(name) is not None]:
        raise ValueError(f"{type(module).__name__} needs attention with {', '.join(wanted)}, which is not served")
    batch, heads, tokens, size = query.shape
    groups = key.shape[1]
    together = query.reshape(batch, groups, heads // groups * tokens, size)
    mask = attention_mask
    if tokens > 1 and heads > groups:
        mask = mask.repeat(1, 1, heads // groups, 1)
    mask = mask.expand(batch, groups, together.shape[2], key.shape[2])
    answer = torch.nn.functional.scaled_dot_product_attention(together, key, value, attn_mask=mask, scale=scaling)
    return answer.reshape(batch, heads, tokens, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, grouped_attention)
