"""The features that a server answers for, and how a flag's value turns a request for one into work.

A flag's value may say `steps`, `side`, `model` and `frames` of pictures, `maxTokens` and `model` of texts, and `objectiveSeconds` of both. What it does not say comes from the
feature, or is the best that the models have; what it says wrongly (not a whole number, out of bounds, a model or a size that is not there) is treated as not said, because a typing
error in a policy must not take a feature from everybody. Which models and sizes there are is known of those that ship; other engines are handed what the flag says.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from brownout_inference.models.catalogue import IMAGE_MODELS, IMAGE_SHARES, SIDES, TEXT_MODELS, TEXT_SHARES
from brownout_inference.work import ChatTurn, ImageWork, TextWork, Work

MAX_STEPS = 64
MAX_FRAMES = 32
MAX_TOKENS = 512
"""Of the models that ship with the server; other ones have as many as their context has room for."""
MAX_SIDE = 4096


class Api(StrEnum):
    """The endpoint under which a feature is asked for."""

    IMAGES = "images"
    VIDEOS = "videos"
    CHAT = "chat"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature. `steps`, `side` (pixels; None is the model's own), `frames` and `max_tokens` are those of its best variant; `most_tokens` is the most that anybody may ask for.

    `objective_seconds` is within which an answer is of use: who cannot have one by then is refused at once. None is for ever. `shipped` says that one of the models that
    ship with the server answers.
    """

    name: str
    api: Api
    flag_key: str
    steps: int = 8
    side: int | None = None
    frames: int = 8
    max_tokens: int = 64
    most_tokens: int = MAX_TOKENS
    objective_seconds: float | None = None
    shipped: bool = True

    def typical_work(self) -> Work:
        """A plain request for this feature at its best: what its declared cost is computed from."""
        if self.api is Api.CHAT:
            return TextAsk(prompt="", max_tokens=None, temperature=1.0, seed=None).work(self, {})
        return ImageAsk(prompt="", pictures=1, seed=None).work(self, {})


@dataclass(frozen=True, kw_only=True)
class ImageAsk:
    """What a user asked of the image model."""

    prompt: str
    pictures: int
    seed: int | None

    def work(self, feature: Feature, value: Mapping[str, Any]) -> ImageWork:
        frames = _whole(value, "frames", feature.frames, MAX_FRAMES) if feature.api is Api.VIDEOS else 1
        steps = _whole(value, "steps", feature.steps, MAX_STEPS)
        model = _model(value, IMAGE_MODELS if feature.shipped else None)
        side = _whole(value, "side", feature.side or 0, MAX_SIDE) or None
        if feature.shipped and side not in SIDES:
            side = None
        return ImageWork(
            prompt=self.prompt,
            pictures=self.pictures,
            frames=frames,
            steps_per_frame=steps,
            side=side,
            model=model,
            share=IMAGE_SHARES[model or IMAGE_MODELS[0], side or SIDES[0]] if feature.shipped else 1.0,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class TextAsk:
    """What a user asked of the language model, after what was said `earlier`; `max_tokens` None leaves the length to the feature. The answer ends before the first of the texts in `stop`."""

    prompt: str
    max_tokens: int | None
    temperature: float
    seed: int | None
    earlier: tuple[ChatTurn, ...] = ()
    stop: tuple[str, ...] = ()

    def work(self, feature: Feature, value: Mapping[str, Any]) -> TextWork:
        allowed = _whole(value, "maxTokens", feature.most_tokens, feature.most_tokens)
        wanted = self.max_tokens if self.max_tokens is not None else feature.max_tokens
        model = _model(value, TEXT_MODELS if feature.shipped else None)
        return TextWork(
            prompt=self.prompt,
            tokens=min(wanted, allowed),
            temperature=self.temperature,
            earlier=self.earlier,
            stop=self.stop,
            model=model,
            share=TEXT_SHARES[model or TEXT_MODELS[0]] if feature.shipped else 1.0,
            seed=self.seed,
        )


Ask = ImageAsk | TextAsk


def objective_seconds(feature: Feature, value: Mapping[str, Any]) -> float | None:
    """Within which an answer is of use: what the flag says, else the feature; None where neither does."""
    said = value.get("objectiveSeconds")
    if isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said) and said > 0:
        return float(said)
    return feature.objective_seconds


def _model(value: Mapping[str, Any], known: Collection[str] | None) -> str:
    """The model that the flag names; '' for the engine's best, and for one that is not among those `known`."""
    said = value.get("model")
    return said if isinstance(said, str) and (known is None or said in known) else ""


def _whole(value: Mapping[str, Any], key: str, default: int, most: int) -> int:
    said = value.get(key)
    if isinstance(said, float) and said.is_integer():
        said = int(said)  # numbers may have come through a protobuf Struct
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= most:
        return default
    return said


BUILT_IN: Mapping[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(name="image-generation", api=Api.IMAGES, flag_key="image-generation", steps=8, objective_seconds=30),
        Feature(
            name="video-generation",
            api=Api.VIDEOS,
            flag_key="video-generation",
            steps=4,
            frames=8,
            objective_seconds=60,
        ),
        Feature(name="chat", api=Api.CHAT, flag_key="chat", max_tokens=64, objective_seconds=60),
    )
}
"""What `--features` may name without a configuration file."""
