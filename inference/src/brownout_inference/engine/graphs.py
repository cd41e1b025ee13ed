"""CUDA graphs: a network's kernels recorded once for each shape and then started by one call.

Decoding one token launches hundreds of kernels that each last microseconds; started one by one from Python they take longer than they run. A graph always
reads and writes the same memory, so inputs are copied to where it reads, and what it returns stands only until the next call. All graphs share one
pool of memory, for only one runs at a time. https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UPS = 2
"""Runs before the recording: libraries choose their kernels and take their workspaces in the first."""


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[Tensor]
    outputs: Any


class Graphs:
    """Runs functions of tensors, on a GPU by graphs; elsewhere, or with `enabled` False, just so."""

    def __init__(self, device: torch.device, *, enabled: bool = True) -> None:
        self._enabled = enabled and device.type == "cuda"
        self._recorded: dict[Hashable, _Recorded | None] = {}
        self._asked: Counter[Hashable] = Counter()
        self._pool: Any = None

    @property
    def enabled(self) -> bool:
        """Whether graphs are used at all: only then is padding to fewer shapes worth it."""
        return self._enabled

    def __len__(self) -> int:
        return sum(recorded is not None for recorded in self._recorded.values())

    def forget(self) -> None:
        """Drops every recording, and the memory that they hold."""
        self._recorded.clear()
        self._pool = None

    def run(self, key: Hashable, function: Callable[..., Any], inputs: Sequence[Tensor], *, after: int = 0) -> Any:
        """`function(*inputs)`. `key` stands for the function and for everything besides the inputs' values that it depends on, shapes included.

        A function that cannot be recorded (it looks at values on the way) runs as it is, and that is said once in the log.
        The first runs, so many as `after` says, are made without a recording.
        """
        if not self._enabled:
            return function(*inputs)
        if key not in self._recorded:
            if self._asked[key] < after:
                self._asked[key] += 1
                return function(*inputs)
            self._recorded[key] = self._record(key, function, inputs)
        recorded = self._recorded[key]
        if recorded is None:
            return function(*inputs)
        for mine, given in zip(recorded.inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        recorded.graph.replay()
        return recorded.outputs

    def _record(self, key: Hashable, function: Callable[..., Any], inputs: Sequence[Tensor]) -> _Recorded | None:
        mine = [given.clone() for given in inputs]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                function(*mine)
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = function(*mine)
        except RuntimeError as error:  # no memory for the recording among them
            log.warning("no CUDA graph of %s, it runs without: %s", key, str(error).splitlines()[0])
            return None
        return _Recorded(graph, mine, outputs)
