"""What one tick decides, as values. Whoever carries a plan out decides nothing.

There are tens of thousands of these values, and no cycles among them; `gc=False` keeps the garbage collector from looking at
each of them over and over.
"""

from msgspec import Struct

from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.decide.snapshot import Audience


class CellKey(Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """Feature x tier x cohort: the unit that is shed or restored."""

    policy: Key
    audience: Audience

    def __str__(self) -> str:
        return f"{self.policy.name} for {self.audience}"


class Level(Struct, frozen=True, gc=False):
    """Where a cell sits: `percent` of its users on the variant with this index, the others on the next one.

    Index 0 is the best variant. The lowest level of a variant that has a next one is 1 percent; 100 is all of them.
    """

    variant: int
    percent: int = 100

    @property
    def depth(self) -> tuple[int, int]:
        """How far down: the greater, the less users have."""
        return (self.variant, -self.percent)


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """One condition of one object: what is true of it, why, and in what words."""

    type: Condition
    status: bool | None
    reason: Reason
    message: str = ""


class FlowView(Struct, frozen=True, kw_only=True, gc=False):
    """Demand of a scaler in GPU-seconds a second; `backlog` in GPU-seconds; None where it is not known."""

    offered: float | None = None
    admitted: float | None = None
    backlog: float | None = None
    capacity: float | None = None
    leading_metric: str = ""


class ScalePlan(Struct, frozen=True, kw_only=True, gc=False):
    """A scaler's decision. `current` is what the target's spec says; `write` whether /scale is to be patched to `replicas`.

    `forecast`: replicas by the trend. `goes_to`: who is short of its share, and gets what is beyond `keeps`. What is not known is
    None. `unread`: the workload cannot be read, and the counts are those that were last said.
    """

    key: Key
    current: int
    replicas: int
    write: bool
    rule: Reason
    message: str
    ready: int | None = None
    coming: int | None = None
    demanded: int | None = None
    obtainable: int | None = None
    floor: int | None = None
    limited_by: str = ""
    flow: FlowView = FlowView()
    saturation_percent: int | None = None
    saturated: bool = False
    coming_ready_at: float | None = None
    forecast: int | None = None
    unread: bool = False
    goes_to: Key | None = None
    keeps: int = 0
    verdicts: tuple[Verdict, ...] = ()


class CellPlan(Struct, frozen=True, kw_only=True, gc=False):
    """A cell's decision: what it is to be on, what it was on, which rule decided and on what numbers.

    `refused_by`: the rule that keeps it from coming back now, `refusal` its sentence.
    """

    key: CellKey
    level: Level
    previous: Level
    variant_name: str
    reason: Reason
    message: str
    since: float
    expected_return: float | None = None
    refused_by: Reason | None = None
    refusal: str = ""
    overridden_to: str = ""

    @property
    def changed(self) -> bool:
        return self.level != self.previous


class PolicyPlan(Struct, frozen=True, kw_only=True):
    """A policy's cells in the order of its tiers; `version` rises when what is served changes."""

    key: Key
    cells: tuple[CellPlan, ...]
    version: int
    summary: str
    verdicts: tuple[Verdict, ...] = ()


class HolderView(Struct, frozen=True, kw_only=True, gc=False):
    scaler: Key
    gpus: int
    ready: int
    coming: int


class PoolPlan(Struct, frozen=True, kw_only=True):
    """GPUs: `capacity` to be had (None: unknown), `granted` to scalers by this plan, `held` by their pods now.

    `saturation_percent` is the worst of its scalers' that are known (None: none is), `saturation_unknown` counts the others.
    """

    key: Key
    capacity: int | None
    limited_by: str
    granted: int
    held: int
    holders: tuple[HolderView, ...] = ()
    saturation_percent: int | None = None
    saturation_unknown: int = 0
    saturated_by: str = ""
    saturated_since: float | None = None
    saturation_message: str = ""
    rungs_taken: int = 0
    rungs_total: int = 0
    next_rung: str = ""
    last_rung: str = ""
    verdicts: tuple[Verdict, ...] = ()


class ObjectPlan(Struct, frozen=True, kw_only=True):
    """What is said of a tier or an override."""

    key: Key
    verdicts: tuple[Verdict, ...] = ()
    tried: int = 0
    state: str = ""
    cells: int = 0


class Note(Struct, frozen=True, kw_only=True, gc=False):
    """A changed decision, in words, for an Event on the object it is about."""

    kind: str
    key: Key
    reason: Reason
    message: str
    warning: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """All decisions of one tick."""

    at: float
    scalers: dict[Key, ScalePlan] = {}
    policies: dict[Key, PolicyPlan] = {}
    pools: dict[Key, PoolPlan] = {}
    tiers: dict[Key, ObjectPlan] = {}
    overrides: dict[Key, ObjectPlan] = {}
    notes: tuple[Note, ...] = ()
