"""What one tick hands to the next. What must outlive a restart is also in status, and is read back from there.

Losing the rest is safe by construction: a stabilization window starts filled with the replicas that are there, a dwell
counts from the cell's last change, a learned factor starts as declared.
"""

from msgspec import Struct

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.compiled import Compiled
from brownout.decide.history import History
from brownout.decide.outcome import CellKey, Level


class CellMemory(Struct, frozen=True, kw_only=True, gc=False):
    """Times in seconds; rates in requests a second. `shed_rate` is the offered rate last seen before it was shed; `rate` is
    measured since `rate_since`.
    """

    level: Level = Level(0)
    reason: Reason = Reason.SERVED
    message: str = ""
    since: float = 0.0
    last_shed_at: float | None = None
    last_step_at: float | None = None
    dwell_seconds: float = 0.0
    shed_capacity: float | None = None
    direction: str = ""
    reversals: tuple[float, ...] = ()
    rate: float | None = None
    rate_since: float | None = None
    mean_rate: float | None = None
    visible_rate: float | None = None
    admitted_rate: float | None = None
    shed_rate: float | None = None
    shed_rate_at: float = 0.0


class Change(Struct, frozen=True, gc=False):
    """A change of replicas by `delta` at a moment: what `behavior` counts."""

    at: float
    delta: int


class Recommendation(Struct, frozen=True, gc=False):
    at: float
    replicas: int


class ScaleDecided(Struct, frozen=True, kw_only=True, gc=False):
    at: float
    from_replicas: int
    to_replicas: int
    rule: Reason
    message: str


class ScalerMemory(Struct, frozen=True, kw_only=True):
    """`excess` is the integral of saturation beyond full, in seconds; `closed_until` bars reclaiming from this scaler.

    `cost_factor` is 1 as declared until `cost_learned`. `replicas` were there at the last tick. `trend` holds offered flow, `tier_trends` that of tier priorities, `admitted` the
    declared cost of what was let through.
    """

    replicas: int | None = None
    recommendations: tuple[Recommendation, ...] = ()
    needs: History = History()
    changes: tuple[Change, ...] = ()
    excess: float = 0.0
    saturated: bool = False
    saturated_since: float | None = None
    deficit_since: float | None = None
    closed_until: float = 0.0
    blind_since: float | None = None
    cost_factor: float = 1.0
    cost_error: float = 0.0
    cost_learned: bool = False
    cold_starts: tuple[float, ...] = ()
    seen_ready: tuple[str, ...] = ()
    trend: History = History()
    tier_trends: tuple[tuple[int, History], ...] = ()
    admitted: History = History()
    decisions: tuple[ScaleDecided, ...] = ()


class PoolMemory(Struct, frozen=True, kw_only=True):
    last_shed_at: float | None = None
    saturated_since: float | None = None
    last_rung: str = ""


class Memory(Struct, frozen=True, kw_only=True):
    """Immutable; a tick returns a new one. `served` is the level that users of each cell had, `versions` count its changes.

    A level counts variants: `variants` are the names of each policy's, by which it is found again when a policy is edited.
    `compiled` only saves time.
    """

    at: float | None = None
    cells: dict[CellKey, CellMemory] = {}
    scalers: dict[Key, ScalerMemory] = {}
    pools: dict[Key, PoolMemory] = {}
    served: dict[CellKey, Level] = {}
    versions: dict[Key, int] = {}
    variants: dict[Key, tuple[str, ...]] = {}
    compiled: Compiled | None = None
