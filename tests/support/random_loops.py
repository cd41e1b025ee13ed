"""Random closed worlds: products of one or two features, calm that fits them, and surges that do not."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from brownout.api.policy import Restore
from brownout.api.pool import ReclaimSettings
from brownout.decide.outcome import CellKey, CellPlan, Plan
from support.build import metric, policy, pool, scaler, snapshot
from support.world import Objects, World, objects_of

CELLS = (("pro", ""), ("plus", ""), ("free", ""), ("free", "new-accounts"))
FEATURES = ("image", "video")

Rates = Mapping[tuple[str, str, str], float]
"""Requests a second by (feature, tier, cohort)."""


class Product(Struct, frozen=True, kw_only=True):
    """Two features on a workload each. `costs`: declared GPU-seconds of a request; `lies`: what it really takes of them."""

    gpus: int
    costs: Mapping[str, float]
    lies: Mapping[str, float]
    lite: float
    lowest: str
    order: str
    objective: bool
    cold_start: float
    fading: bool
    seed: int | None

    def objects(self) -> Objects:
        seen = snapshot(
            pool(
                self.gpus,
                name="demo",
                step_seconds=5,
                reclaim=ReclaimSettings(after_seconds=10, hold_seconds=60),
            ),
            *(
                scaler(
                    feature,
                    pool_name="demo",
                    least=1,
                    most=self.gpus,
                    priority=priority,
                    backlog=0.0,
                    busy=0.0,
                    order=self.order,
                    more=(metric("wait", "Objective", "5"),) if self.objective else (),
                )
                for feature, priority in zip(FEATURES, (50, 30), strict=True)
            ),
            policy(
                "image",
                variants={
                    "full": {"image": self.costs["image"]},
                    "lite": {"image": self.costs["image"] * self.lite},
                    "denied": {},
                },
                tiers={"pro": "Always", "plus": self.lowest, "free": "Auto"},
                restore=Restore(after_seconds=20, step_percent=50, step_seconds=6),
                remember_seconds=120,
            ),
            policy(
                "video",
                variants={"full": {"video": self.costs["video"]}, "denied": {}},
                tiers={"pro": "Always", "plus": "Auto", "free": "Auto"},
                shed_order=10,
                restore=Restore(after_seconds=20, step_percent=50, step_seconds=6),
                remember_seconds=120,
            ),
        )
        return objects_of(seen)

    def world(self, offered: Callable[[float], Rates], *, tick: float = 4.0, **more: Any) -> World:
        return World(
            self.objects(),
            offered,
            self.gpus,
            tick=tick,
            window=max(tick, 24.0 if self.seed is not None else tick),
            cold_start=self.cold_start,
            truth=self.lies,
            fading=self.fading,
            seed=self.seed,
            **more,
        )

    def work(self, rates: Rates) -> float:
        """GPUs that they really keep busy."""
        return sum(rate * self.costs[who[0]] * self.lies[who[0]] for who, rate in rates.items())

    def quiet(self, rates: Rates) -> Rates:
        """The same users, as many as leave most of the GPUs free; somebody asks for everything."""
        some = {who: rate + 0.01 for who, rate in rates.items()}
        fits = 0.3 * (self.gpus - 2) / self.work(some)
        return {who: rate * min(1.0, fits) for who, rate in some.items()}


products = st.builds(
    Product,
    gpus=st.integers(4, 12),
    costs=st.fixed_dictionaries({"image": st.floats(0.2, 2.0), "video": st.floats(0.5, 3.0)}),
    lies=st.fixed_dictionaries(dict.fromkeys(FEATURES, st.sampled_from([0.5, 1.0, 1.0, 2.0]))),
    lite=st.floats(0.05, 0.9),
    lowest=st.sampled_from(["full", "lite", "denied"]),
    order=st.sampled_from(["Tiered", "FIFO"]),
    objective=st.booleans(),
    cold_start=st.sampled_from([8.0, 40.0, 120.0]),
    fading=st.booleans(),
    seed=st.none() | st.integers(0, 1000),
)

loads: st.SearchStrategy[Rates] = st.fixed_dictionaries(
    {(feature, *who): st.floats(0.0, 6.0) for feature in FEATURES for who in CELLS}
)


def planned(decided: Plan) -> dict[CellKey, CellPlan]:
    return {cell.key: cell for policy in decided.policies.values() for cell in policy.cells}


def surge(quiet: Rates, loud: Rates, *, times: float) -> Rates:
    """The quiet load, and free users who all come at once."""
    return {who: rate + (loud[who] * times if who[1] == "free" else 0.0) for who, rate in quiet.items()}
