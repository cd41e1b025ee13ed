"""What was seen while the demo ran, as plain values. Times are seconds from the start of the load."""

from dataclasses import dataclass, field
from typing import Any, Literal

from brownout_demo.schedule import Group

Ending = Literal["served", "refused", "failed"]


@dataclass(frozen=True)
class Outcome:
    """One user's request: when it was sent, how it ended, and after how many seconds. `variant` is what was served."""

    at: float
    group: Group
    ending: Ending
    seconds: float
    variant: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Flip:
    """A cell's change, as the policy's status told it. `from_percent` and `percent` are shares on the variant."""

    at: float
    feature: str
    tier: str
    cohort: str
    from_variant: str
    from_percent: int
    to_variant: str
    percent: int
    down: bool
    reason: str
    message: str

    @property
    def cell(self) -> tuple[str, str, str]:
        return (self.feature, self.tier, self.cohort)


@dataclass(frozen=True)
class Scaling:
    """One decision about replicas, as the scaler's status told it. `own_cells_shed` says whether its features were all back."""

    at: float
    scaler: str
    from_replicas: int
    to_replicas: int
    rule: str
    message: str
    own_cells_shed: bool


@dataclass(frozen=True)
class ScalerMoment:
    """One workload at one moment; what is not known is None."""

    name: str
    ready: int | None
    coming: int | None
    desired: int | None
    demanded: int | None
    saturation_percent: int | None
    why: str


@dataclass(frozen=True)
class CellMoment:
    """One cell at one moment; `shed_order` and the rest are its place on the ladder."""

    feature: str
    tier: str
    cohort: str
    variant: str
    percent: int
    whole: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Moment:
    """The cluster at one moment, as kubectl shows it; what is not known is None."""

    at: float
    gpus: int | None
    held: int | None
    saturation_percent: int | None
    saturated: bool
    ladder: str
    scalers: tuple[ScalerMoment, ...]
    cells: tuple[CellMoment, ...]


@dataclass
class Record:
    """Everything that was seen."""

    minutes: float
    outcomes: list[Outcome] = field(default_factory=list)
    flips: list[Flip] = field(default_factory=list)
    scalings: list[Scaling] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    versions: dict[str, Any] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
