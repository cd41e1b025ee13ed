"""How replicas go down, and how fast they change: the rules of this loop first, then windows and rates as autoscaling/v2."""

import pytest
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.scaler import Behavior, ScalingPolicy, ScalingRules
from brownout.decide.demand import Demand, Flow
from brownout.decide.memory import Change, Recommendation, ScalerMemory
from brownout.decide.scale import Lowering, limited, may_lower, note_replicas, stabilized
from brownout.decide.snapshot import Workload
from brownout.decide.view import ScalerView, supply_of
from support.build import NOW, pods, scaler

USUAL = Behavior()


def lowering(
    *,
    to: int,
    load: float | None = 4.0,
    backlog: float | None = None,
    ready: int = 10,
    coming: int = 0,
    shed: tuple[str, ...] = (),
    restore_percent: int = 90,
    target_percent: int = 80,
) -> Lowering:
    asked = scaler(replicas=ready + coming, target_percent=target_percent)
    there = Workload(replicas=ready + coming, gpus_per_replica=1, pods=pods(ready, coming=coming))
    flow = None if load is None else Flow(load)
    view = ScalerView(
        scaler=asked,
        supply=supply_of(there, asked.stored.spec, ScalerMemory(), now=NOW),
        demand=Demand(offered=flow, admitted=flow, backlog=backlog),
        memory=ScalerMemory(),
    )
    return Lowering(view=view, to=to, shed=shed, restore_percent=restore_percent)


def objection(proposal: Lowering) -> Reason | None:
    found = may_lower(proposal)
    return None if found is None else found.reason


# --- who holds replicas up


def test_replicas_stay_until_own_features_are_back() -> None:
    found = may_lower(lowering(to=5, shed=("image for free has lite",)))

    assert found is not None
    assert found.reason is Reason.OWN_CELLS_SHED
    assert found.message == "replicas stay until its own features are back: image for free has lite"


def test_replicas_beyond_what_all_of_its_features_need_do_not_wait_for_them() -> None:
    """They may be away for long because another workload of theirs is short."""
    shed = ("image for free has lite",)

    assert objection(structs.replace(lowering(to=5, shed=shed), for_all=5.0)) is None
    assert objection(structs.replace(lowering(to=5, shed=shed), for_all=5.1)) is Reason.OWN_CELLS_SHED
    assert (
        objection(structs.replace(lowering(to=5, ready=4, coming=6, shed=shed), for_all=5.0)) is Reason.OWN_CELLS_SHED
    )


def test_replicas_go_where_the_survivors_carry_all_of_it() -> None:
    assert objection(lowering(to=5)) is None
    assert objection(lowering(to=4)) is Reason.SURVIVORS_CANNOT_CARRY


def test_replicas_that_are_coming_do_not_carry_anything_yet() -> None:
    assert objection(lowering(to=6, ready=4, coming=6)) is Reason.SURVIVORS_CANNOT_CARRY


def test_a_backlog_is_carried_as_well() -> None:
    assert objection(lowering(to=5, backlog=5.0)) is None
    assert objection(lowering(to=5, backlog=60.0)) is Reason.SURVIVORS_CANNOT_CARRY


def test_all_may_go_where_nobody_asks() -> None:
    assert objection(lowering(to=0, load=0.0)) is None


def test_a_restore_percent_below_the_planned_utilisation_does_not_hold_replicas_up_for_ever() -> None:
    """Planned 80 % full, given back below 60 %: the survivors are always fuller than that."""
    assert objection(lowering(to=5, restore_percent=60)) is None
    assert objection(lowering(to=4, restore_percent=60)) is Reason.SURVIVORS_CANNOT_CARRY


def test_without_a_flow_the_windows_and_rates_decide() -> None:
    assert objection(lowering(to=1, load=None, backlog=900.0)) is None


# --- the stabilization window


def behavior(*, down: int | None = None, up: int | None = None, **rules: ScalingRules) -> Behavior:
    return Behavior(
        scale_down=rules.get("scale_down", ScalingRules(stabilization_window_seconds=down)),
        scale_up=rules.get("scale_up", ScalingRules(stabilization_window_seconds=up)),
    )


def wanted(*steps: tuple[float, int], current: int, of: Behavior = USUAL) -> int:
    """The recommendation after the loop wanted so many at these moments."""
    memory, result = ScalerMemory(), current
    for at, replicas in steps:
        result, memory = stabilized(memory, wanted=replicas, current=current, behavior=of, now=at)
    return result


def test_down_only_to_the_highest_number_of_the_window() -> None:
    assert wanted((0, 10), (100, 6), (200, 4), (299, 3), current=10) == 10
    assert wanted((0, 10), (100, 6), (200, 4), (301, 3), current=10) == 6
    assert wanted((0, 10), (100, 6), (200, 4), (401, 3), current=10) == 4


def test_the_window_starts_filled_with_the_replicas_that_are_there() -> None:
    assert wanted((0, 1), (200, 1), current=10) == 10
    assert wanted((0, 1), (200, 1), (301, 1), current=10) == 1


def test_a_loop_that_was_away_for_longer_than_the_window_lowers_nothing_at_once() -> None:
    assert wanted((0, 1), (4000, 1), current=10) == 10


def test_the_window_of_autoscaling_v2_is_five_minutes_down_and_none_up() -> None:
    assert wanted((0, 2), (1, 9), current=2) == 9
    assert wanted((0, 9), (299, 2), current=9) == 9


def test_a_window_of_nothing_lowers_at_once() -> None:
    assert wanted((0, 1), current=5, of=behavior(down=0)) == 1


def test_up_only_to_the_lowest_number_of_its_window() -> None:
    assert wanted((0, 2), (30, 9), current=2, of=behavior(up=60)) == 2
    assert wanted((0, 2), (30, 9), (61, 7), current=2, of=behavior(up=60)) == 7


def test_a_long_run_of_one_number_takes_no_room() -> None:
    memory = ScalerMemory()
    for second in range(0, 1000, 2):
        _, memory = stabilized(memory, wanted=5, current=5, behavior=USUAL, now=float(second))

    assert len(memory.recommendations) <= 3


@pytest.mark.parametrize("window", [10, 60, 300])
def test_a_compacted_history_answers_as_the_whole_one_would(window: int) -> None:
    numbers = [5, 5, 5, 8, 8, 3, 3, 3, 3, 9, 2, 2, 2, 2, 2, 6, 6, 1, 1, 1, 1, 1, 1, 1]
    memory, whole = ScalerMemory(), [(0.0, 20)]
    for i, number in enumerate(numbers):
        now = 7.0 * i
        whole.append((now, number))
        result, memory = stabilized(memory, wanted=number, current=20, behavior=behavior(down=window), now=now)
        assert result == max(n for at, n in whole if now - at < window or at == now)


# --- how fast


def allowed(current: int, to: int, *, of: Behavior = USUAL, changes: tuple[Change, ...] = ()) -> int:
    return limited(ScalerMemory(changes=changes), wanted=to, current=current, behavior=of, now=NOW)


def policies(*rates: tuple[str, int, int], select: str = "Max") -> ScalingRules:
    return ScalingRules(
        select_policy=select,  # type: ignore[arg-type]
        policies=tuple(ScalingPolicy(type=kind, value=value, period_seconds=period) for kind, value, period in rates),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("current", "most"), [(0, 4), (1, 5), (4, 8), (10, 20)])
def test_by_default_up_by_four_or_by_doubling_whatever_is_more(current: int, most: int) -> None:
    assert allowed(current, 100) == most


def test_by_default_down_at_once() -> None:
    assert allowed(50, 0) == 0


def test_what_was_added_in_the_period_counts() -> None:
    assert allowed(8, 100, changes=(Change(NOW - 5, 4),)) == 8
    assert allowed(8, 100, changes=(Change(NOW - 15, 4),)) == 16


def test_what_was_taken_in_the_period_counts_the_other_way() -> None:
    """From 10 down to 4 and up again: the period began with 10."""
    assert allowed(4, 100, changes=(Change(NOW - 5, -6),)) == 20


@pytest.mark.parametrize(("select", "most"), [("Max", 13), ("Min", 11), ("Disabled", 10)])
def test_select_policy_up(select: str, most: int) -> None:
    up = behavior(scale_up=policies(("Pods", 3, 60), ("Percent", 10, 60), select=select))

    assert allowed(10, 100, of=up) == most


@pytest.mark.parametrize(("select", "least"), [("Max", 5), ("Min", 8), ("Disabled", 10)])
def test_select_policy_down(select: str, least: int) -> None:
    down = behavior(scale_down=policies(("Pods", 2, 60), ("Percent", 50, 60), select=select))

    assert allowed(10, 0, of=down) == least


def test_a_percentage_rounds_towards_the_change() -> None:
    assert allowed(11, 100, of=behavior(scale_up=policies(("Percent", 1, 60)))) == 12
    assert allowed(11, 0, of=behavior(scale_down=policies(("Percent", 1, 60)))) == 10


def test_a_percentage_of_nothing_starts_with_one() -> None:
    assert allowed(0, 100, of=behavior(scale_up=policies(("Percent", 100, 15)))) == 1


def test_the_period_of_each_policy_counts_by_itself() -> None:
    up = behavior(scale_up=policies(("Pods", 2, 10), ("Pods", 6, 60), select="Min"))

    assert allowed(6, 100, of=up, changes=(Change(NOW - 30, 2), Change(NOW - 20, 2))) == 8
    assert allowed(8, 100, of=up, changes=(Change(NOW - 30, 2), Change(NOW - 20, 2), Change(NOW - 12, 2))) == 8


def test_no_change_is_never_limited() -> None:
    assert allowed(7, 7, of=behavior(scale_up=policies(("Pods", 1, 60), select="Disabled"))) == 7


def test_a_change_counts_once_it_happened_whoever_made_it() -> None:
    first = note_replicas(ScalerMemory(), replicas=4, now=NOW, behavior=USUAL)
    raised = note_replicas(first, replicas=8, now=NOW + 2, behavior=USUAL)

    assert first.changes == ()
    assert raised.changes == (Change(NOW + 2, 4),)


def test_a_write_that_did_not_succeed_takes_nothing_from_the_next_one() -> None:
    """Two pods in half an hour, and the first write fails: the second is not half an hour later."""
    slow = behavior(scale_up=policies(("Pods", 2, 1800)))
    memory = note_replicas(ScalerMemory(), replicas=4, now=NOW, behavior=slow)
    assert limited(memory, wanted=9, current=4, behavior=slow, now=NOW) == 6

    failed = note_replicas(memory, replicas=4, now=NOW + 2, behavior=slow)

    assert limited(failed, wanted=9, current=4, behavior=slow, now=NOW + 2) == 6


def test_changes_are_kept_for_as_long_as_a_policy_counts_them() -> None:
    slow = behavior(scale_up=policies(("Pods", 2, 600)))
    changed = structs.replace(ScalerMemory(replicas=4), changes=(Change(NOW - 599, 1), Change(NOW - 601, 1)))

    assert note_replicas(changed, replicas=4, now=NOW, behavior=slow).changes == (Change(NOW - 599, 1),)
    assert note_replicas(changed, replicas=4, now=NOW, behavior=USUAL).changes == ()


def test_recommendations_say_when_and_how_many() -> None:
    _, memory = stabilized(ScalerMemory(), wanted=3, current=5, behavior=USUAL, now=NOW)

    assert memory.recommendations == (Recommendation(NOW, 5), Recommendation(NOW, 3))
