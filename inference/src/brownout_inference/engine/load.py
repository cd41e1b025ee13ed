"""Which engine a model needs, and how it is made: in the engine's own process, where importing torch delays nobody.

A model is `image` or `language`, which are shipped; a folder of weights in the layout of diffusers or transformers; or `python:package.module.Class`, an engine
of your own, which is called with the spec and a `Progress` and need not use torch at all.
"""

import gc
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from brownout_inference.engine.interface import Engine, Progress

OWN = "python:"
"""What the name of an engine of one's own begins with."""

SHIPPED = ("image", "language")
"""The models that come with the server."""

BY_FILE = {
    "model_index.json": "brownout_inference.engine.diffusers:load",
    "config.json": "brownout_inference.engine.transformers:load",
}
"""What makes the engine of a folder, by a file that lies in it; the first one counts. Called with the spec and a `Progress`."""


class LoadError(Exception):
    """The model cannot be loaded; says which, what was found and what to write instead. Trying again does not help."""


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What the engine's process is told.

    `max_batch` is the most slots of a step and `places` the most whose state is kept, those of paused requests too. `max_tokens` bounds prompt and answer together, for
    models that keep a cache of them. `memory_share` of the device's memory may be used. `dtype` is a name of torch's, such as `float16`; `auto` is `bfloat16` on a GPU, else `float32`.
    """

    model: str
    device: Literal["cpu", "cuda", "auto"] = "auto"
    dtype: str = "auto"
    threads: int = 1
    max_batch: int = 4
    places: int = 8
    max_tokens: int = 2048
    memory_share: float = 0.9

    @property
    def folder(self) -> Path | None:
        """Where the weights lie, for a model that is neither shipped nor an engine of one's own."""
        return None if self.model in SHIPPED or self.model.startswith(OWN) else Path(self.model)


def load_engine(spec: EngineSpec, progress: Progress) -> Engine:
    """Makes the engine, not warmed up. Raises LoadError where the spec names nothing that can be loaded."""
    os.environ.setdefault("OMP_NUM_THREADS", str(spec.threads))
    if spec.model.startswith(OWN):
        module, _, name = spec.model.removeprefix(OWN).rpartition(".")
        progress(spec.model, 0.0)
        return _call(f"{module}:{name}", spec, progress)
    maker = None if spec.folder is None else _maker_of(spec.folder)
    progress("torch", 0.0)
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    progress("weights", 0.5)
    if spec.model == "image":
        from brownout_inference.engine.image import ImageEngine

        return ImageEngine(spec.device, spec.dtype)
    if maker is None:
        from brownout_inference.engine.text import TextEngine

        return TextEngine(spec.device, spec.dtype)
    return _call(maker, spec, progress)


@contextmanager
def without_garbage() -> Iterator[None]:
    """What is made inside stays for ever and is not searched for garbage, neither now nor later.

    Loading makes a million objects that stay. Collecting garbage meanwhile costs a sixth of the time, and looking through them ever after stops the process
    for a tenth of a second now and then.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _maker_of(folder: Path) -> str:
    if not folder.is_dir():
        raise LoadError(f"--model {str(folder)!r} is no folder; write image, language, {OWN}module.Class, or a folder")
    for name, maker in BY_FILE.items():
        if (folder / name).is_file():
            return maker
    known = " or ".join(BY_FILE)
    raise LoadError(f"--model {folder}: there is no {known} in it; write the folder of a model's weights")


def _call(path: str, spec: EngineSpec, progress: Progress) -> Engine:
    module, _, name = path.partition(":")
    if spec.model.startswith(OWN) and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        make: Callable[..., Any] = getattr(importlib.import_module(module), name)
        if spec.model.startswith(OWN):
            inspect.signature(make).bind(spec, progress)
    except SyntaxError as error:
        raise LoadError(f"--model {spec.model}: {error.filename}, line {error.lineno}: {error.msg}") from error
    except TypeError as error:
        raise LoadError(f"--model {spec.model}: {name} is called with (spec, progress): {error}") from error
    except (ImportError, AttributeError, ValueError) as error:
        shipped = module.startswith("brownout_inference.") and isinstance(error, ImportError)
        hint = "; install what folders of weights need: pip install '.[models]' in a checkout" if shipped else ""
        raise LoadError(f"--model {spec.model}: {error}{hint}") from error
    engine: Engine = make(spec, progress)
    return engine
