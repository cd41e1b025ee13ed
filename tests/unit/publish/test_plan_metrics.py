"""What the last plan says of each object, as metrics."""

from typing import Any

import pytest
from msgspec import structs

from brownout.api.override import FeatureOverrideSpec
from brownout.api.policy import TierEntry
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.api.schema import Ref
from brownout.decide.cells import FIRST
from brownout.decide.memory import CellMemory, Memory
from brownout.decide.outcome import CellKey, CellPlan, Level, ObjectPlan, Plan, PolicyPlan, PoolPlan, ScalePlan
from brownout.decide.snapshot import Audience, Policy, Scaler, Snapshot, Workload
from brownout.publish.metrics import Metrics
from brownout.publish.plan_metrics import shares
from support.operator_builders import policy, scaler, stored

IMAGES, IMAGE = Key("media", "images"), Key("media", "image")
FREE = CellKey(IMAGES, Audience("free", "new"))
TIERS = (
    TierEntry(tier_ref=Ref(name="pro"), availability="Always"),
    TierEntry(tier_ref=Ref(name="free"), availability="Auto"),
)


def cell(key: CellKey = FREE, *, level: Level = FIRST, before: Level | None = None, **more: Any) -> CellPlan:
    """A cell's decision."""
    fields = {"reason": Reason.SERVED, "message": "", "since": 0.0, "variant_name": ""} | more
    return CellPlan(key=key, level=level, previous=level if before is None else before, **fields)


def seen(*cells: CellPlan, memory: Memory | None = None, into: Metrics | None = None, at: float = 0.0) -> Metrics:
    """Metrics that saw a plan with these cells of a policy."""
    metrics = into or Metrics()
    plan = Plan(at=at, policies={IMAGES: PolicyPlan(key=IMAGES, cells=cells, version=1, summary="")})
    known = policy(tiers=TIERS)
    known = structs.replace(known, spec=structs.replace(known.spec, flag_key="imageGeneration"))
    metrics.show(Snapshot(policies={IMAGES: Policy(stored=known, offered={}, admitted={})}), plan, memory or Memory())
    return metrics


def test_a_cell_says_what_it_was_promised_why_it_has_what_it_has_and_what_it_waits_for() -> None:
    metrics = seen(cell(level=Level(1), reason=Reason.CAPACITY, refused_by=Reason.DWELL))
    assert metrics.registry.get_sample_value(
        "brownout_cell_info",
        {
            **{"namespace": "media", "feature": "images", "tier": "free", "cohort": "new"},
            **{"flag": "imageGeneration", "availability": "Auto", "reason": "Capacity", "refused_by": "Dwell"},
        },
    )


@pytest.mark.parametrize(
    ("decided", "users_have"),
    [
        (cell(), {"full": 1.0}),
        (cell(level=Level(0, 35)), {"full": 0.35, "denied": 0.65}),
        (cell(level=Level(1)), {"denied": 1.0}),
        (cell(reason=Reason.PLAN), {"denied": 1.0}),
        (cell(reason=Reason.OVERRIDE, overridden_to="denied"), {"denied": 1.0}),
        (cell(level=Level(1), reason=Reason.OVERRIDE, overridden_to="full"), {"full": 1.0}),
    ],
    ids=["served", "split", "denied", "not in the plan", "taken by a person", "given by a person"],
)
def test_the_shares_are_what_users_have_and_not_what_the_loop_would_give(
    decided: CellPlan, users_have: dict[str, float]
) -> None:
    assert dict(shares(decided, Policy(stored=policy(tiers=TIERS), offered={}, admitted={}))) == users_have


def test_steps_down_and_up_are_counted_from_0_on() -> None:
    metrics = seen(cell())
    at = {"namespace": "media", "feature": "images"}

    def flips(direction: str) -> float | None:
        return metrics.registry.get_sample_value("brownout_cell_flips_total", {**at, "direction": direction})

    assert (flips("shed"), flips("restored")) == (0, 0)
    seen(cell(level=Level(0, 50), before=FIRST), into=metrics)
    seen(cell(level=Level(1), before=Level(0, 50)), into=metrics)
    seen(cell(level=Level(0, 50), before=Level(1)), into=metrics)
    assert (flips("shed"), flips("restored")) == (2, 1)


def test_reversals_are_those_of_the_last_hour() -> None:
    memory = Memory(cells={FREE: CellMemory(reversals=(100.0, 3000.0, 3500.0))})
    page = seen(cell(), memory=memory, at=3800.0).page().decode()
    assert 'brownout_cell_reversals{cohort="new",feature="images",namespace="media",tier="free"} 2.0' in page


def test_a_user_who_is_held_back_alone_is_in_no_metric_of_cells() -> None:
    alone = CellKey(IMAGES, Audience("free", "new", "ana"))
    page = seen(cell(), cell(alone, level=Level(1), before=FIRST)).page().decode()
    assert "ana" not in page
    assert 'direction="shed",feature="images",namespace="media"} 0.0' in page


def test_overrides_in_force_have_a_beginning_and_an_end_and_others_have_none() -> None:
    def override(name: str) -> Any:
        spec = FeatureOverrideSpec(
            policy_ref=Ref(name="images"), variant="denied", expire_time="1970-01-01T01:00:00Z", reason="a test"
        )
        return structs.replace(stored(spec, None, name), created_at=60.0)

    overrides = {Key("media", name): override(name) for name in ("incident", "older")}
    states = {"incident": "Active", "older": "Superseded"}
    metrics = Metrics()
    metrics.show(
        Snapshot(overrides=overrides),
        Plan(at=0.0, overrides={key: ObjectPlan(key=key, state=states[key.name]) for key in overrides}),
        Memory(),
    )
    page = metrics.page().decode()
    at = '{feature="images",namespace="media",override="incident",variant="denied"}'
    assert f"brownout_override_start_timestamp_seconds{at} 60.0" in page
    assert f"brownout_override_end_timestamp_seconds{at} 3600.0" in page
    assert "older" not in page


def test_a_scaler_names_its_pool_its_rule_and_whether_it_is_saturated_as_does_its_pool() -> None:
    decided = ScalePlan(
        key=IMAGE, current=1, replicas=1, write=False, rule=Reason.POOL_EXHAUSTED, message="", saturated=True
    )
    pool = PoolPlan(
        key=Key("", "h100"),
        capacity=8,
        limited_by="",
        granted=8,
        held=8,
        saturation_percent=146,
        saturated_since=1.0,
    )
    metrics = Metrics()
    metrics.show(
        Snapshot(scalers={IMAGE: Scaler(stored=scaler(), workload=Workload(replicas=1, gpus_per_replica=1))}),
        Plan(at=0.0, scalers={IMAGE: decided}, pools={Key("", "h100"): pool}),
        Memory(),
    )
    page = metrics.page().decode()
    assert 'brownout_scaler_info{mode="Auto",namespace="media",pool="h100",scaler="image"} 1.0' in page
    assert 'brownout_scaler_rule{namespace="media",rule="PoolExhausted",scaler="image"} 1.0' in page
    assert 'brownout_scaler_saturated{namespace="media",scaler="image"} 1.0' in page
    assert 'brownout_pool_saturation_ratio{pool="h100"} 1.46' in page
    assert 'brownout_pool_saturated{pool="h100"} 1.0' in page


def test_the_process_shows_its_memory() -> None:
    resident = Metrics().registry.get_sample_value("process_resident_memory_bytes")
    assert resident is not None
    assert resident > 0
