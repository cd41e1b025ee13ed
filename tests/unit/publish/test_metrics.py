"""The operator's own metrics."""

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import CellKey, CellPlan, Level, Plan, PolicyPlan, ScalePlan
from brownout.decide.snapshot import Audience, Scaler, Snapshot, Workload
from brownout.publish.metrics import Metrics
from support.operator_builders import scaler

KEY = Key("media", "image")


def snapshot(*, unseen: tuple[str, ...] = ()) -> Snapshot:
    """A scaler with one number that is there and one that is missing."""
    metrics: dict[str, Evidence] = {"busy": Sample(1.0, 0.0), "queue": Missing("gone")}
    seen = Scaler(stored=scaler(), workload=Workload(replicas=1, gpus_per_replica=1), metrics=metrics)
    return Snapshot(scalers={KEY: seen}, unseen=unseen)


def plan() -> Plan:
    """The scaler at 150 %."""
    one = ScalePlan(
        key=KEY, current=1, replicas=2, write=True, rule=Reason.DEMAND, message="", ready=1, saturation_percent=150
    )
    return Plan(at=0.0, scalers={KEY: one})


def test_live_values_are_metrics() -> None:
    metrics = Metrics()
    metrics.show(snapshot(), plan(), Memory())
    page = metrics.page().decode()
    assert 'brownout_scaler_saturation_ratio{namespace="media",scaler="image"} 1.5' in page
    assert 'brownout_scaler_replicas{namespace="media",scaler="image",state="desired"} 2.0' in page
    assert 'brownout_evidence_missing{kind="InferenceScaler",name="image",namespace="media"} 1.0' in page


def test_an_object_that_is_gone_shows_no_more() -> None:
    metrics = Metrics()
    metrics.show(snapshot(), plan(), Memory())
    metrics.show(Snapshot(), Plan(at=1.0), Memory())
    assert 'scaler="image"' not in metrics.page().decode()


def test_while_a_kind_is_not_known_the_last_values_stand_and_it_is_said() -> None:
    metrics = Metrics()
    metrics.show(snapshot(), plan(), Memory())
    metrics.show(snapshot(unseen=("FeaturePolicy",)), Plan(at=1.0), Memory())
    page = metrics.page().decode()
    assert 'brownout_kind_unseen{kind="FeaturePolicy"} 1.0' in page
    assert 'brownout_scaler_saturation_ratio{namespace="media",scaler="image"} 1.5' in page


def test_users_who_are_held_back_alone_are_counted_and_never_named() -> None:
    policy = Key("media", "images")
    cells = tuple(
        CellPlan(
            key=CellKey(policy, Audience("free", "", user)),
            level=level,
            previous=level,
            variant_name="",
            reason=Reason.CAPACITY,
            message="",
            since=0.0,
        )
        for user, level in (("", Level(1)), ("ana", Level(2)), ("ben", Level(2)), ("cay", Level(0)))
    )
    metrics = Metrics()
    metrics.show(
        Snapshot(),
        Plan(at=0.0, policies={policy: PolicyPlan(key=policy, cells=cells, version=1, summary="")}),
        Memory(),
    )
    page = metrics.page().decode()
    at = '{cohort="",feature="images",namespace="media",tier="free"}'
    assert f"brownout_cell_users_held_back{at} 2.0" in page
    assert f"brownout_cell_variant{at} 1.0" in page
    assert "ana" not in page


def test_what_is_not_known_has_no_series() -> None:
    metrics, seen = Metrics(), plan()
    blind = structs.replace(seen.scalers[KEY], saturation_percent=None)
    memory = Memory(scalers={KEY: ScalerMemory()})
    metrics.show(snapshot(), seen, Memory(scalers={KEY: ScalerMemory(cost_learned=True)}))
    assert "brownout_scaler_cost_factor{" in metrics.page().decode()
    metrics.show(snapshot(), structs.replace(seen, scalers={KEY: blind}), memory)
    page = metrics.page().decode()
    for name in ("saturation_ratio", "cost_factor", "demand_gpus", "backlog_gpu_seconds"):
        assert f"brownout_scaler_{name}{{" not in page
    assert 'state="demanded"' not in page
    assert 'brownout_scaler_replicas{namespace="media",scaler="image",state="ready"} 1.0' in page


def test_the_counts_of_a_workload_that_cannot_be_read_are_no_series() -> None:
    metrics, seen = Metrics(), plan()
    unread = structs.replace(seen.scalers[KEY], unread=True, ready=None, current=0, replicas=0)
    metrics.show(snapshot(), structs.replace(seen, scalers={KEY: unread}), Memory())
    assert "brownout_scaler_replicas{" not in metrics.page().decode()


def test_queries_are_counted_by_their_result_and_timed_either_way() -> None:
    metrics = Metrics()
    metrics.answered("answered", 0.02)
    metrics.answered("failed", 5.0)
    page = metrics.page().decode()
    assert 'brownout_prometheus_queries_total{result="failed"} 1.0' in page
    assert 'brownout_prometheus_query_duration_seconds_bucket{le="0.025"} 1.0' in page
    assert "brownout_prometheus_query_duration_seconds_count 2.0" in page


def test_a_namespace_that_is_left_out_is_said_with_the_reason_and_no_more_once_it_is_taken_up() -> None:
    metrics = Metrics()
    metrics.show_left_out({"gone": "absent"})
    assert 'brownout_namespace_left_out{namespace="gone",why="absent"} 1.0' in metrics.page().decode()
    metrics.show_left_out({})
    assert "brownout_namespace_left_out{" not in metrics.page().decode()
