"""The chart's optional parts: several operators, chosen namespaces, workloads, Valkey."""

from typing import Any

import pytest
import yaml

from brownout.cli.flags import settings_of
from brownout.cli.main import parser
from brownout_localcluster.charts import render_chart
from support.chart import CASES, CHART, PRODUCT, RELEASE, SYSTEM, Manifest, manifests
from support.chart_rights import Right, granted
from support.examples import REPOSITORY
from support.operator import RULES

CRDS = REPOSITORY / "crds"


def one(case: str, kind: str, name: str) -> Manifest:
    found = [o for o in manifests(case) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def container(case: str, name: str, kind: str = "Deployment") -> dict[str, Any]:
    made: dict[str, Any] = one(case, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return made


def test_the_chart_has_the_definitions_of_the_repository_byte_for_byte() -> None:
    carried = {path.name: path.read_bytes() for path in (REPOSITORY / "charts/brownout/files/crds").iterdir()}
    assert carried == {path.name: path.read_bytes() for path in CRDS.iterdir()}


def test_the_rights_in_the_cluster_are_those_that_the_operators_tests_run_with() -> None:
    role = one("as it is", "ClusterRole", "brownout-operator")
    rules = {"kind": "ClusterRole", "metadata": {"name": "tests"}, "rules": RULES}
    subject = {"kind": "ServiceAccount", "name": "brownout-operator", "namespace": SYSTEM}

    def as_rights(role: Manifest) -> set[Right]:
        ref = {"kind": "ClusterRole", "name": role["metadata"]["name"]}
        binding = {"kind": "ClusterRoleBinding", "metadata": {"name": "tests"}, "roleRef": ref, "subjects": [subject]}
        return granted([role, binding], subject["name"], namespace=SYSTEM)

    assert as_rights(role) == as_rights(rules)


def test_several_operators_elect_a_leader_by_a_lease_of_their_namespace() -> None:
    case = "several operators"
    assert "--leader-elect" in container(case, "brownout-operator")["args"]
    assert one(case, "Deployment", "brownout-operator")["spec"]["strategy"]["type"] == "RollingUpdate"
    rights = granted(manifests(case), "brownout-operator", namespace=SYSTEM)
    lease = Right(SYSTEM, "coordination.k8s.io", "leases", "create")
    named = {lease._replace(verb=verb, name="brownout-operator") for verb in ("get", "update")}
    assert {right for right in rights if right.resource == "leases"} == {lease, *named}


def test_operators_of_another_release_campaign_for_a_lease_of_their_own() -> None:
    settings = parser("operator").parse_args(container("another name", "bo-operator")["args"])
    assert settings.leader_elect_lease_name == "bo-operator"
    rights = granted(manifests("another name"), "bo-operator", namespace=SYSTEM)
    assert {right.name for right in rights if right.resource == "leases"} == {"", "bo-operator"}
    settings = parser("operator").parse_args(container("several operators", "brownout-operator")["args"])
    assert settings.leader_elect_lease_name == "brownout-operator"


def test_a_single_operator_neither_elects_nor_may() -> None:
    assert not any("elect" in word for word in container("as it is", "brownout-operator")["args"])
    assert one("as it is", "Deployment", "brownout-operator")["spec"]["strategy"] == {"type": "Recreate"}
    rights = granted(manifests("as it is"), "brownout-operator", namespace=SYSTEM)
    assert not any(right.resource == "leases" for right in rights)


@pytest.mark.parametrize("account", ["brownout-operator", "brownout-flags"])
def test_chosen_namespaces_are_granted_what_the_cluster_is_otherwise(account: str) -> None:
    everywhere = granted(manifests("as it is"), account, namespace=SYSTEM)
    chosen = granted(manifests("some namespaces"), account, namespace=SYSTEM)
    flags = {"featureflags"}
    assert {(r.group, r.resource, r.verb) for r in chosen if r.resource not in flags} == {
        (r.group, r.resource, r.verb) for r in everywhere
    }
    wide = {right.resource for right in chosen if not right.namespace}
    assert wide <= {"gpupools", "gpupools/status", "nodes", "pods", "namespaces", "resourcequotas"}
    assert {right.namespace for right in chosen} - {""} <= {PRODUCT, SYSTEM, "default"}


def test_releases_of_one_name_in_two_namespaces_share_nothing_of_the_cluster() -> None:
    made: list[set[tuple[str, str, str]]] = []
    for number, namespace in enumerate(("one", "two")):
        only_once = {"crds": {"enabled": number == 0}, "rbac": {"people": number == 0}}
        watched = only_once | {"watchNamespaces": [f"{PRODUCT}-{number}"]}
        text = render_chart(CHART, RELEASE, namespace=namespace, values=watched)
        objects = [o for o in yaml.safe_load_all(text) if o]
        made.append({(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects})
    assert made[0] & made[1] == set()
    assert any(kind == "ClusterRole" for kind, _, _ in made[1])


def test_in_default_the_operator_may_write_events_alone_unless_it_is_chosen() -> None:
    chosen = granted(manifests("some namespaces"), "brownout-operator", namespace=SYSTEM)
    assert {right for right in chosen if right.namespace == "default"} == {
        Right("default", "events.k8s.io", "events", "create")
    }


def test_without_a_console_and_with_chosen_namespaces_the_flag_servers_see_nothing_of_the_cluster() -> None:
    rights = granted(manifests("no console"), "brownout-flags", namespace=SYSTEM)
    assert {right.namespace for right in rights} == {PRODUCT}


def test_chosen_namespaces_reach_the_commands() -> None:
    operator = container("some namespaces, default among them", "brownout-operator")["args"]
    assert parser("operator").parse_args(operator).watch_namespaces == [PRODUCT, "default"]
    flags = container("some namespaces, default among them", "brownout-flags")["args"]
    assert settings_of(parser("flags").parse_args(flags)).namespaces == (PRODUCT, "default")


def test_a_workload_leaves_its_replicas_to_the_autoscaler_unless_it_names_them() -> None:
    assert "replicas" not in one("workloads", "Deployment", "image")["spec"]
    assert "annotations" not in one("workloads", "Deployment", "image")["metadata"]
    named = one("workloads", "Deployment", "chat")
    assert named["spec"]["replicas"] == 2
    assert named["metadata"]["annotations"] == {"brownout.dev/replicas": "named"}


def test_false_and_zero_of_a_workload_stand_above_its_defaults() -> None:
    image, chat = (container("workloads", name) for name in ("image", "chat"))
    assert "--flags-required" in image["args"]
    assert "--flags-required" not in chat["args"]
    assert image["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert chat["resources"]["limits"] == {"memory": "4Gi"}
    assert not any(
        o["kind"] == "PodDisruptionBudget" and o["metadata"]["name"] == "chat" for o in manifests("workloads")
    )


def test_a_workload_reads_the_flags_of_its_own_namespace() -> None:
    environment = {e["name"]: e.get("value") for e in container("workloads", "image")["env"]}
    assert environment["FLAGD_HOST"] == f"brownout-flags.{SYSTEM}.svc"
    assert (
        environment["FLAGD_SOURCE_SELECTOR"]
        == PRODUCT
        == one("workloads", "Deployment", "image")["metadata"]["namespace"]
    )


def test_a_workload_has_a_token_only_to_write_its_deletion_cost() -> None:
    accounts = {o["metadata"]["name"] for o in manifests("workloads") if o["kind"] == "ServiceAccount"}
    assert "chat" in accounts
    assert "image" not in accounts
    assert granted(manifests("workloads"), "chat", namespace=SYSTEM) == {Right(SYSTEM, "", "pods", "patch")}


def test_valkey_is_asked_with_the_password_that_it_wants() -> None:
    case = "quotas in Valkey on a volume"
    flags = {e["name"]: e for e in container(case, "brownout-flags")["env"]}
    assert flags["QUOTA_STORAGE_URL"]["value"] == f"redis://:$(REDIS_PASSWORD)@brownout-redis.{SYSTEM}.svc:6379/0"
    redis = container(case, "brownout-redis", "StatefulSet")
    assert {e["name"]: e for e in redis["env"]}["REDIS_PASSWORD"] == flags["REDIS_PASSWORD"]
    assert redis["args"][redis["args"].index("--requirepass") + 1] == "$(REDIS_PASSWORD)"


def test_valkey_with_a_volume_and_without_one_are_of_two_kinds_of_one_name() -> None:
    without = one("quotas in Valkey", "Deployment", "brownout-redis")["spec"]
    assert without["strategy"] == {"type": "Recreate"}
    assert {"name": "data", "emptyDir": {}} in without["template"]["spec"]["volumes"]
    kept = one("quotas in Valkey on a volume", "StatefulSet", "brownout-redis")["spec"]
    assert [claim["metadata"]["name"] for claim in kept["volumeClaimTemplates"]] == ["data"]
    for case in ("quotas in Valkey", "quotas in Valkey on a volume"):
        assert (
            sum(
                o["metadata"]["name"] == "brownout-redis" and "template" in o["spec"]
                for o in manifests(case)
                if "spec" in o
            )
            == 1
        )


def test_valkey_hears_the_flag_servers_alone() -> None:
    policy = one("quotas in Valkey", "NetworkPolicy", "brownout-redis")["spec"]
    component = "app.kubernetes.io/component"
    assert [rule["from"][0]["podSelector"]["matchLabels"][component] for rule in policy["ingress"]] == ["flags"]
    assert "egress" not in policy
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_an_image_by_its_digest_has_no_tag() -> None:
    for name in ("operator", "flags"):
        image = container("an image by its digest", f"brownout-{name}")["image"]
        assert image == f"registry.example.com/brownout@sha256:{'0' * 64}"


def test_a_flag_server_that_ends_goes_on_answering_for_a_while() -> None:
    assert container("as it is", "brownout-flags")["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in container("a public listener", "brownout-flags")


def test_a_public_service_has_ofrep_and_pages_alone_and_sync_stays_inside() -> None:
    case = "a public listener"
    inside, public = (one(case, "Service", f"brownout-flags{suffix}") for suffix in ("", "-public"))
    assert (inside["spec"]["type"], public["spec"]["type"]) == ("ClusterIP", "LoadBalancer")
    assert [port["port"] for port in inside["spec"]["ports"]] == [8080, 8015]
    assert [port["port"] for port in public["spec"]["ports"]] == [8080]
    assert public["spec"]["selector"] == inside["spec"]["selector"]
    assert public["metadata"]["annotations"] == {"example.com/internal": "true"}
    assert "annotations" not in inside["metadata"]
    http, sync = one(case, "NetworkPolicy", "brownout-flags")["spec"]["ingress"]
    assert http == {"ports": [{"port": 8080, "protocol": "TCP"}]}
    assert sync == {"ports": [{"port": 8015, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]}


def test_whoever_else_may_ask_for_flags_the_releases_own_workloads_may() -> None:
    pod = one("closed networks", "Deployment", "image")["spec"]["template"]["metadata"]["labels"]
    (rule,) = one("closed networks", "NetworkPolicy", "brownout-flags")["spec"]["ingress"]
    ours = [peer for peer in rule["from"] if "podSelector" in peer and "namespaceSelector" in peer]
    assert [peer["namespaceSelector"] for peer in ours] == [{}]  # they are where their products are
    assert ours[0]["podSelector"]["matchLabels"].items() <= pod.items()
    assert {port["port"] for port in rule["ports"]} == {8080, 8015}


def test_without_workloads_nobody_but_the_named_and_the_test_may_ask_for_flags() -> None:
    (rule,) = one("closed networks without workloads", "NetworkPolicy", "brownout-flags")["spec"]["ingress"]
    component = "app.kubernetes.io/component"
    assert [peer["podSelector"]["matchLabels"][component] for peer in rule["from"][:-1]] == ["test"]
    assert rule["from"][-1] == {"namespaceSelector": {"matchLabels": {"media": "true"}}}


def test_a_service_for_outside_is_scraped_by_no_monitor_of_flag_servers() -> None:
    labels = one("a public listener", "Service", "brownout-flags-public")["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] not in ("operator", "flags")


def test_without_a_public_service_annotations_are_on_the_only_one() -> None:
    (service,) = (
        o
        for o in manifests("more on the pods")
        if o["metadata"]["name"].startswith("brownout-flags") and o["kind"] == "Service"
    )
    assert service["metadata"]["annotations"] == {"team": "media"}


def test_a_replica_of_a_workload_that_ends_goes_on_answering_for_a_while() -> None:
    assert container("workloads", "image")["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    words = container("workloads", "image")["args"]
    grace = next(int(word.partition("=")[2]) for word in words if word.startswith("--grace-seconds="))
    pod = one("workloads", "Deployment", "image")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 5 + grace


@pytest.mark.parametrize("case", CASES)
def test_common_labels_are_on_everything(case: str) -> None:
    wanted = CASES[case].get("commonLabels", {})
    for made in manifests(case):
        if made["kind"] != "CustomResourceDefinition":
            assert wanted.items() <= made["metadata"]["labels"].items()
