"""The chart as Helm renders it, over a few values."""

from functools import cache
from typing import Any

import pytest
import yaml

from brownout.api.generate import definition
from brownout.api.resources import RESOURCES
from brownout.cli.flags import settings_of
from brownout.cli.main import parser
from brownout.flags.callers import CallerSettings
from brownout.flags.connection import Limits
from brownout_localcluster.charts import render_chart
from support.examples import REPOSITORY

CHART = REPOSITORY / "charts" / "brownout"
OURS = {resource.plural for resource in RESOURCES}

Rendered = dict[tuple[str, str], dict[str, Any]]


def render(release: str = "brownout", **values: Any) -> Rendered:
    """Objects by kind and name."""
    text = render_chart(CHART, release, namespace="brownout-system", values=values)
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text) if o}


@cache
def default() -> Rendered:
    return render()


def container(rendered: Rendered, deployment: str) -> dict[str, Any]:
    found: dict[str, Any] = rendered["Deployment", deployment]["spec"]["template"]["spec"]["containers"][0]
    return found


def rules(rendered: Rendered, kind: str, name: str) -> dict[tuple[str, str], set[str]]:
    """What a role grants: verbs by group and resource."""
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in rendered[kind, name]["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    return granted


def test_the_definitions_are_those_of_the_repository_and_outlive_the_release() -> None:
    for resource in RESOURCES:
        found = default()["CustomResourceDefinition", f"{resource.plural}.brownout.dev"]
        assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert found == definition(resource)


def test_the_definitions_can_be_left_to_somebody_else_or_to_the_release() -> None:
    assert not any(kind == "CustomResourceDefinition" for kind, _ in render(crds={"enabled": False}))
    kept = render(crds={"keep": False})["CustomResourceDefinition", "gpupools.brownout.dev"]
    assert "annotations" not in kept["metadata"]


def test_every_namespaced_object_lands_in_the_releases_namespace() -> None:
    cluster_wide = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for (kind, _), body in default().items():
        assert body["metadata"].get("namespace") == (None if kind in cluster_wide else "brownout-system")


def test_both_run_the_image_of_the_charts_version_with_their_command() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    for name, words in (("operator", ["operator"]), ("flags", ["flags", "serve"])):
        one = container(default(), f"brownout-{name}")
        assert one["image"] == f"brownout/brownout:{version}"
        assert one["args"][: len(words)] == words


def test_feature_flag_resources_are_written_and_may_be_only_where_they_are_asked_for() -> None:
    of = ("core.openfeature.dev", "featureflags")
    asked = render(operator={"featureFlag": "brownout"})
    assert rules(asked, "ClusterRole", "brownout-operator")[of] == {"get", "create", "patch"}
    assert "--feature-flag=brownout" in container(asked, "brownout-operator")["args"]
    assert of not in rules(default(), "ClusterRole", "brownout-operator")
    assert "--feature-flag" not in str(default())


def test_where_quotas_are_counted_comes_from_a_secret_and_reaches_the_flag_servers_alone() -> None:
    rendered = render(flags={"quotaStorage": {"secretRef": {"name": "redis"}}})
    url = {"name": "QUOTA_STORAGE_URL", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "url"}}}
    assert url in container(rendered, "brownout-flags")["env"]
    assert url not in container(rendered, "brownout-operator")["env"]
    assert "QUOTA_STORAGE_URL" not in str(default())


def test_values_reach_the_pods() -> None:
    rendered = render(
        image={"repository": "example/brownout", "tag": "edge", "pullSecrets": [{"name": "pull"}]},
        operator={
            "prometheus": {"url": "http://prometheus:9090"},
            "extraArgs": ["--log-level=debug"],
            "extraEnv": [{"name": "EXTRA", "value": "1"}],
            "podAnnotations": {"team": "media"},
            "nodeSelector": {"disk": "fast"},
        },
        flags={"replicas": 3, "extraArgs": ["--namespace=media"]},
        scrapeAnnotations=False,
    )
    operator = container(rendered, "brownout-operator")
    assert operator["image"] == "example/brownout:edge"
    assert "--prometheus-url=http://prometheus:9090" in operator["args"]
    assert operator["args"][-1] == "--log-level=debug"
    assert operator["env"][-1] == {"name": "EXTRA", "value": "1"}
    template = rendered["Deployment", "brownout-operator"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {"team": "media"}
    assert template["spec"]["nodeSelector"] == {"disk": "fast"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert rendered["Deployment", "brownout-flags"]["spec"]["replicas"] == 3
    assert container(rendered, "brownout-flags")["args"][-1] == "--namespace=media"


def serve_arguments(**flags: Any) -> tuple[list[str], dict[str, Any]]:
    """The arguments of the flag server as its own command line reads them, and the pod."""
    rendered = render(flags=flags)
    arguments: list[str] = container(rendered, "brownout-flags")["args"]
    return arguments, rendered["Deployment", "brownout-flags"]["spec"]["template"]["spec"]


def test_a_public_flag_server_is_set_up_by_values_alone() -> None:
    arguments, pod = serve_arguments(
        publicUrl="https://flags.example.com",
        cors={"origins": ["https://app.example.com", "*"]},
        auth={
            "trustContext": False,
            "required": True,
            "apiKeys": {"secretRef": {"name": "gateways", "key": "api-keys"}},
            "jwt": {
                "jwksUrl": "https://id.example.com/jwks.json",
                "issuer": "https://id.example.com/",
                "audiences": ["flags"],
                "contextClaim": "https://example.com/flags",
            },
        },
    )
    settings = settings_of(parser("flags").parse_args(arguments))
    assert (settings.public_url, settings.cors_origins) == (
        "https://flags.example.com",
        ("https://app.example.com", "*"),
    )
    callers = settings.callers
    assert (callers.trust_context, callers.required) == (False, True)
    assert callers.tokens is not None
    assert callers.tokens.algorithms == ("RS256", "ES256", "EdDSA")
    assert callers.tokens.context_claim == "https://example.com/flags"
    mounted = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert str(callers.api_keys_file) == f"{mounted['api-keys']}/api-keys"
    assert {"name": "api-keys", "secret": {"secretName": "gateways"}} in pod["volumes"]


def test_by_default_the_flag_server_believes_its_callers_as_inside_a_cluster() -> None:
    settings = settings_of(parser("flags").parse_args(serve_arguments()[0]))
    assert settings.callers == CallerSettings()
    assert (settings.cors_origins, settings.most_event_streams, settings.notice_spread_seconds) == ((), 10_000, 10.0)
    assert settings.limits == Limits(most=2_048)


@pytest.mark.parametrize(
    ("jwt", "sentence"),
    [
        ({"jwksUrl": "https://id/keys"}, "flags.auth.jwt.issuer: is needed"),
        ({"jwksUrl": "https://id/keys", "issuer": "i"}, "flags.auth.jwt.audiences: is needed"),
    ],
)
def test_keys_without_whose_tokens_count_are_refused_when_installing(jwt: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        serve_arguments(auth={"jwt": jwt})


@pytest.mark.parametrize("name", ["operator", "flags"])
def test_pods_are_found_by_prometheus_and_probed_where_they_listen(name: str) -> None:
    template = default()["Deployment", f"brownout-{name}"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
    }
    one = container(default(), f"brownout-{name}")
    assert one["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 8080}
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8080}
    assert {one[probe]["timeoutSeconds"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")} == {5}
    assert {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}} in one["env"]


@pytest.mark.parametrize("name", ["operator", "flags"])
def test_pods_fit_the_restricted_pod_security_standard(name: str) -> None:
    pod = default()["Deployment", f"brownout-{name}"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container(default(), f"brownout-{name}")["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_services_select_the_pods_and_point_to_ports_that_they_have() -> None:
    for name in ("operator", "flags"):
        service = default()["Service", f"brownout-{name}"]["spec"]
        deployment = default()["Deployment", f"brownout-{name}"]["spec"]
        assert service["selector"] == deployment["selector"]["matchLabels"]
        assert service["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
        listening = {port["containerPort"] for port in container(default(), f"brownout-{name}")["ports"]}
        assert {port["targetPort"] for port in service["ports"]} == listening


def test_the_operator_writes_status_and_scale_and_events_and_nothing_else_in_the_cluster() -> None:
    granted = rules(default(), "ClusterRole", "brownout-operator")
    writing = {at: verbs - {"get", "list", "watch"} for at, verbs in granted.items()}
    assert {at: verbs for at, verbs in writing.items() if verbs} == {
        **{("brownout.dev", f"{plural}/status"): {"patch"} for plural in OURS},
        ("apps", "deployments/scale"): {"patch"},
        ("apps", "statefulsets/scale"): {"patch"},
        ("events.k8s.io", "events"): {"create"},
    }


def test_secrets_are_read_one_by_one_in_the_operators_namespace_alone() -> None:
    for (kind, name), body in default().items():
        if kind == "ClusterRole":
            assert not any("secrets" in rule["resources"] for rule in body["rules"]), name
    assert rules(default(), "Role", "brownout-operator")["", "secrets"] == {"get"}
    assert default()["RoleBinding", "brownout-operator"]["metadata"]["namespace"] == "brownout-system"


def test_flags_only_watch() -> None:
    granted = rules(default(), "ClusterRole", "brownout-flags")
    assert granted == {("brownout.dev", plural): {"list", "watch"} for plural in OURS}


def test_without_a_console_pools_are_not_watched() -> None:
    rendered = render(flags={"console": {"enabled": False}})
    granted = rules(rendered, "ClusterRole", "brownout-flags")
    assert granted == {("brownout.dev", plural): {"list", "watch"} for plural in OURS - {"gpupools"}}
    assert not any("console" in argument for argument in container(rendered, "brownout-flags")["args"])


def test_the_console_is_on_no_port_that_the_pod_or_the_service_names() -> None:
    one = container(default(), "brownout-flags")
    assert "--console-port=8081" in one["args"]
    assert not any("console-host" in argument for argument in one["args"])
    assert 8081 not in {port["containerPort"] for port in one["ports"]}
    assert 8081 not in {port["port"] for port in default()["Service", "brownout-flags"]["spec"]["ports"]}


def test_the_status_page_can_be_left_away() -> None:
    assert "--no-status-page" not in container(default(), "brownout-flags")["args"]
    rendered = render(flags={"statusPage": {"enabled": False}})
    assert "--no-status-page" in container(rendered, "brownout-flags")["args"]


def test_more_scale_targets_are_granted_as_the_values_say() -> None:
    targets = [{"apiGroups": ["leaderworkerset.x-k8s.io"], "resources": ["leaderworkersets"]}]
    granted = rules(render(scaleTargets=targets), "ClusterRole", "brownout-operator")
    assert ("leaderworkerset.x-k8s.io", "leaderworkersets") not in granted
    assert granted["leaderworkerset.x-k8s.io", "leaderworkersets/scale"] == {"get", "patch"}
    assert ("apps", "deployments/scale") not in granted


def test_editing_includes_neither_overrides_nor_pools() -> None:
    edit = rules(default(), "ClusterRole", "brownout-edit")
    assert {resource for _, resource in edit} == OURS - {"featureoverrides", "gpupools"}
    labels = default()["ClusterRole", "brownout-override"]["metadata"]["labels"]
    assert not any(label.startswith("rbac.authorization.k8s.io/aggregate") for label in labels)


def test_another_releases_objects_have_other_names() -> None:
    names = {name for kind, name in render("media") if kind == "Deployment"}
    assert names == {"media-brownout-operator", "media-brownout-flags"}


def test_rights_can_be_left_to_somebody_else() -> None:
    rendered = render(rbac={"create": False})
    assert not any("Role" in kind for kind, _ in rendered)
    assert ("ServiceAccount", "brownout-operator") in rendered
