"""What is asked of a causal language model before it is served: its kind, what its layers keep of a token, its context, its last tokens."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from transformers import DynamicCache

from brownout_inference.engine.key_values import LayerShape

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the names of models that continue text end."""


def check_kind(config: Any) -> None:
    """Raises ValueError for a configuration whose model continues no text."""
    kinds = getattr(config, "architectures", None) or []
    if kinds and not any(kind.endswith(CAUSAL) for kind in kinds):
        raise ValueError(f"config.json says {', '.join(kinds)}, which continues no text")


@torch.inference_mode()
def layer_shapes(model: Any) -> list[LayerShape]:
    """What each layer keeps of a token, seen from what it keeps of one. Raises ValueError for models that keep something else."""
    cache = DynamicCache(config=model.config)
    tokens = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    mask = torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=model.device)
    model(input_ids=tokens, attention_mask=mask, use_cache=True, **{cache_parameter(model): cache})
    kinds = {type(layer).__name__ for layer in cache.layers}
    if other := kinds - {"DynamicLayer", "DynamicSlidingWindowLayer"}:
        raise ValueError(
            f"{type(model).__name__} keeps {', '.join(sorted(other))}; served are models of plain or sliding attention"
        )
    return [LayerShape(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3]) for layer in cache.layers]


def model_context(config: Any) -> int:
    """The tokens that the model was made for.

    With sliding attention those of its window, for within them it is plain attention. With long rotations (`longrope`) those before they begin: transformers turns all of a
    batch by the long ones as soon as one position is beyond, which would change what the others are given.
    """
    text = config.get_text_config()
    most = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 2**20
    kinds = getattr(text, "layer_types", None)
    window = getattr(text, "sliding_window", None)
    slides = "sliding_attention" in kinds if kinds else getattr(text, "use_sliding_window", True)
    bounds = [most, *_before_long_rotations(text)]
    return int(min([*bounds, window] if window and slides else bounds))


def _before_long_rotations(text: Any) -> list[int]:
    """Rotations are described once, or for each type of layer."""
    said = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    kinds = [each for each in (said, *said.values()) if isinstance(each, Mapping)]
    original = getattr(text, "original_max_position_embeddings", None)
    bounds = [
        original or each.get("original_max_position_embeddings")
        for each in kinds
        if (each.get("rope_type") or each.get("type")) == "longrope"
    ]
    return [bound for bound in bounds if bound]


def cache_parameter(model: Any) -> str:
    """transformers calls it `cache` since 5.20 or so, and `past_key_values` before."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens after which nothing follows, by the model's generation settings and by the tokenizer."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(end for end in [*ends, tokenizer.eos_token_id] if end is not None)
