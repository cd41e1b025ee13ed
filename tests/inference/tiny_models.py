"""Folders of tiny models with random weights, in the layouts of transformers and diffusers."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    HeunDiscreteScheduler,
    SchedulerMixin,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5EncoderModel,
)

VOCABULARY = 320
CONTEXT = 96
CHAT = "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def tokenizer(*, chat: bool = False) -> PreTrainedTokenizerFast:
    """Bytes, and some pairs of them: every character is a token or several."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(["the import statement is a statement that imports the thing", "größer, 日本語"], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>", pad_token="<end>")
    if chat:
        made.chat_template = CHAT
    return made


def language_model(family: str, **changes: Any) -> PreTrainedModel:
    """A model whose likeliest tokens are far apart, so that rounding does not choose another."""
    torch.manual_seed(0)
    common = {"vocab_size": VOCABULARY, "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": 0} | changes
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
    }
    match family:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**sizes | common))
        case "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**sizes | common))
        case "mistral":
            return MistralForCausalLM(MistralConfig(**sizes | common))
        case "phi3":  # of long rotations
            rotations = {
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0, 5.0, 6.0, 7.0],
                "original_max_position_embeddings": CONTEXT // 2,
            }
            return Phi3ForCausalLM(
                Phi3Config(
                    **sizes | common,
                    pad_token_id=0,
                    original_max_position_embeddings=CONTEXT // 2,
                    rope_parameters=rotations,
                )
            )
        case "gpt2":
            return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, **common))
    raise ValueError(family)


def language_folder(folder: Path, family: str, *, chat: bool = False, **changes: Any) -> Path:
    """Such a model as files."""
    language_model(family, **changes).eval().save_pretrained(folder)
    tokenizer(chat=chat).save_pretrained(folder)
    return folder


def _clip_tokenizer() -> CLIPTokenizer:
    characters = pre_tokenizers.ByteLevel.alphabet()
    words = [*characters, *(f"{character}</w>" for character in characters), "<|startoftext|>", "<|endoftext|>"]
    made = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    made.model_max_length = 77
    return made


def _clip(*, projection: bool = False) -> CLIPTextModel | CLIPTextModelWithProjection:
    tokens = len(_clip_tokenizer())
    config = CLIPTextConfig(
        vocab_size=tokens,
        bos_token_id=tokens - 2,
        eos_token_id=tokens - 1,
        pad_token_id=tokens - 1,
        hidden_size=32,
        projection_dim=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def _t5(width: int) -> T5EncoderModel:
    config = T5Config(vocab_size=VOCABULARY, d_model=width, d_kv=8, d_ff=37, num_layers=1, num_heads=4)
    return T5EncoderModel(config)


def _vae(latents: int = 4, *, shift: float | None = None) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=[8, 16],
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=latents,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=shift,
        scaling_factor=1.5,
    )


def _stable_diffusion(scheduler: SchedulerMixin) -> DiffusionPipeline:
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
    )
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_xl(scheduler: SchedulerMixin) -> DiffusionPipeline:
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_clip(),
        text_encoder_2=_clip(projection=True),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=scheduler,
    )


def _stable_diffusion_3(scheduler: SchedulerMixin) -> DiffusionPipeline:
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=64,
        pooled_projection_dim=64,
        out_channels=8,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=scheduler,
        vae=_vae(8, shift=0.1),
        text_encoder=_clip(projection=True),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(projection=True),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(64),
        tokenizer_3=tokenizer(),
    )


def _flux(scheduler: SchedulerMixin) -> DiffusionPipeline:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    )
    return FluxPipeline(
        transformer=transformer,
        scheduler=scheduler,
        vae=_vae(shift=0.1),
        text_encoder=_clip(),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(32),
        tokenizer_2=tokenizer(),
    )


PIPELINES = {
    "stable-diffusion-ddim": lambda: _stable_diffusion(
        DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    ),
    "stable-diffusion-euler-ancestral": lambda: _stable_diffusion(EulerAncestralDiscreteScheduler(steps_offset=1)),
    "stable-diffusion-dpm-solver": lambda: _stable_diffusion(DPMSolverMultistepScheduler(steps_offset=1)),
    "stable-diffusion-heun": lambda: _stable_diffusion(HeunDiscreteScheduler(clip_sample=False, steps_offset=1)),
    "stable-diffusion-xl": lambda: _stable_diffusion_xl(EulerDiscreteScheduler()),
    "stable-diffusion-3": lambda: _stable_diffusion_3(FlowMatchEulerDiscreteScheduler()),
    "flux": lambda: _flux(FlowMatchEulerDiscreteScheduler()),
}
"""Pipelines by name, tiny and with random weights, each with the scheduler that its name says or that it usually has."""


def picture_folder(folder: Path, name: str) -> Path:
    """One of them as files."""
    torch.manual_seed(0)
    PIPELINES[name]().save_pretrained(folder)
    return folder
