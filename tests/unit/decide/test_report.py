"""The plan in words: every decision with its rule and its numbers; conditions; a note for each change."""

from typing import Any

from msgspec import structs

from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerStatus, ReplicaCounts
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory, PoolMemory
from brownout.decide.outcome import Plan, Verdict
from brownout.decide.snapshot import Pool, Snapshot
from support.build import (
    FREE,
    FULL,
    GONE,
    NOW,
    PRO,
    TWO,
    cell,
    cell_of,
    named,
    override,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
)

POOL = Key("", "gpus")
OFFERED = {"pro": 4.0, "plus": 4.0, "free": 4.0, "free/new-accounts": 2.0}


def overloaded(mode: Any = "Auto", *, gpus: Pool | None = None) -> Snapshot:
    return snapshot(gpus or pool(10), scaler(replicas=10, most=10), policy(mode=mode, offered=OFFERED))


def shedding(mode: Any = "Auto") -> Plan:
    return tick(overloaded(mode), remembered(scalers={"image": FULL}))[0]


def verdict(verdicts: tuple[Verdict, ...], kind: Condition) -> Verdict:
    return next(v for v in verdicts if v.type is kind)


# --- cells and policies


def test_a_cell_says_why_and_on_what_numbers_it_was_shed() -> None:
    new = cell_of(shedding(), "image", "free/new-accounts")

    assert (new.variant_name, new.reason, new.changed, new.since) == ("lite", Reason.CAPACITY, True, NOW)
    assert new.message == "image is 126 % full: 14.0 GPUs of load on 10 ready GPUs"


def test_a_policy_says_in_one_line_what_is_taken_from_whom() -> None:
    found = shedding().policies[named("image")]

    assert found.summary == "free/new-accounts: lite; free: full for 25 %, lite for the rest"
    assert verdict(found.verdicts, Condition.SHEDDING).message == "2 of 4 cells have less than full"


def test_a_policy_of_which_nothing_is_taken_says_all() -> None:
    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0})))

    found = decided.policies[named("image")]
    assert found.summary == "all"
    assert verdict(found.verdicts, Condition.SHEDDING).status is False
    assert found.version == 1


def test_cells_are_in_the_order_of_their_tiers_cohorts_before_the_rest() -> None:
    found = shedding().policies[named("image")]

    assert [str(c.key.audience) for c in found.cells] == ["pro", "plus", "free/new-accounts", "free"]


def test_the_version_rises_only_when_what_is_served_changes() -> None:
    seen = overloaded()
    first, memory = tick(seen, remembered(scalers={"image": FULL}))
    second, _ = tick(seen, memory, now=NOW + 2)

    assert first.policies[named("image")].version == 2
    assert second.policies[named("image")].version == 2


def test_the_first_change_after_a_restart_raises_the_version_as_well() -> None:
    restarted = Memory(scalers={named("image"): FULL}, versions={named("image"): 41})

    assert tick(overloaded(), restarted)[0].policies[named("image")].version == 42


def test_an_override_changes_what_is_served() -> None:
    seen = snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}))
    _, memory = tick(seen)

    decided, _ = tick(
        snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}), override()), memory, now=NOW + 2
    )

    found = decided.policies[named("image")]
    assert found.version == 2
    assert found.summary == "pro: denied; plus: denied; free/new-accounts: denied; free: denied"
    assert verdict(found.verdicts, Condition.OVERRIDDEN).status


def test_a_cell_says_when_it_is_expected_back() -> None:
    shed = cell(tier="free").shed(asked=0.1, ago=30)
    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 3.5})), remembered(shed))

    found = cell_of(decided, "image", "free")
    assert found.expected_return == NOW - 30 + 120
    assert (found.reason, found.message) == (Reason.CAPACITY, "image was full")


def test_a_cell_says_which_rule_of_the_gate_keeps_it_from_coming_back() -> None:
    shed = cell(tier="free").shed(asked=0.1, ago=30)
    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 3.5})), remembered(shed))

    found = cell_of(decided, "image", "free")
    assert (found.refused_by, found.refusal) == (Reason.DWELL, "shed 30 s ago; it stays for 120 s")
    assert cell_of(decided, "image", "pro").refused_by is None


def test_a_cell_under_a_persons_word_is_not_refused_by_the_gate() -> None:
    shed = cell(tier="free").shed(asked=0.1, ago=30)
    seen = snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}), override(cells=["free"]))
    decided, _ = tick(seen, remembered(shed))

    assert cell_of(decided, "image", "free").refused_by is None


def test_missing_demand_is_a_condition_of_the_policy_that_asks_for_it() -> None:
    blind = snapshot(pool(), scaler(replicas=4), policy(offered=GONE), policy("video", offered={"pro": 1.0}))

    decided, _ = tick(blind)

    image, video = decided.policies[named("image")], decided.policies[named("video")]
    assert verdict(image.verdicts, Condition.METRICS_AVAILABLE).message == GONE.message
    assert verdict(image.verdicts, Condition.HELD).status
    assert verdict(video.verdicts, Condition.METRICS_AVAILABLE).status


def test_stale_demand_is_missing_demand() -> None:
    decided, _ = tick(snapshot(pool(), scaler(), policy(offered={"pro": 1.0}, at=NOW - 61)))

    assert verdict(decided.policies[named("image")].verdicts, Condition.METRICS_AVAILABLE).status is False


def test_a_policy_without_a_cell_says_only_whether_it_is_ready() -> None:
    decided, _ = tick(snapshot(pool(), scaler(), policy(tiers={"gold": "Auto"})))

    assert [v.type for v in decided.policies[named("image")].verdicts] == [Condition.READY]


# --- mode Advise


def test_advise_changes_nothing_and_says_what_it_would_do() -> None:
    decided = shedding("Advise")

    new, rest = cell_of(decided, "image", "free/new-accounts"), cell_of(decided, "image", "free")
    assert not new.changed
    assert (new.variant_name, new.reason) == ("full", Reason.ADVISE)
    assert new.message == "mode: Advise; would go to lite"
    assert rest.message == "mode: Advise; would go to full for 25 %, lite for the rest"
    assert decided.policies[named("image")].summary == "all"
    assert not [note for note in decided.notes if note.kind == "FeaturePolicy"]


def test_advice_goes_as_far_down_as_the_loop_would() -> None:
    deep = snapshot(pool(10), scaler(replicas=10, most=10), policy(mode="Advise", offered={"free/new-accounts": 38.0}))

    decided, _ = tick(deep, remembered(scalers={"image": FULL}))

    assert cell_of(decided, "image", "free/new-accounts").message == "mode: Advise; would go to lite"
    deeper = snapshot(
        pool(10), scaler(replicas=10, most=10), policy(mode="Advise", offered={"free/new-accounts": 90.0})
    )
    decided, _ = tick(deeper, remembered(scalers={"image": FULL}))
    assert (
        cell_of(decided, "image", "free/new-accounts").message
        == "mode: Advise; would go to lite for 50 %, denied for the rest"
    )


def test_advice_does_not_wait_for_the_steps_of_others() -> None:
    """It would come and go with every step that the pool takes elsewhere."""
    stepped = Memory(at=NOW - 2, scalers={named("image"): FULL}, pools={POOL: PoolMemory(last_shed_at=NOW - 1)})

    assert cell_of(tick(overloaded("Advise"), stepped)[0], "image", "free/new-accounts").reason is Reason.ADVISE


def test_advice_relieves_nobody() -> None:
    """Cells of a policy in mode Advise stand first on the ladder and lose nothing: the others do."""
    advised = policy("video", variants=TWO, shed_order=1, mode="Advise", offered={"free": 10.0})
    seen = snapshot(pool(20), scaler(replicas=20, most=20), policy(offered=OFFERED), advised)

    decided, _ = tick(seen, remembered(scalers={"image": FULL}))

    assert cell_of(decided, "image", "free/new-accounts").changed
    assert not cell_of(decided, "video", "free").changed


def test_a_policy_that_is_set_to_advise_in_a_surge_serves_the_first_variant() -> None:
    shed = cell(tier="free").shed(asked=1.0)

    decided, memory = tick(
        snapshot(pool(), scaler(replicas=4), policy(mode="Advise", offered={"pro": 1.0})), remembered(shed)
    )

    assert cell_of(decided, "image", "free").variant_name == "full"
    assert decided.policies[named("image")].summary == "all"
    assert decided.policies[named("image")].version == 2
    assert memory.cells[shed.key].reason is Reason.SERVED


# --- scalers and pools


def test_a_scaler_publishes_the_numbers_that_it_decided_on() -> None:
    decided, _ = tick(
        snapshot(pool(64), scaler(replicas=5, ready=3, backlog=6.0), policy(offered={"pro": 2.0, "free": 1.0}))
    )

    found = decided.scalers[named("image")]
    assert (found.current, found.ready, found.coming, found.flow.capacity) == (5, 3, 2, 3.0)
    assert found.flow.offered is not None
    assert round(found.flow.offered, 2) == 3.0
    assert (found.flow.backlog, found.flow.leading_metric) == (6.0, "flow")
    assert found.coming_ready_at == NOW + 90  # ready pods took 100 s


def test_the_metric_that_won_is_named_where_there_is_no_flow() -> None:
    decided, _ = tick(snapshot(pool(64), scaler(load=50.0)))

    assert decided.scalers[named("image")].flow.leading_metric == "load"
    assert "metric load asks for 5 replicas" in decided.scalers[named("image")].message


def test_a_backlog_alone_is_told_with_the_time_to_work_it_off() -> None:
    decided, _ = tick(snapshot(pool(64), scaler(backlog=150.0)))

    assert "150 GPU-seconds wait, to be worked off in 15 s" in decided.scalers[named("image")].message


def test_missing_metrics_are_a_condition_of_the_scaler() -> None:
    decided, _ = tick(snapshot(pool(), scaler(replicas=3, backlog=GONE, busy=GONE)))

    found = decided.scalers[named("image")]
    assert verdict(found.verdicts, Condition.METRICS_AVAILABLE).message == (
        "metric backlog: Prometheus does not answer; metric busy: Prometheus does not answer"
    )
    assert verdict(found.verdicts, Condition.HELD).status


def test_limited_scaling_is_a_condition_with_what_limits() -> None:
    decided, _ = tick(snapshot(pool(8), scaler(replicas=8), policy(offered={"pro": 12.0})))

    found = verdict(decided.scalers[named("image")].verdicts, Condition.SCALING_LIMITED)
    assert (found.status, found.reason) == (True, Reason.POOL_EXHAUSTED)
    assert found.message.endswith("replicas are demanded, limited by spec.capacity.gpus")


def test_pods_that_do_not_become_ready_are_a_condition() -> None:
    decided, _ = tick(snapshot(pool(), scaler(replicas=3, dead=2), policy(offered={"pro": 0.5})))

    found = verdict(decided.scalers[named("image")].verdicts, Condition.READY)
    assert (found.status, found.reason) == (False, Reason.PODS_NOT_READY)
    assert "2 pods did not become ready within coldStart.giveUpAfterSeconds (900)" in found.message


def test_a_scaler_that_leads_nowhere_is_left_alone() -> None:
    nowhere = scaler(replicas=7, pool_name="nowhere")

    found = tick(snapshot(pool(), nowhere))[0].scalers[named("image")]

    assert (found.current, found.replicas, found.write, found.rule) == (7, 7, False, Reason.NOT_FOUND)


def test_a_workload_that_cannot_be_read_is_not_said_to_have_nothing() -> None:
    unread = scaler(workload=Missing("later"))
    status = InferenceScalerStatus(replicas=ReplicaCounts(current=7, ready=6, coming=1))
    unread = structs.replace(unread, stored=structs.replace(unread.stored, status=status))

    found = tick(snapshot(pool(), unread))[0].scalers[named("image")]

    assert (found.current, found.replicas, found.ready, found.coming, found.write) == (7, 7, 6, 1, False)


def test_a_pool_says_who_holds_its_gpus_and_where_it_is_on_the_ladder() -> None:
    found = shedding().pools[POOL]

    assert (found.capacity, found.granted, found.held, found.limited_by) == (10, 10, 10, "spec.capacity.gpus")
    assert [(h.scaler.name, h.gpus, h.ready) for h in found.holders] == [("image", 10, 10)]
    assert (found.rungs_taken, found.rungs_total) == (2, 5)
    assert found.next_rung == "image for free/new-accounts: lite -> denied"
    assert found.last_rung == "image for free: full for 25 %, lite for the rest"


def test_a_pool_is_as_saturated_as_its_worst_scaler() -> None:
    found = shedding().pools[POOL]

    assert (found.saturated_by, found.saturated_since) == ("image", NOW)
    assert found.saturation_message == "image is 126 % full: 14.0 GPUs of load on 10 ready GPUs"
    assert verdict(found.verdicts, Condition.SATURATED).message == "media/image is saturated"


def test_gpus_that_cannot_be_read_are_a_condition_of_the_pool() -> None:
    found = tick(overloaded(gpus=pool(10, nodes=Missing("no LIST of nodes yet"))))[0].pools[POOL]

    assert found.capacity is None
    assert verdict(found.verdicts, Condition.HELD).message == "no LIST of nodes yet"


def test_a_pool_without_scalers_is_calm() -> None:
    found = tick(snapshot(pool(10)))[0].pools[POOL]

    assert (found.granted, found.saturation_percent, found.saturated_by) == (0, None, "")
    assert verdict(found.verdicts, Condition.SATURATED).status is False


def test_a_tier_says_when_it_is_tried() -> None:
    decided, _ = tick(snapshot(pool(), tiers=(FREE, PRO)))

    assert (decided.tiers[named("pro")].tried, decided.tiers[named("free")].tried) == (1, 2)


# --- notes


def test_every_changed_decision_is_a_note_what_goes_down_in_the_order_of_the_ladder() -> None:
    notes = [(note.kind, note.reason, note.message, note.warning) for note in shedding().notes]

    assert notes == [
        ("FeaturePolicy", Reason.CAPACITY, "free/new-accounts: full -> lite: image is 126 % full: 14.0 GPUs of load on 10 ready GPUs", True),
        ("FeaturePolicy", Reason.CAPACITY, "free: full -> full for 25 %, lite for the rest: image is 126 % full: 14.0 GPUs of load on 10 ready GPUs", True),
        ("GPUPool", Reason.SATURATED, "image is 126 % full: 14.0 GPUs of load on 10 ready GPUs", True),
    ]  # fmt: skip


def test_what_comes_back_is_noted_in_reverse() -> None:
    shed = remembered(cell(tier="free").shed(asked=0.1), cell(tier="free/new-accounts").shed(asked=0.1))

    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0})), shed)

    assert [note.message.split(":")[0] for note in decided.notes] == ["free", "free/new-accounts"]
    assert not any(note.warning for note in decided.notes)


def test_a_change_of_replicas_is_a_note() -> None:
    decided, _ = tick(snapshot(pool(64), scaler(replicas=3), policy(offered={"pro": 4.0})))

    note = next(note for note in decided.notes if note.kind == "InferenceScaler")
    assert note.message.startswith("3 -> 5 replicas: 4.0 GPUs of load are asked for")
    assert note.reason is Reason.DEMAND


def test_the_end_of_saturation_is_a_note() -> None:
    before = Memory(at=NOW - 2, scalers={named("image"): FULL}, pools={POOL: PoolMemory(saturated_since=NOW - 60)})

    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0})), before)

    note = next(note for note in decided.notes if note.kind == "GPUPool")
    assert (note.reason, note.message, note.warning) == (
        Reason.NOT_SATURATED,
        "every scaler carries what it admits",
        False,
    )


def test_nothing_new_is_no_note() -> None:
    seen = overloaded()
    _, memory = tick(seen, remembered(scalers={"image": FULL}))

    decided, _ = tick(seen, memory, now=NOW + 2)

    assert [note.kind for note in decided.notes] == ["GPUPool"]  # it is calm again, and that is all
    assert tick(seen, tick(seen, memory, now=NOW + 2)[1], now=NOW + 4)[0].notes == ()


# --- what is not known


def test_what_is_not_known_of_a_scaler_is_no_figure_and_it_is_not_said_to_be_calm() -> None:
    seen = snapshot(pool(10), scaler(replicas=4, backlog=GONE), policy(offered=GONE))
    found = tick(seen)[0].scalers[named("image")]

    unknown = (
        found.saturation_percent,
        found.demanded,
        found.floor,
        found.forecast,
        found.flow.offered,
        found.flow.backlog,
    )
    assert unknown == (None,) * 6
    assert (found.current, found.ready, found.flow.capacity) == (4, 4, 4.0)
    said = verdict(found.verdicts, Condition.SATURATED)
    assert (said.status, said.reason) == (None, Reason.MISSING)
    assert "Prometheus does not answer" in said.message


def test_of_a_part_of_the_demand_no_figure_is_told() -> None:
    seen = snapshot(
        pool(10), scaler(replicas=10, backlog=GONE), policy(offered={"pro": 4.0}), policy("video", offered=GONE)
    )
    found = tick(seen)[0].scalers[named("image")]

    assert (found.saturation_percent, found.flow.offered, found.flow.admitted) == (None, None, None)


def test_what_nothing_measures_is_not_said_to_be_calm() -> None:
    said = verdict(
        tick(snapshot(pool(10), scaler(replicas=4)))[0].scalers[named("image")].verdicts, Condition.SATURATED
    )

    assert said.status is None
    assert said.message.startswith("nothing measures its load")


def test_what_only_costs_are_learned_from_may_be_missing_without_doubt_about_the_load() -> None:
    seen = snapshot(pool(10), scaler(replicas=4, busy=GONE), policy(offered={"pro": 1.0}))
    found = tick(seen)[0].scalers[named("image")]

    assert found.saturation_percent is not None
    assert verdict(found.verdicts, Condition.SATURATED).status is False
    assert verdict(found.verdicts, Condition.METRICS_AVAILABLE).status is False


def test_a_measured_nothing_is_zero() -> None:
    found = tick(snapshot(pool(10), scaler(replicas=4, backlog=0.0), policy(offered={"pro": 0.0})))[0]

    image = found.scalers[named("image")]
    assert (image.saturation_percent, image.flow.offered, image.flow.backlog) == (0, 0.0, 0.0)
    assert verdict(image.verdicts, Condition.SATURATED).status is False
    assert (found.pools[POOL].saturation_percent, found.pools[POOL].saturation_unknown) == (0, 0)


def test_what_was_saturated_is_so_until_it_is_seen_not_to_be() -> None:
    seen = snapshot(pool(10), scaler(replicas=4, backlog=GONE), policy(offered=GONE))
    found = tick(seen, remembered(scalers={"image": FULL}))[0]

    assert verdict(found.scalers[named("image")].verdicts, Condition.SATURATED).status is True
    assert verdict(found.pools[POOL].verdicts, Condition.SATURATED).status is True
    assert (found.pools[POOL].saturated_by, found.pools[POOL].saturation_percent) == ("image", None)


def test_a_pool_is_as_full_as_the_fullest_that_is_known_and_counts_the_others() -> None:
    chat = policy("chat", variants={"full": {"chat": 1.0}, "denied": {}}, offered={"pro": 1.0})
    seen = snapshot(pool(20), scaler("chat", replicas=2), chat, scaler(replicas=4, backlog=GONE))
    found = tick(seen)[0].pools[POOL]

    percent = tick(seen)[0].scalers[named("chat")].saturation_percent
    assert percent is not None
    assert (found.saturation_percent, found.saturation_unknown) == (percent, 1)
    said = verdict(found.verdicts, Condition.SATURATED)
    assert said.status is None
    assert said.message.startswith("media/image: metric")


def test_a_workload_that_cannot_be_read_keeps_the_counts_that_it_had() -> None:
    found = tick(snapshot(pool(10), scaler(workload=Missing("no LIST of deployments yet"))))[0].scalers[named("image")]

    assert (found.unread, found.ready, found.demanded, found.flow.capacity) == (True, None, None, None)
