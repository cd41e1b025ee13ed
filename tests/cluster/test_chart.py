"""The chart, installed by Helm on a control plane of its own: everything comes up with exactly the rights it grants."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from brownout.api.resources import RESOURCES
from brownout_localcluster import GPUNode, LocalCluster
from brownout_localcluster.charts import install_chart, uninstall_chart
from support.cluster import is_ready
from support.command import brownout
from support.examples import EXAMPLES, REPOSITORY
from support.waiting import wait_for

CHART = REPOSITORY / "charts" / "brownout"
SYSTEM = "brownout-system"


@pytest.fixture(scope="module")
def installed() -> Iterator[LocalCluster]:
    """A cluster with the chart, as release `brownout`. Its own, because definitions belong to whoever installs them first."""
    with LocalCluster(nodes=[GPUNode(name="gpu-1", gpus=8)]) as cluster:
        install_chart(cluster.kubeconfig, CHART, "brownout", namespace=SYSTEM, values={"flags": {"replicas": 1}})
        yield cluster


def can(cluster: LocalCluster, account: str, verb: str, what: str, *, namespace: str = "default") -> bool:
    """Whether a ServiceAccount of the chart, or a user, may do something."""
    who = f"system:serviceaccount:{SYSTEM}:{account}" if account.startswith("brownout-") else account
    answer = cluster.kubectl("auth", "can-i", verb, what, "--as", who, "-n", namespace, check=False)
    return answer.strip() == "yes"


def test_the_definitions_are_established(installed: LocalCluster) -> None:
    for resource in RESOURCES:
        name = f"{resource.plural}.brownout.dev"

        def established(name: str = name) -> bool:
            crd = installed.objects.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
            conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions", ())}
            return conditions.get("Established") == "True"

        wait_for(established, f"{name} is established")


@pytest.mark.parametrize("component", ["operator", "flags"])
def test_the_pods_become_ready_with_the_rights_that_the_chart_grants(installed: LocalCluster, component: str) -> None:
    def ready() -> bool:
        pods = installed.objects.list("v1", "Pod", namespace=SYSTEM, labels={"app.kubernetes.io/component": component})
        return bool(pods) and all(is_ready(pod) for pod in pods)

    try:
        wait_for(ready, f"the pods of {component} are ready", seconds=90)
    except AssertionError as error:
        pods = installed.objects.list("v1", "Pod", namespace=SYSTEM, labels={"app.kubernetes.io/component": component})
        logs = "\n".join(installed.pod_logs(SYSTEM, pod["metadata"]["name"])[-3000:] for pod in pods)
        raise AssertionError(f"{error}\n{logs}") from None


def test_the_minimal_example_is_decided_on_and_served(installed: LocalCluster) -> None:
    installed.kubectl("apply", "-f", str(EXAMPLES / "minimal.yaml"))

    def tried() -> bool:
        tier = installed.objects.get("brownout.dev/v1alpha1", "UserTier", "free", namespace="default")
        return tier.get("status", {}).get("tried") == 2

    wait_for(tried, "the operator has written the tier's status", seconds=60)
    address = installed.objects.get("v1", "Service", "brownout-flags", namespace=SYSTEM)["spec"]["clusterIP"]

    def served() -> str:
        with urlopen(f"http://{address}:8080/readyz", timeout=5) as response:
            return str(response.status)

    wait_for(served, "the flags' Service answers", seconds=60)


def test_status_shows_what_the_operator_decided(installed: LocalCluster) -> None:
    installed.kubectl("apply", "-f", str(EXAMPLES / "minimal.yaml"))

    def printed() -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "brownout.cli.main", "status"],
            env=os.environ | {"KUBECONFIG": str(installed.kubeconfig)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout if "everybody it is for" in ran.stdout else ""

    lines = wait_for(printed, "status shows the feature as served", seconds=60).splitlines()
    assert any(line.split()[:2] == ["gpus", "8"] for line in lines), lines
    assert any(line.split()[0] == "default/chat" and line.endswith("full") for line in lines if line), lines
    assert any(line.startswith("InferenceScaler default/chat: ") for line in lines), lines


@pytest.mark.parametrize(
    ("account", "verb", "what", "namespace"),
    [
        ("brownout-operator", "patch", "featurepolicies.brownout.dev --subresource=status", "default"),
        ("brownout-operator", "patch", "deployments.apps --subresource=scale", "default"),
        ("brownout-operator", "get", "secrets", SYSTEM),
        ("brownout-flags", "watch", "featurepolicies.brownout.dev", "default"),
    ],
)  # fmt: skip
def test_the_parts_may_do_what_they_are_for(
    installed: LocalCluster, account: str, verb: str, what: str, namespace: str
) -> None:
    resource, *part = what.split()
    answer = installed.kubectl(
        *("auth", "can-i", verb, resource, *part, "-n", namespace),
        *("--as", f"system:serviceaccount:{SYSTEM}:{account}"),
        check=False,
    )
    assert answer.strip() == "yes"


@pytest.mark.parametrize(
    ("account", "verb", "what"),
    [
        ("brownout-operator", "get", "secrets"),
        ("brownout-operator", "patch", "deployments.apps"),
        ("brownout-operator", "patch", "featurepolicies.brownout.dev"),
        ("brownout-operator", "delete", "pods"),
        ("brownout-flags", "get", "secrets"),
        ("brownout-flags", "list", "pods"),
        ("brownout-flags", "patch", "featurepolicies.brownout.dev"),
    ],
)  # fmt: skip
def test_the_parts_may_do_no_more(installed: LocalCluster, account: str, verb: str, what: str) -> None:
    assert not can(installed, account, verb, what)


def test_who_edits_a_namespace_edits_its_policies_and_overrides_nothing(installed: LocalCluster) -> None:
    installed.kubectl("create", "rolebinding", "dora", "--clusterrole=edit", "--user=dora", "-n", "default")
    # The aggregated role is filled by a controller.
    wait_for(lambda: can(installed, "dora", "update", "featurepolicies.brownout.dev"), "edit has our rules")
    assert can(installed, "dora", "list", "featureoverrides.brownout.dev")
    assert not can(installed, "dora", "create", "featureoverrides.brownout.dev")
    assert not can(installed, "dora", "update", "gpupools.brownout.dev")
    installed.kubectl(
        "create", "rolebinding", "dora-overrides", "--clusterrole=brownout-override", "--user=dora", "-n", "default"
    )
    assert can(installed, "dora", "create", "featureoverrides.brownout.dev")
    assert not can(installed, "dora", "create", "featureoverrides.brownout.dev", namespace=SYSTEM)


def test_who_may_override_needs_nothing_else_for_the_command(installed: LocalCluster, tmp_path: Path) -> None:
    installed.kubectl("apply", "-f", str(EXAMPLES / "minimal.yaml"))
    installed.kubectl("create", "serviceaccount", "oncall", "-n", "default")
    installed.kubectl(
        *("create", "rolebinding", "oncall", "--clusterrole=brownout-override", "-n", "default"),
        "--serviceaccount=default:oncall",
    )
    kubeconfig = json.loads(installed.kubeconfig.read_text())
    token = installed.kubectl("create", "token", "oncall", "-n", "default").strip()
    kubeconfig["users"] = [{"name": kubeconfig["users"][0]["name"], "user": {"token": token}}]
    mine = tmp_path / "kubeconfig"
    mine.write_text(json.dumps(kubeconfig))
    deny = ("override", "chat", "--tier", "free", "--variant", "denied", "--for", "10m", "--reason", "a test")

    made = brownout(mine, *deny)
    assert made.returncode == 0, made.stderr
    assert "chat for free: denied until" in made.stdout
    assert brownout(mine, "why", "plan=free", "chat").returncode == 0
    ended = brownout(mine, "override", "--end", "chat")
    assert ended.returncode == 0, ended.stderr

    elsewhere = brownout(mine, *deny, "-n", SYSTEM)
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.startswith("Error from server (Forbidden): ")
    assert "brownout-override" in elsewhere.stderr


def test_who_views_a_namespace_sees_its_policies_and_changes_none(installed: LocalCluster) -> None:
    installed.kubectl("create", "rolebinding", "vera", "--clusterrole=view", "--user=vera", "-n", "default")
    wait_for(lambda: can(installed, "vera", "list", "featurepolicies.brownout.dev"), "view has our rules")
    assert not can(installed, "vera", "update", "featurepolicies.brownout.dev")


def test_uninstalling_leaves_the_policies_where_they_are(installed: LocalCluster) -> None:
    installed.kubectl("apply", "-f", str(EXAMPLES / "minimal.yaml"))
    uninstall_chart(installed.kubeconfig, "brownout", namespace=SYSTEM)
    assert installed.objects.find("apps/v1", "Deployment", "brownout-operator", namespace=SYSTEM) is None
    assert installed.objects.find("rbac.authorization.k8s.io/v1", "ClusterRole", "brownout-operator") is None
    policy = installed.objects.get("brownout.dev/v1alpha1", "FeaturePolicy", "chat", namespace="default")
    assert policy["spec"]["flagKey"] == "chat"
    install_chart(installed.kubeconfig, CHART, "brownout", namespace=SYSTEM, values={"flags": {"replicas": 1}})
    assert installed.objects.find("apps/v1", "Deployment", "brownout-operator", namespace=SYSTEM) is not None
