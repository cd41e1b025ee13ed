"""What `brownout diagnose` says looks wrong: each rule on what it is for, and silence where all is well."""

from typing import Any

import pytest

from brownout.api.generate import definition
from brownout.api.resources import RESOURCES, decode
from brownout.api.schema import API_VERSION, GROUP
from brownout.cli.diagnosing.findings import MOST_OF_A_RULE, RULES, Finding, findings
from brownout.cli.diagnosing.found import Answered, Found, Process, Right
from brownout.cli.diagnosing.summary import summary
from support.examples import EXAMPLES, objects_in

NOW = 1_800_000_000.0
KINDS = {resource.kind: resource for resource in RESOURCES}


def process(
    component: str, *, ready: bool = True, restarts: int = 0, metrics: str | None = None, image: str = "a:1"
) -> Process:
    return Process(
        component=component,
        metrics=metrics,
        pod={
            "metadata": {
                "namespace": "brownout-system",
                "name": f"{component}-0",
                "labels": {"app.kubernetes.io/version": "1"},
            },
            "spec": {"containers": [{"name": component, "image": image}]},
            "status": {
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"name": component, "restartCount": restarts, "state": {}}],
            },
        },
    )


def objects(**statuses: dict[str, Any]) -> dict[str, list[Any]]:
    """The full example's objects; `statuses` by kind replace theirs, which say that all is well."""
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for body in objects_in(EXAMPLES / "full.yaml"):
        if body["apiVersion"] == API_VERSION:
            status = statuses.get(body["kind"], {"observedGeneration": 1})
            body["metadata"]["generation"] = 1
            found[body["kind"]].append(decode(KINDS[body["kind"]], body | {"status": status}, NOW - 3600))
    return found


def well(**changes: Any) -> Found:
    """Nothing wrong, but for what is changed."""
    ticked = f"brownout_last_tick_timestamp_seconds {NOW - 2}\nbrownout_tick_errors_total 0.0\n"
    everything: dict[str, Any] = {
        "now": NOW,
        "cli_version": "1",
        "server_version": "v1.36.3",
        "definitions": {
            f"{r.plural}.{GROUP}": definition(r)
            | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
            for r in RESOURCES
        },
        "objects": objects(),
        "processes": [
            process("operator", metrics=ticked),
            process("flags", metrics="brownout_flags_sync_age_seconds 1.0\n"),
        ],
        "looked_for_processes": True,
    }
    return Found(**(everything | changes))


def told(found: Found, rule: str) -> str:
    wrong = findings(found)
    assert {one.rule for one in wrong} == {rule}, wrong
    return "\n".join(one.sentence for one in wrong)


def condition(kind: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": "False", "reason": reason, "message": message}


def test_where_all_is_well_nothing_is_said() -> None:
    found = well()
    assert findings(found) == []
    page = summary(found, [], where="here.tar.gz")
    assert "Nothing looks wrong, as far as could be seen." in page
    assert "could not be had" not in page


def test_a_kind_that_is_not_there_or_of_another_version_is_named() -> None:
    assert "gpupools.brownout.dev is not there" in told(
        well(definitions={"gpupools.brownout.dev": None}), "definitions"
    )
    older = well()
    body = older.definitions["usertiers.brownout.dev"]
    assert body is not None
    body["spec"] = {"versions": [{"name": "v1alpha1", "schema": {}}]}
    assert "usertiers.brownout.dev has another schema" in told(older, "definitions")


def test_no_operator_is_said_only_where_one_was_looked_for() -> None:
    flags = process("flags")
    assert "no pod of the operator was found" in told(well(processes=[flags]), "operator")
    assert findings(well(processes=[], looked_for_processes=False)) == []
    assert "is ready" in told(well(processes=[process("operator", ready=False), flags]), "operator")


def test_of_several_operators_the_youngest_tick_counts() -> None:
    old, young = (f"brownout_last_tick_timestamp_seconds {NOW - age}\n" for age in (600, 2))
    flags = process("flags")
    assert findings(well(processes=[process("operator", metrics=m) for m in (old, young)] + [flags])) == []
    assert "the last tick ended 10m ago" in told(well(processes=[process("operator", metrics=old), flags]), "ticks")
    never = process("operator", metrics="brownout_last_tick_timestamp_seconds 0.0\n")
    assert "no tick has ended yet" in told(well(processes=[never, flags]), "ticks")


def test_metrics_that_could_not_be_read_say_nothing_of_ticks() -> None:
    assert findings(well(processes=[process("operator"), process("flags")])) == []


def test_restarts_and_a_flag_server_that_hears_nothing_are_told() -> None:
    deaf = process(
        "flags", restarts=3, metrics="brownout_flags_sync_age_seconds 300.0\nbrownout_flags_quota_available 0.0\n"
    )
    sentences = told(well(processes=[well().processes[0], deaf]), "processes")
    assert "was restarted 3 times" in sentences
    assert "last heard the API server 5m ago" in sentences
    assert "the storage of quotas does not answer" in sentences


def test_a_right_that_a_process_lacks_is_named_and_the_callers_are_not() -> None:
    rights = [
        Right("operator (s/op)", "list", "nodes", False),
        Right("operator (s/op)", "watch", "nodes", False),
        Right("you", "list", "secrets", False),
        Right("flags (s/f)", "list", "usertiers", None),
    ]
    assert "operator (s/op) may not: list nodes, watch nodes" in told(well(rights=rights), "rights")


def test_objects_that_are_not_in_use_or_not_looked_at_are_named() -> None:
    refused = objects(UserTier={"observedGeneration": 1, "conditions": [condition("Ready", "Invalid", "two defaults")]})
    assert "UserTier media/pro is not in use: Invalid: two defaults" in told(well(objects=refused), "unreadable")
    unseen = told(well(objects=objects(GPUPool={})), "unseen")
    assert "GPUPool h100: the operator has not looked at its present generation 1" in unseen


def test_missing_evidence_is_told_in_the_operators_words() -> None:
    blind = {"observedGeneration": 1, "conditions": [condition("MetricsAvailable", "Missing", "metric p95: no answer")]}
    sentences = told(well(objects=objects(InferenceScaler=blind)), "evidence")
    assert "InferenceScaler media/image-xl: evidence is missing: Missing: metric p95: no answer" in sentences


def test_a_query_without_an_answer_is_told() -> None:
    answers = [
        Answered("InferenceScaler media/a", "metrics[kv]", "q", "0.5", False),
        Answered("FeaturePolicy media/b", "demand.offered", "q", "no series", True),
    ]
    assert told(well(answers=answers), "prometheus") == "FeaturePolicy media/b: demand.offered: no series"


def test_another_autoscaler_on_the_same_target_is_told() -> None:
    named = {"kind": "Deployment", "name": "image-xl"}
    meta = {"namespace": "media", "name": "old"}
    hpa = {"kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": {"scaleTargetRef": named}}
    elsewhere = hpa | {"metadata": {"namespace": "other", "name": "old"}}
    sentence = told(well(autoscalers=[hpa, elsewhere]), "autoscalers")
    assert "HorizontalPodAutoscaler media/old and InferenceScaler media/image-xl both scale image-xl" in sentence


def test_pods_that_do_not_start_are_told_with_the_reason() -> None:
    meta = {"namespace": "media", "name": "image-xl-1"}
    pending = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    assert "Unschedulable" in told(well(pods=[{"metadata": meta, "status": pending}]), "pods")


def test_different_images_and_versions_are_told() -> None:
    first, flags = well().processes
    other = process("flags", image="a:2", metrics=flags.metrics)
    assert "2 different images: a:1, a:2" in told(well(processes=[first, other]), "versions")
    assert "the chart is of version 1, this command of 2" in told(well(cli_version="2"), "versions")


def test_of_one_rule_a_few_are_told_and_how_many_more_there_are() -> None:
    answers = [Answered("FeaturePolicy a/b", f"demand{number}", "q", "no series", True) for number in range(20)]
    found = findings(well(answers=answers))
    assert len(found) == MOST_OF_A_RULE + 1
    assert found[-1].sentence.startswith("and 12 more")


def test_the_page_says_what_could_not_be_had() -> None:
    found = well(errors=[f"logs: {number}" for number in range(12)])
    page = summary(found, [Finding(rule="ticks", sentence="too old")], where="here")
    assert "  ticks       too old" in page
    assert "and 4 more, in errors.txt" in page


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_is_silent_on_nothing_at_all(name: str, rule: Any) -> None:
    assert list(rule(Found(now=NOW, cli_version="1"))) == []
