"""Plans as status: what people read, and what a restart finds."""

from typing import Any

from msgspec import structs

from brownout.api.policy import CellStatus, FeaturePolicyStatus
from brownout.api.pool import GPUPoolStatus, PoolGPUs
from brownout.api.reasons import Condition as Kind
from brownout.api.reasons import Reason
from brownout.api.scaler import InferenceScalerStatus, Reclaim
from brownout.api.schema import Condition
from brownout.decide.evidence import Missing
from brownout.decide.memory import ScalerMemory
from brownout.decide.outcome import ScalePlan, Verdict
from brownout.publish.status import (
    LONGEST_MESSAGE,
    body,
    conditions,
    override_status,
    policy_status,
    pool_status,
    scaler_status,
    tier_status,
)
from support.build import FREE, GONE, NOW, cell, named, override, policy, pool, remembered, scaler, snapshot, tick

EARLIER, LATER = "1970-01-02T03:46:00Z", "1970-01-02T03:46:40Z"
FULL = ScalerMemory(saturated=True, saturated_since=NOW - 10, excess=3.0)


def verdict(status: bool | None, message: str = "") -> Verdict:
    return Verdict(type=Kind.SATURATED, status=status, reason=Reason.SATURATED, message=message)


def stored(status: str) -> tuple[Condition, ...]:
    return (Condition(type="Saturated", status=status, reason="Saturated", last_transition_time=EARLIER),)


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    (same,) = conditions([verdict(True)], stored=stored("True"), generation=4, now=NOW)
    (turned,) = conditions([verdict(False)], stored=stored("True"), generation=4, now=NOW)

    assert (same.last_transition_time, same.observed_generation) == (EARLIER, 4)
    assert (turned.status, turned.last_transition_time) == ("False", LATER)


def test_a_condition_that_nobody_can_judge_is_unknown() -> None:
    (found,) = conditions([verdict(None)], stored=(), generation=1, now=NOW)

    assert found.status == "Unknown"


def test_a_long_message_is_cut() -> None:
    (found,) = conditions([verdict(True, "x" * 5000)], stored=(), generation=1, now=NOW)

    assert len(found.message) == LONGEST_MESSAGE


def test_what_is_not_known_is_absent() -> None:
    decided, memory = tick(snapshot(pool(), scaler(replicas=3, backlog=GONE)))
    status = scaler_status(decided.scalers[named("image")], memory.scalers[named("image")], scaler().stored, NOW)

    found = body(status)

    assert "offered" not in found["demand"]
    assert "backlog" not in found["demand"]
    assert "memory" not in found
    assert found["replicas"]["ready"] == 3


def test_a_scalers_shortfall_is_what_is_admitted_beyond_what_is_ready() -> None:
    decided, memory = tick(snapshot(pool(), scaler(replicas=2), policy(offered={"pro": 3.5})))

    found = scaler_status(decided.scalers[named("image")], memory.scalers[named("image")], scaler().stored, NOW)

    assert (found.demand.admitted, found.demand.capacity, found.demand.shortfall) == ("3.50", "2.00", "1.50")


def test_everything_that_a_scaler_must_remember_is_written() -> None:
    waiting = structs.replace(FULL, deficit_since=NOW - 10, closed_until=NOW + 600)
    decided, _ = tick(snapshot(pool(), scaler(replicas=2), policy(offered={"pro": 3.5})))

    found = scaler_status(decided.scalers[named("image")], waiting, scaler().stored, NOW).memory

    assert [name for name in found.__struct_fields__ if not getattr(found, name)] == []


def test_a_cells_line_says_what_its_users_have_and_since_when() -> None:
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 4.0, "free": 10.0}))
    decided, memory = tick(seen, remembered(cell(tier="free"), scalers={"image": FULL}))

    found = policy_status(decided.policies[named("image")], memory, policy().stored, NOW)

    free = next(line for line in found.cells if (line.tier, line.cohort) == ("free", ""))
    assert (free.variant, free.percent, free.reason, free.since) == ("full", 50, "Capacity", LATER)
    assert (free.last_shed_at, free.offered_before, free.direction) == (LATER, "10.000", "Shed")
    assert free.offered == "10.0000"
    assert found.version == 2


def test_a_cells_line_says_what_keeps_it_from_coming_back() -> None:
    shed = cell(tier="free").shed(asked=0.1, ago=30)
    seen = snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 3.5}))
    decided, memory = tick(seen, remembered(shed))

    found = policy_status(decided.policies[named("image")], memory, policy().stored, NOW)

    lines = {(line.tier, line.cohort): (line.refused_by, line.refusal) for line in found.cells}
    assert lines["free", ""] == ("Dwell", "shed 30 s ago; it stays for 120 s")
    assert lines["pro", ""] == ("", "")


def test_what_was_declared_is_not_called_learned() -> None:
    decided, _ = tick(snapshot(pool(), scaler(replicas=3)))

    def learned(*starts: float) -> tuple[int | None, int | None]:
        memory = ScalerMemory(cold_starts=starts)
        found = scaler_status(decided.scalers[named("image")], memory, scaler().stored, NOW).learned
        return found.cold_start_p50_seconds, found.cold_start_p95_seconds

    assert learned(40.0, 50.0) == (None, None)
    assert learned(40.0, 50.0, 90.0) == (50, 90)


def test_a_scalers_status_says_its_trend_and_who_gets_its_gpus() -> None:
    decided, memory = tick(snapshot(pool(), scaler(replicas=3)))
    calm = decided.scalers[named("image")]
    losing = structs.replace(calm, forecast=7, goes_to=named("chat"), keeps=2)

    def status(plan: ScalePlan) -> InferenceScalerStatus:
        return scaler_status(plan, memory.scalers[named("image")], scaler().stored, NOW)

    assert (status(losing).replicas.forecast, status(losing).reclaim) == (7, Reclaim(to="media/chat", keeps=2))
    assert (status(calm).replicas.forecast, status(calm).reclaim) == (None, Reclaim())


def test_a_pool_whose_gpus_cannot_be_read_keeps_the_number_that_it_had() -> None:
    blind = pool(10, nodes=Missing("no LIST of nodes yet"))
    before = structs.replace(blind.stored, status=GPUPoolStatus(gpus=PoolGPUs(capacity=10, limited_by="nodes")))
    decided, _ = tick(snapshot(blind, scaler(replicas=4)))

    found = pool_status(decided.pools[blind.stored.key], before, NOW)

    assert (found.gpus.capacity, found.gpus.held, found.gpus.free) == (10, 4, 6)


def test_a_tier_says_its_place_and_an_override_its_state() -> None:
    word = override(cells=["free"])
    decided, _ = tick(snapshot(pool(), scaler(), policy(offered={"pro": 1.0}), word))

    assert tier_status(decided.tiers[FREE.key], FREE, NOW).tried == 3
    found = override_status(decided.overrides[word.key], word, NOW)
    assert (found.state, found.cells) == ("Active", 2)


def test_saturation_that_is_not_known_is_absent_and_a_measured_zero_is_there() -> None:
    def written(offered: dict[str, float] | Missing) -> tuple[dict[str, Any], dict[str, Any]]:
        seen = snapshot(pool(), scaler(replicas=2), policy(offered=offered))
        decided, memory = tick(seen)
        plan = decided.scalers[named("image")]
        of_scaler = scaler_status(plan, memory.scalers[named("image")], scaler().stored, NOW)
        return body(of_scaler), body(pool_status(decided.pools[pool().stored.key], pool().stored, NOW))

    blind, its_pool = written(GONE)
    assert "saturationPercent" not in blind
    assert "demanded" not in blind["replicas"]
    assert "learned" not in blind
    assert its_pool["saturation"] == {"unknown": 1}
    seen, its_pool = written({"pro": 0.0})
    assert (seen["saturationPercent"], its_pool["saturation"]) == (0, {"percent": 0, "unknown": 0})


def test_a_workload_that_was_never_read_has_no_counts() -> None:
    unread = scaler(workload=Missing("no LIST of deployments yet"))
    decided, _ = tick(snapshot(pool(), unread))

    found = body(scaler_status(decided.scalers[named("image")], ScalerMemory(), unread.stored, NOW))

    assert "replicas" not in found
    assert "demand" not in found


def test_a_pool_whose_gpus_were_never_read_has_no_number_of_them() -> None:
    blind = pool(10, nodes=Missing("no LIST of nodes yet"))
    decided, _ = tick(snapshot(blind, scaler(replicas=4)))

    found = body(pool_status(decided.pools[blind.stored.key], blind.stored, NOW))

    assert found["gpus"] == {"granted": 4, "held": 4}
    assert found["ladder"] == {"taken": 0, "total": 0}  # no policy has a rung there: no position of none


def test_what_is_empty_is_left_out_within_lists_too() -> None:
    cells = (CellStatus(tier="free", variant="full", percent=0, message=""),)
    [cell] = body(FeaturePolicyStatus(cells=cells))["cells"]
    assert cell["percent"] == 0
    assert "" not in cell.values()
    assert None not in cell.values()
