"""The FeatureFlag resource on a real API server: the flag servers' own set, and nobody's resource is touched but ours."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from msgspec import structs
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from brownout.api.resources import Key
from brownout.decide.snapshot import Snapshot
from brownout.publish.events import Events
from brownout.publish.feature_flags import FeatureFlags
from brownout_localcluster import LocalCluster
from flags.builders import TIERS
from flags.process import FlagServer, flag_server
from support import feature_flag_kind
from support.cluster import Namespace
from support.feature_flag_kind import API_VERSION, KIND, RULE
from support.operator import Operator, install_kinds
from support.operator_world import ours, override, plan
from support.waiting import holds_for, wait_for, wait_for_async

FEATURE = "image-generation"
NAME = "brownout"
VERSION = "brownout.dev/flag-set-version"
WRITES = "brownout_featureflag_writes_total"
LATEST_SECONDS = 20.0
"""Longer than the operator waits between two looks at everything."""


@pytest.fixture(scope="module")
def kind(cluster: LocalCluster) -> LocalCluster:
    """The cluster with our kinds and the FeatureFlag kind."""
    install_kinds(cluster)
    feature_flag_kind.install(cluster)
    return cluster


@pytest.fixture
def product(namespace: Namespace) -> Namespace:
    """Two tiers and a feature."""
    install_kinds(namespace.cluster)
    namespace.create(ours("UserTier", "pro", priority=90, match=[plan("pro")]))
    namespace.create(ours("UserTier", "free", priority=10))
    variants = [{"name": "full", "value": {"enabled": True}}, {"name": "denied", "value": {"enabled": False}}]
    tiers = [{"tierRef": {"name": "pro"}, "availability": "Always"}, {"tierRef": {"name": "free"}}]
    namespace.create(ours("FeaturePolicy", FEATURE, flagKey=FEATURE, variants=variants, tiers=tiers))
    return namespace


@pytest.fixture
def operator(product: Namespace, tmp_path: Path) -> Iterator[Operator]:
    """An operator that writes FeatureFlag resources, and may."""
    with Operator(product.cluster, product.name, tmp_path, started=False) as operator:
        operator.grant(RULE)
        operator.start("--feature-flag", NAME)
        yield operator


@pytest.fixture
def server(product: Namespace, tmp_path: Path) -> Iterator[FlagServer]:
    """A flag server of the same namespace."""
    where = tmp_path / "snapshot"
    with flag_server(kubeconfig=product.cluster.kubeconfig, snapshot_dir=where, namespaces=[product.name]) as running:
        wait_for(lambda: running.ask("/readyz")[1]["synced"], "the flag server has heard the API server")
        yield running


def resource(namespace: Namespace) -> dict[str, Any]:
    """The resource; empty while there is none."""
    return namespace.find(API_VERSION, KIND, NAME) or {}


def version(namespace: Namespace) -> str:
    return str(resource(namespace).get("metadata", {}).get("annotations", {}).get(VERSION, ""))


def served(namespace: Namespace, user: str = "free") -> str:
    """The variant that an evaluator of flagd's gives a user by the resource."""
    core = FlagdCore()
    core.set_flags(json.loads(json.dumps(resource(namespace)["spec"]["flagSpec"])))
    found = core.resolve_object_value(FEATURE, {}, EvaluationContext("ana", {"plan": user}))
    return str(found.variant)


def state(operator: Operator, namespace: Namespace, wanted: str) -> bool:
    return operator.metric("brownout_featureflag", namespace=namespace.name, state=wanted) == 1


def quiet(operator: Operator) -> bool:
    """Whether nothing was written for a few ticks."""
    ticks, writes = operator.metric("brownout_tick_duration_seconds_count"), operator.metric(WRITES)
    wait_for(lambda: operator.metric("brownout_tick_duration_seconds_count") >= ticks + 5, "a few ticks")
    return operator.metric(WRITES) == writes


def soon() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def foreign(**metadata: Any) -> dict[str, Any]:
    """A resource that a person made, with a flag of theirs."""
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": NAME, **metadata},
        "spec": {"flagSpec": {"flags": {"theirs": flag}}},
    }


def test_it_carries_the_set_and_the_version_of_the_flag_servers(
    kind: LocalCluster, product: Namespace, operator: Operator, server: FlagServer
) -> None:
    def same() -> bool:
        return version(product) == server.ask("/readyz")[1]["sets"][product.name]

    wait_for(same, "both have one version")
    spec = resource(product)["spec"]["flagSpec"]
    assert spec["metadata"] == {"flagSetId": product.name, "version": version(product)}
    _, theirs, _ = server.ask(f"/{product.name}/ofrep/v1/evaluate/flags/{FEATURE}", {"context": {"plan": "free"}})
    assert theirs["variant"] == served(product) == "full"
    assert theirs["metadata"] == spec["metadata"] | spec["flags"][FEATURE]["metadata"]
    assert state(operator, product, "written")


def test_a_flip_and_its_end_reach_it(kind: LocalCluster, product: Namespace, operator: Operator) -> None:
    wait_for(lambda: served(product) == "full", "it is there")
    product.create(override("incident", "denied", until=soon()))
    wait_for(lambda: served(product) == "denied_override", "it is denied", seconds=5)
    product.delete("brownout.dev/v1alpha1", "FeatureOverride", "incident")
    wait_for(lambda: served(product) == "full", "it is served again", seconds=10)


def test_an_override_that_ends_by_itself_ends_in_it_too(
    kind: LocalCluster, product: Namespace, operator: Operator
) -> None:
    wait_for(lambda: served(product) == "full", "it is there")
    ends = datetime.fromtimestamp(int(time.time()) + 6, UTC)
    product.create(override("incident", "denied", until=ends.strftime("%Y-%m-%dT%H:%M:%SZ")))
    wait_for(lambda: served(product) == "denied_override", "it is denied", seconds=5)
    wait_for(lambda: served(product) == "full", "it is served again", seconds=15)
    assert time.time() >= ends.timestamp()


def test_in_calm_it_is_not_written(kind: LocalCluster, product: Namespace, operator: Operator) -> None:
    wait_for(
        lambda: product.get("brownout.dev/v1alpha1", "FeaturePolicy", FEATURE)["status"]["cells"], "it has a status"
    )
    wait_for(lambda: "policyVersion" in str(resource(product)) and quiet(operator), "nothing is left to write")
    written = operator.metric(WRITES)
    holds_for(
        lambda: operator.metric(WRITES) == written,
        "it is not written again",
        seconds=LATEST_SECONDS,
    )


def test_somebody_elses_is_left_alone_and_that_is_said(kind: LocalCluster, product: Namespace, tmp_path: Path) -> None:
    made = product.create(foreign())
    with Operator(product.cluster, product.name, tmp_path, started=False) as operator:
        operator.grant(RULE)
        operator.start("--feature-flag", NAME)
        wait_for(lambda: state(operator, product, "not_ours"), "it is seen to be somebody else's")
        product.create(override("incident", "denied", until=soon()))
        holds_for(lambda: resource(product)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"],
                  "it is untouched", seconds=5)  # fmt: skip
        assert "is not ours" in operator.log()

        def said() -> list[Any]:
            events = product.list("events.k8s.io/v1", "Event")
            return [e for e in events if e["reason"] == "NotOurs" and e["regarding"]["kind"] == KIND]

        assert wait_for(said, "an Event says so")[0]["regarding"]["uid"] == made["metadata"]["uid"]

        product.delete(API_VERSION, KIND, NAME)
        wait_for(
            lambda: resource(product) and served(product) == "denied_override", "ours takes the free place", seconds=30
        )


def test_a_resource_whose_label_is_taken_off_is_ours_no_more(
    kind: LocalCluster, product: Namespace, operator: Operator
) -> None:
    wait_for(lambda: state(operator, product, "written"), "it is written")
    product.patch(API_VERSION, KIND, NAME, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    wait_for(lambda: state(operator, product, "not_ours"), "it is given up", seconds=LATEST_SECONDS + 10)
    product.create(override("incident", "denied", until=soon()))
    holds_for(lambda: served(product) == "full", "it stays", seconds=5)


def test_a_field_that_a_person_owns_is_not_taken_back(
    kind: LocalCluster, product: Namespace, operator: Operator
) -> None:
    wait_for(lambda: state(operator, product, "written"), "it is written")
    flag = {"spec": {"flagSpec": {"flags": {FEATURE: {"state": "DISABLED"}}}}}
    product.patch(API_VERSION, KIND, NAME, flag)
    product.create(override("incident", "denied", until=soon()))
    wait_for(lambda: state(operator, product, "conflict"), "the conflict is said", seconds=LATEST_SECONDS + 10)
    assert resource(product)["spec"]["flagSpec"]["flags"][FEATURE]["state"] == "DISABLED"
    assert FEATURE in operator.log()
    product.delete(API_VERSION, KIND, NAME)
    wait_for(lambda: resource(product) and served(product) == "denied_override", "it is made anew", seconds=30)


def test_a_flag_that_a_person_adds_stays(kind: LocalCluster, product: Namespace, operator: Operator) -> None:
    wait_for(lambda: state(operator, product, "written"), "it is written")
    product.patch(API_VERSION, KIND, NAME, {"spec": foreign()["spec"]})
    product.create(override("incident", "denied", until=soon()))
    wait_for(lambda: served(product) == "denied_override", "ours goes on", seconds=LATEST_SECONDS + 10)
    assert "theirs" in resource(product)["spec"]["flagSpec"]["flags"]


def test_a_flag_whose_policy_is_gone_goes(kind: LocalCluster, product: Namespace, operator: Operator) -> None:
    policy = product.get("brownout.dev/v1alpha1", "FeaturePolicy", FEATURE)["spec"]
    product.create(ours("FeaturePolicy", "chat", **{**policy, "flagKey": "chat"}))
    wait_for(lambda: "chat" in resource(product)["spec"]["flagSpec"]["flags"], "both are there", seconds=10)
    product.delete("brownout.dev/v1alpha1", "FeaturePolicy", "chat")
    wait_for(lambda: set(resource(product)["spec"]["flagSpec"]["flags"]) == {FEATURE, "brownout.audience"}, "it goes")


def test_policies_that_all_vanish_at_once_stay_in_it(
    kind: LocalCluster, product: Namespace, operator: Operator
) -> None:
    wait_for(lambda: served(product) == "full", "it is there")
    product.delete("brownout.dev/v1alpha1", "FeaturePolicy", FEATURE)
    holds_for(lambda: FEATURE in resource(product)["spec"]["flagSpec"]["flags"], "it stays", seconds=15)


def test_without_the_operator_it_stays_as_it_is(kind: LocalCluster, product: Namespace, operator: Operator) -> None:
    wait_for(lambda: state(operator, product, "written"), "it is written")
    before = resource(product)
    assert operator.stop() == 0
    operator.start()  # switched off
    holds_for(lambda: resource(product) == before, "it is left as it is", seconds=5)
    assert operator.metric("brownout_featureflag") == 0


def test_an_operator_that_may_not_says_what_is_lacking(kind: LocalCluster, product: Namespace, tmp_path: Path) -> None:
    with Operator(product.cluster, product.name, tmp_path, started=False) as operator:
        operator.start("--feature-flag", NAME)
        wait_for(lambda: state(operator, product, "failed"), "it is said")
        assert "operator.featureFlag" in operator.log()
        operator.grant(RULE)
        wait_for(lambda: state(operator, product, "written"), "it is written", seconds=LATEST_SECONDS + 10)


class Raced(FeatureFlags):
    """A writer that is overtaken: between its first look and its write somebody makes the resource."""

    def __init__(self, overtake: Callable[[], object], **more: Any) -> None:
        super().__init__(**more)
        self._overtake: Callable[[], object] | None = overtake

    async def _ask(self, verb: str, namespace: str, body: dict[str, Any] | None = None) -> Any:
        answer = await super()._ask(verb, namespace, body)
        if verb == "GET" and self._overtake:
            overtake, self._overtake = self._overtake, None
            await asyncio.to_thread(overtake)
        return answer


async def test_a_resource_that_appears_while_ours_is_made_is_given_back_as_it_was(
    kind: LocalCluster, product: Namespace
) -> None:
    configuration = Configuration()
    await config.load_kube_config(str(kind.kubeconfig), client_configuration=configuration)
    seen: list[Any] = []
    async with ApiClient(configuration) as client:
        writer = Raced(
            lambda: product.create(foreign(labels={"team": "media"})),
            client=client,
            name=NAME,
            events=Events(client, instance="test", on_drop=lambda: None),
            clock=time.time,
            on_outcome=lambda states: seen.append(dict(states)),
            on_write=lambda: None,
        )
        running = asyncio.create_task(writer.run())
        tiers = {key: structs.replace(tier, key=key) for tier in TIERS for key in [Key(product.name, tier.key.name)]}
        writer.offer(Snapshot(tiers=tiers, namespaces={product.name: {}}))
        try:
            await wait_for_async(lambda: asyncio.sleep(0, seen), "the writer has tried")
        finally:
            running.cancel()
    assert seen[-1] == {product.name: "not_ours"}
    stands = resource(product)
    assert stands["spec"] == foreign()["spec"]
    assert stands["metadata"]["labels"] == {"team": "media"}
    assert "annotations" not in stands["metadata"]


def test_a_kind_that_comes_later_is_found_also_one_without_metadata(
    cluster: LocalCluster, product: Namespace, tmp_path: Path
) -> None:
    feature_flag_kind.remove(cluster)
    with Operator(cluster, product.name, tmp_path, started=False) as operator:
        operator.grant(RULE)
        operator.start("--feature-flag", NAME)
        wait_for(lambda: state(operator, product, "no_kind"), "the kind is missed")
        assert operator.ready()
        feature_flag_kind.install(cluster, with_metadata=False)
        wait_for(lambda: state(operator, product, "written"), "it is written", seconds=LATEST_SECONDS + 10)
    assert served(product) == "full"
    assert "metadata" not in resource(product)["spec"]["flagSpec"]
    assert len(version(product)) == 16
