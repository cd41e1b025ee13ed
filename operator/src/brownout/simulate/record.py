"""What happened in one simulated run, as arrays: what the figures and the plots are made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brownout.decide.cells import Cell

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Alone:
    """A user who was held back alone, as a `cell` of its own, beside the one in the place `of`.

    By tick, each of shape [T], as in the record: `variant` and `percent` (of the seconds), where that is less than the cell has;
    `asked`, `good` and `late`, which count in the cell as well.
    """

    cell: Cell
    of: int
    variant: Ints
    percent: Ints
    asked: Floats
    good: Floats
    late: Floats


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of one controller: T ticks, C cells, W workloads.

    Shapes [T, C], by the tick in which a user *first* asked (a retried ask counts once): `asked`; `good`, served within the
    objective; `late`, served too late; `value`, the sum over good ones of the variant's quality (0 to 1); what is left was
    refused or given up. By the tick in which it happened: `offered` attempts, `admitted` ones; `variant` and `percent`, the
    level of the cell at the end of the tick.

    Shapes [T, W]: `ready`, `held` (placed, loading included) and `pending` GPUs; `desired` replicas; `backlog` in true
    GPU-seconds; `latent`, the true flow that all users would bring at the first variant, in GPUs; `floor`, the same of the
    protected floor (Always cells at the first variant, others at `lowest`).

    Shape [T]: `gpus` of the pool; `stale`, whether metrics could not be had; `writes`, changes of replicas or levels.
    `restarts`: seconds of the controller's restarts. By user: `user_cell`, `user_asked`, `user_good`.
    `alone`: those who were ever held back alone, whom the levels of cells do not tell of.
    """

    scenario: str
    controller: str
    seed: int
    tick_seconds: float
    cells: tuple[Cell, ...]
    workloads: tuple[str, ...]
    asked: Floats
    good: Floats
    late: Floats
    value: Floats
    offered: Floats
    admitted: Floats
    variant: Ints
    percent: Ints
    ready: Floats
    held: Floats
    pending: Floats
    desired: Ints
    backlog: Floats
    latent: Floats
    floor: Floats
    gpus: Floats
    stale: npt.NDArray[np.bool_]
    writes: Ints
    pods_created: int
    restarts: tuple[float, ...]
    user_cell: Ints
    user_asked: Ints
    user_good: Ints
    alone: tuple[Alone, ...] = ()
