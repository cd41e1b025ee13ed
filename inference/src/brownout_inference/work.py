"""What a request asks of the device, what that costs, and what comes of it.

A cost is declared, not measured: the batch advances once every `step_seconds` whatever its fill, so a request that sits in `slots` of `max_batch` places
for `steps` steps uses slots / max_batch of the device for steps x step_seconds. A smaller model or a smaller picture takes a `share` of a slot. The control
plane corrects declared costs by what it measures.

A long prompt keeps the others waiting while it is read. A step reads a bounded part of all prompts together, so that is the whole device's time, not a slot's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHARACTERS_READ_IN_A_STEP = 4096
"""A step reads a thousand tokens of prompts or so (`engine/prefill`), a token having about four characters."""


@dataclass(frozen=True, kw_only=True)
class ImageWork:
    """Pictures of what a prompt asks for; with more than one frame, a clip in which each frame grows out of the one before.

    `side` is the width and height in pixels in which the model makes them, None being the model's own; `model` names one of the engine's models, '' its
    best. `share` is what one picture takes of a slot, a picture of the best model at its own size taking a whole one.
    """

    prompt: str
    pictures: int
    frames: int
    steps_per_frame: int
    side: int | None = None
    model: str = ""
    share: float = 1.0
    seed: int | None = None

    @property
    def slots(self) -> float:
        return self.pictures * self.share

    @property
    def least_steps(self) -> int:
        return self.steps

    @property
    def reading_steps(self) -> int:
        return 0

    @property
    def steps(self) -> int:
        return self.frames * self.steps_per_frame


@dataclass(frozen=True)
class ChatTurn:
    """What was said in a conversation. `role` is OpenAI's: system, developer, user, assistant, tool or function."""

    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TextWork:
    """The continuation of a text by at most `tokens` tokens, which end early where the model ends or before the first of the texts in `stop`.

    `earlier` is what was said before the prompt, oldest first; the prompt is the user's.
    """

    prompt: str
    tokens: int
    temperature: float
    earlier: tuple[ChatTurn, ...] = ()
    stop: tuple[str, ...] = ()
    model: str = ""
    share: float = 1.0
    seed: int | None = None

    @property
    def turns(self) -> tuple[ChatTurn, ...]:
        """All of the conversation, the prompt too."""
        return (*self.earlier, ChatTurn("user", self.prompt))

    @property
    def slots(self) -> float:
        return self.share

    @property
    def steps(self) -> int:
        return self.tokens

    @property
    def least_steps(self) -> int:
        """Of a text that ends with its first token."""
        return 1

    @property
    def reading_steps(self) -> int:
        """Steps of the whole device in which the prompt is read; a short one is read beside others."""
        return sum(len(turn.text) for turn in self.turns) // CHARACTERS_READ_IN_A_STEP


Work = ImageWork | TextWork

Picture = NDArray[np.uint8]
"""The frames of one picture: (frames, height, width) of 0..255, white on black; or with 3 colours behind."""


@dataclass(frozen=True)
class Continuation:
    """A finished text. `ended` is True where the model ended it, False where the length did."""

    text: str
    ended: bool
    prompt_tokens: int
    tokens: int


def unfit(work: Work, result: object) -> str:
    """What is wrong with an engine's result for this work, in words; '' where it is as it should be."""
    if isinstance(work, TextWork):
        return "" if isinstance(result, Continuation) else f"a text is a Continuation, not {type(result).__name__}"
    if not isinstance(result, list | tuple) or len(result) != work.pictures:
        found = len(result) if isinstance(result, list | tuple) else type(result).__name__
        return f"{work.pictures} pictures are a list of as many, not {found}"
    for picture in result:
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or not _is_picture(picture.shape):
            found = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
            return f"a picture is a uint8 array (frames, height, width), or with 3 colours behind, not {found}"
        if len(picture) != work.frames:
            return f"a picture of {work.frames} frames has as many, not {len(picture)}"
    return ""


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)


def declared_gpu_seconds(work: Work, *, step_seconds: float, max_batch: int) -> float:
    """GPU-seconds of `work` in batches that are full: (slots x steps / max_batch + steps in which its prompt is read) x step_seconds."""
    return (work.slots * work.steps / max_batch + work.reading_steps) * step_seconds


def likely_steps(work: Work, *, made_share: float) -> float:
    """The steps that it takes, where texts have `made_share` of the tokens that were asked for, 0..1."""
    return max(work.least_steps, made_share * work.steps)
