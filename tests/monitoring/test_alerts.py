"""Each alert of the chart fires on what it is for, with numbers, and on nothing where all is well. The real promtool says so."""

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from monitoring.healthy import (
    CELL,
    FLAGS,
    FLAGS_POD,
    FREE,
    HEALTHY,
    IMAGE,
    OPERATOR,
    OVERRIDE,
    SCALER,
    constant,
    rising,
)
from monitoring.promtool import expect, promtool, run
from monitoring.rules import RULES, alerts

HERE = {"namespace": "brownout-system", "job": "operator"}
FLAGS_HERE = {"namespace": "brownout-system", "job": "flags"}
POD = {**FLAGS_HERE, "pod": "flags-1", "instance": "10.0.0.1:8080"}
IMAGES = {"namespace": "media", "feature": "images"}


class Trouble(NamedTuple):
    """Series that differ from those of a healthy cluster ("" where there is none), when the alert fires, and with what words."""

    series: dict[str, str]
    at: str
    labels: dict[str, str]
    says: str


def saturated(ratio: float) -> dict[str, str]:
    return {
        'brownout_pool_saturation_ratio{pool="h100"}': constant(ratio),
        'brownout_pool_saturated{pool="h100"}': constant(1),
    }


TROUBLES = {
    "BrownoutOperatorAbsent": Trouble(
        {f"brownout_last_tick_timestamp_seconds{{{OPERATOR}}}": ""},
        "6m",
        {},
        "No operator has been scraped for 5 minutes. Nobody scales, sheds or restores; flag servers go on serving what was decided last.",
    ),
    "BrownoutOperatorTickOld": Trouble(
        {f"brownout_last_tick_timestamp_seconds{{{OPERATOR}}}": constant(60)},
        "5m",
        HERE,
        "The last tick of operator in brownout-system ended 4m 0s ago; it should be 2 seconds.",
    ),
    "BrownoutOperatorWaits": Trouble(
        {f"brownout_last_tick_timestamp_seconds{{{OPERATOR}}}": constant(0)},
        "6m",
        HERE,
        "operator in brownout-system has made 0 ticks since it started: it lacks something, and /readyz says what.",
    ),
    "BrownoutNamespaceLeftOut": Trouble(
        {'brownout_namespace_left_out{job="operator",namespace="gone",why="absent"}': constant(1)},
        "6m",
        {"namespace": "gone", "why": "absent"},
        "watchNamespaces names gone, and for 5 minutes it has been absent (1): nothing is decided there.",
    ),
    "BrownoutTwoOperatorsDecide": Trouble(
        {f'brownout_leader{{{OPERATOR},pod="operator-2"}}': constant(1)},
        "2m",
        HERE,
        "2 operators of operator in brownout-system have decided side by side for a minute. Both decide the same by the same status; a step may come a little early, and everything is written twice.",
    ),
    "BrownoutTicksFail": Trouble(
        {f"brownout_tick_errors_total{{{OPERATOR}}}": rising(1)},
        "30m",
        HERE,
        "10 ticks of operator in brownout-system failed within 10 minutes. Each is begun anew; what they would have decided is not done.",
    ),
    "BrownoutTicksSlow": Trouble(
        {f'brownout_tick_duration_seconds_bucket{{{OPERATOR},le="1"}}': constant(0)},
        "30m",
        HERE,
        "95 % of the ticks of operator in brownout-system take up to 9.55s; shedding is late by as much.",
    ),
    "BrownoutKindUnseen": Trouble(
        {f'brownout_kind_unseen{{{OPERATOR},kind="FeaturePolicy"}}': constant(1)},
        "3m",
        {**HERE, "kind": "FeaturePolicy"},
        "For a minute FeaturePolicy objects have not been listed, or have all vanished at once. All decisions of operator are held; what has vanished is believed to be gone after 5 minutes.",
    ),
    "BrownoutObjectsUnreadable": Trouble(
        {f'brownout_objects_invalid{{{OPERATOR},kind="UserTier"}}': constant(2)},
        "6m",
        {**HERE, "kind": "UserTier"},
        "2 UserTier objects cannot be read; what depends on them is held. Their condition Ready says which field, and what to write.",
    ),
    "BrownoutEvidenceMissing": Trouble(
        {'brownout_evidence_missing{job="operator",kind="FeaturePolicy",namespace="media",name="images"}': constant(2)},
        "6m",
        {"kind": "FeaturePolicy", "namespace": "media", "name": "images"},
        "2 numbers of FeaturePolicy media/images have been missing or stale for 5 minutes. Nothing of it is lowered or restored meanwhile.",
    ),
    "BrownoutPrometheusQueriesFail": Trouble(
        {f'brownout_prometheus_queries_total{{{OPERATOR},result="failed"}}': rising(40)},
        "12m",
        HERE,
        "25% of the queries of operator in brownout-system fail. What they would say is missing, and missing is never zero.",
    ),
    "BrownoutPrometheusSlow": Trouble(
        {f'brownout_prometheus_query_duration_seconds_bucket{{{OPERATOR},le="0.1"}}': constant(0)},
        "30m",
        HERE,
        "95 % of the queries of operator in brownout-system take up to 4.755s; after 5 seconds one counts as failed.",
    ),
    "BrownoutStatusWritesFail": Trouble(
        {f'brownout_kubernetes_api_errors_total{{{OPERATOR},what="FeaturePolicy"}}': rising(2)},
        "30m",
        {**HERE, "what": "FeaturePolicy"},
        "20 writes of FeaturePolicy statuses failed within 10 minutes. Flag servers serve what status says: users do not get what was decided.",
    ),
    "BrownoutScaleWritesFail": Trouble(
        {f'brownout_scale_writes_total{{{OPERATOR},result="failed"}}': rising(1)},
        "30m",
        HERE,
        "10 writes to /scale failed within 10 minutes. The scalers concerned have the condition Ready with the reason NotWritten.",
    ),
    "BrownoutPoolSaturated": Trouble(
        saturated(1.46),
        "16m",
        {"pool": "h100"},
        "Pool h100 has been saturated for 15 minutes, and is 146% full now: shedding has not been enough.",
    ),
    "BrownoutLadderExhausted": Trouble(
        saturated(1.2) | {'brownout_pool_ladder_rungs{pool="h100",state="taken"}': constant(4)},
        "3m",
        {"pool": "h100"},
        "Every rung of the ladder of pool h100 is taken, and it is 120% full: protected users wait.",
    ),
    "BrownoutFeatureShedLong": Trouble(
        {f"brownout_cell_variant{{{FREE}}}": constant(1), f"brownout_cell_percent{{{FREE}}}": constant(35)},
        "125m",
        IMAGES,
        "Cells of images in media with less than their first variant: 1. Somebody has had less for 2 hours.",
    ),
    "BrownoutReplicasNotReady": Trouble(
        {f'brownout_scaler_replicas{{{SCALER},state="ready"}}': constant(4)},
        "21m",
        {"namespace": "media", "scaler": "image"},
        "2 replicas of media/image were granted GPUs and have not been ready for 20 minutes.",
    ),
    "BrownoutPoolCapacityUnknown": Trouble(
        {'brownout_pool_gpus{pool="h100",state="capacity"}': ""},
        "6m",
        {"pool": "h100"},
        "The nodes or quotas of pool h100 cannot be read; its scalers keep the 6 GPUs that they were granted, and get no more.",
    ),
    "BrownoutOscillation": Trouble(
        {f"brownout_cell_reversals{{{FREE}}}": constant(5)},
        "1m",
        {**IMAGES, "tier": "free", "cohort": "new"},
        "images for free/new in media changed direction 5 times within an hour.",
    ),
    "BrownoutOverrideEndsSoon": Trouble(
        {f"brownout_override_end_timestamp_seconds{{{OVERRIDE}}}": constant(3600)},
        "50m",
        {**IMAGES, "override": "incident", "variant": "denied"},
        "In 10m 0s images in media is the loop's again, and no longer denied by the override incident.",
    ),
    "BrownoutOverrideLong": Trouble(
        {f"brownout_override_start_timestamp_seconds{{{OVERRIDE}}}": constant(-86400)},
        "1h",
        {**IMAGES, "override": "incident", "variant": "denied"},
        "images in media has been denied for 1d 1h 0m 0s by the override incident, whatever the load.",
    ),
    "BrownoutFlagsAbsent": Trouble(
        {f"brownout_flags_sets{{{FLAGS_POD}}}": ""},
        "3m",
        {},
        "No flag server has been scraped for 2 minutes. Where none answers, clients serve what they know, or what is written in their code.",
    ),
    "BrownoutFlagsSyncOld": Trouble(
        {f"brownout_flags_sync_age_seconds{{{FLAGS_POD}}}": rising(60)},
        "6m",
        POD,
        "flags-1 in brownout-system last heard the API server 6m 0s ago; a minute is usual.",
    ),
    "BrownoutFlagsFromSnapshot": Trouble(
        {f"brownout_flags_sync_age_seconds{{{FLAGS_POD}}}": constant(-1)},
        "3m",
        POD,
        "flags-1 in brownout-system has been up for 2 minutes, and the API server has not told it of every namespace; /readyz names them. Sets that it serves: 1.",
    ),
    "BrownoutFlagsKindMissing": Trouble(
        {f'brownout_flags_kind_missing{{{FLAGS},kind="featurepolicies"}}': constant(1)},
        "6m",
        {**FLAGS_HERE, "kind": "featurepolicies"},
        "For a minute there have been no featurepolicies where there were some. The last known ones are served for 10 minutes; then that is believed.",
    ),
    "BrownoutFlagsDisagree": Trouble(
        {
            'brownout_flags_set_info{namespace="media",version="aaa",pod="flags-2"}': "",
            'brownout_flags_set_info{namespace="media",version="bbb",pod="flags-2"}': constant(1),
        },
        "6m",
        {"namespace": "media"},
        "For 5 minutes 2 versions of the flags of media have been served at once: it depends on the replica what a user has.",
    ),
    "BrownoutFlagsRenderFails": Trouble(
        {f'brownout_flags_renders_total{{{FLAGS},result="failed"}}': rising(1)},
        "30m",
        FLAGS_HERE,
        "Rendering failed 15 times within 15 minutes; the last good set goes on being served, and nothing new reaches users of that namespace.",
    ),
    "BrownoutFlagsUnreadableObjects": Trouble(
        {f'brownout_flags_unreadable_objects_total{{{FLAGS},kind="featurepolicies"}}': rising(1)},
        "30m",
        {**FLAGS_HERE, "kind": "featurepolicies"},
        "15 times within 15 minutes an object of featurepolicies could not be read; its last readable state is served.",
    ),
    "BrownoutFlagsNamespaceWithheld": Trouble(
        {f"brownout_flags_namespaces_withheld{{{FLAGS_POD}}}": constant(1)},
        "2m",
        {"namespace": "brownout-system", "pod": "flags-1"},
        "flags-1 in brownout-system serves nothing of 1 namespaces, because an object of each cannot be read and never could; its log names them.",
    ),
    "BrownoutFlagsSnapshotErrors": Trouble(
        {f'brownout_flags_snapshot_errors_total{{{FLAGS_POD},operation="write"}}': rising(2)},
        "30m",
        {"namespace": "brownout-system", "pod": "flags-1", "operation": "write"},
        "30 times within 15 minutes flags-1 could not write its snapshot. After a restart without the API server it would serve older flags, or none.",
    ),
    "BrownoutFlagsConnectionsFull": Trouble(
        {f'brownout_flags_connections_ended_total{{{FLAGS},reason="displaced"}}': rising(300)},
        "12m",
        {**FLAGS_HERE, "reason": "displaced"},
        "5.0 connections a second are ended (displaced), because as many are open as may be.",
    ),
    "BrownoutQuotaStorageAway": Trouble(
        {f"brownout_flags_quota_available{{{FLAGS_POD}}}": constant(0)},
        "2m",
        FLAGS_HERE,
        "The storage of quotas has not answered flags in brownout-system for a minute (0 of 1). Each policy's whenUnavailable says who is let through meanwhile.",
    ),
    "BrownoutTokenKeysUnreadable": Trouble(
        {f"brownout_flags_jwks_errors_total{{{FLAGS}}}": rising(0.2)},
        "60m",
        FLAGS_HERE,
        "Reading the key set has failed for 20 minutes, 3 times in the last 15. The known keys stay in use; who has a token signed by a new one gets a 401 at every evaluation.",
    ),
    "BrownoutProtectedUsersRefused": Trouble(
        {f'brownout_feature_refused_total{{{CELL},reason="queue_full"}}': rising(6)},
        "12m",
        {**IMAGES, "tier": "pro"},
        "10% of the requests of pro for images in media are refused, because queues are full or an answer would come too late.",
    ),
    "BrownoutEngineRestarts": Trouble(
        {f"brownout_inference_engine_losses_total{{{IMAGE}}}": rising(0.1)},
        "60m",
        {"namespace": "media", "workload": "image"},
        "3 engines of image in media were lost within 30 minutes; each is made anew, and its requests are lost.",
    ),
    "BrownoutRequestsFail": Trouble(
        {f'brownout_feature_failed_total{{{CELL},reason="engine"}}': rising(33)},
        "30m",
        IMAGES,
        "5% of the requests for images in media were let in and failed in the engine.",
    ),
    "BrownoutQuotaUnasked": Trouble(
        {'brownout_inference_quota_total{namespace="media",feature="images",outcome="unavailable"}': rising(30)},
        "12m",
        IMAGES,
        "0.50 requests a second for images in media are served or refused without their quota having been asked for.",
    ),
}


def with_trouble(trouble: Trouble) -> dict[str, str]:
    """The healthy cluster's series, but for those of the trouble."""
    return {name: values for name, values in (HEALTHY | trouble.series).items() if values}


def firing(name: str, trouble: Trouble) -> dict[str, Any]:
    """The alert as it is to be sent; what its summary says is not told twice."""
    rule = alerts()[name]
    summary = rule["annotations"]["summary"]
    for label, value in trouble.labels.items():
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    return {
        "exp_labels": {**trouble.labels, **rule["labels"]},
        "exp_annotations": {
            "summary": summary,
            "description": trouble.says,
            "runbook_url": rule["annotations"]["runbook_url"],
        },
    }


def test_every_alert_has_its_trouble() -> None:
    assert set(TROUBLES) == set(alerts())


@pytest.mark.parametrize("name", TROUBLES)
def test_an_alert_fires_on_what_it_is_for_and_says_it_with_numbers(name: str, tmp_path: Path) -> None:
    trouble = TROUBLES[name]
    expect(tmp_path, with_trouble(trouble), alert=name, at=trouble.at, firing=[firing(name, trouble)])


def test_nothing_fires_where_all_is_well(tmp_path: Path) -> None:
    silent = [
        {"eval_time": at, "alertname": name, "exp_alerts": []}
        for name in alerts()
        for at in ("1m", "10m", "30m", "60m", "150m")
    ]
    series = [{"series": name, "values": values} for name, values in HEALTHY.items()]
    ran = run(tmp_path, [{"name": "healthy", "interval": "1m", "input_series": series, "alert_rule_test": silent}])
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_series_of_a_trouble_replaces_the_healthy_one_or_is_of_something_that_is_not_there_in_health() -> None:
    new = {series for trouble in TROUBLES.values() for series in trouble.series if series not in HEALTHY}
    assert {series.partition("{")[0] for series in new} == {
        "brownout_kind_unseen",
        "brownout_namespace_left_out",
        "brownout_objects_invalid",
        "brownout_flags_set_info",
    }


def test_replicas_that_a_scaler_only_advises_are_not_missed(tmp_path: Path) -> None:
    series = with_trouble(TROUBLES["BrownoutReplicasNotReady"]) | {
        f'brownout_scaler_info{{{SCALER},pool="h100",mode="Auto"}}': "",
        f'brownout_scaler_info{{{SCALER},pool="h100",mode="Advise"}}': constant(1),
    }
    stated = {name: values for name, values in series.items() if values}
    expect(tmp_path, stated, alert="BrownoutReplicasNotReady", at="60m", firing=[])


@pytest.mark.parametrize("at", ["12m", "20m", "31m", "45m"])
def test_an_issuer_that_was_away_for_a_moment_wakes_nobody(at: str, tmp_path: Path) -> None:
    series = with_trouble(TROUBLES["BrownoutTokenKeysUnreadable"])
    blip = series | {f"brownout_flags_jwks_errors_total{{{FLAGS}}}": "0x10 4x60"}
    expect(tmp_path, blip, alert="BrownoutTokenKeysUnreadable", at=at, firing=[])


def test_users_are_protected_where_a_policy_is_not_called_as_its_flag(tmp_path: Path) -> None:
    """The inference server knows a feature by its flag's key, which may be in camelCase; the name of an object never is."""
    name, told, protects = "BrownoutProtectedUsersRefused", "imageGeneration", "brownout_cell_info"
    trouble = TROUBLES[name]
    series = {
        serie.replace('feature="images"', f'feature="{told}"')
        if serie.startswith("brownout_feature")
        else serie: values
        for serie, values in with_trouble(trouble).items()
    }
    series = {
        serie.replace('flag="images"', f'flag="{told}"') if serie.startswith(protects) else serie: values
        for serie, values in series.items()
    }
    says = trouble.says.replace("images", told)
    fired = firing(name, trouble._replace(labels={**trouble.labels, "feature": told}, says=says))
    expect(tmp_path, series, alert=name, at=trouble.at, firing=[fired])


def test_the_rules_are_sound_by_promtools_own_judgement() -> None:
    checked = subprocess.run(
        [promtool(), "check", "rules", "--lint=all", "--lint-fatal", *RULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
