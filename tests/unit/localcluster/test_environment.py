"""The environment of a container is what Kubernetes says it is, and mounts and Services can be found without a namespace."""

import pytest

from brownout_localcluster.runner.environment import (
    ConfigurationError,
    Manifest,
    expand,
    place,
    resolve_environment,
    service_variables,
)

POD = {
    "metadata": {"name": "p", "namespace": "media", "uid": "u", "labels": {"tier": "free"}, "annotations": {"a": "b"}},
    "spec": {"nodeName": "gpu-1", "serviceAccountName": "robot"},
}
CONFIG_MAPS = {"settings": {"mode": "auto", "level": "3"}}
SECRETS = {"keys": {"token": "s3"}}


def resolve(container: Manifest, base: dict[str, str] | None = None) -> dict[str, str]:
    return resolve_environment(
        container, pod=POD, pod_ip="127.16.1.1", base=base or {}, config_map=CONFIG_MAPS.get, secret=SECRETS.get
    )


def env(**source: object) -> Manifest:
    return {"env": [{"name": "X", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)-$(B)", "one-two"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$one"),
        ("$A ${A}", "$A ${A}"),
        ("", ""),
    ],
)
def test_references_expand_as_kubernetes_expands_them(text: str, expanded: str) -> None:
    assert expand(text, {"A": "one", "B": "two"}) == expanded


def test_a_value_sees_those_before_it_and_not_those_after() -> None:
    container = {
        "env": [{"name": "A", "value": "1$(B)"}, {"name": "B", "value": "2"}, {"name": "C", "value": "$(A)$(B)"}]
    }
    assert resolve(container) == {"A": "1$(B)", "B": "2", "C": "1$(B)2"}


def test_env_wins_over_env_from_and_env_from_over_the_base() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}, "prefix": "KEY_"}],
        "env": [{"name": "level", "value": "4"}],
    }
    assert resolve(container, {"mode": "base", "other": "kept"}) == {
        "mode": "auto",
        "other": "kept",
        "level": "4",
        "KEY_token": "s3",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status.podIP", "127.16.1.1"),
        ("metadata.namespace", "media"),
        ("metadata.labels['tier']", "free"),
        ("metadata.annotations['a']", "b"),
        ("metadata.labels['none']", ""),
        ("spec.serviceAccountName", "robot"),
        ("spec.nodeName", "gpu-1"),
    ],
)
def test_a_field_of_the_pod_is_found(path: str, value: str) -> None:
    assert resolve(env(fieldRef={"fieldPath": path})) == {"X": value}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            {"fieldRef": {"fieldPath": "metadata.creationTimestamp"}},
            "does not know the field metadata.creationTimestamp",
        ),
        ({"configMapKeyRef": {"name": "none", "key": "a"}}, 'ConfigMap "none" not found'),
        ({"secretKeyRef": {"name": "none", "key": "a"}}, 'Secret "none" not found'),
        ({"secretKeyRef": {"name": "keys", "key": "none"}}, "couldn't find key none in Secret keys"),
        ({"fileKeyRef": {}}, "valueFrom with fileKeyRef"),
    ],
)
def test_what_is_missing_is_named(source: Manifest, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        resolve(env(**source))


def test_what_is_optional_may_be_missing() -> None:
    assert resolve(env(configMapKeyRef={"name": "none", "key": "a", "optional": True})) == {}
    assert resolve(env(secretKeyRef={"name": "keys", "key": "none", "optional": True})) == {}
    assert resolve({"envFrom": [{"configMapRef": {"name": "none", "optional": True}}]}) == {}


def service(name: str, address: str) -> Manifest:
    ports = [{"name": "http", "port": 8080}, {"name": "flag-sync", "port": 8015}]
    return {"metadata": {"name": name}, "spec": {"clusterIP": address, "ports": ports}}


def test_services_become_variables_and_headless_ones_do_not() -> None:
    assert service_variables([service("my-flags", "127.17.0.9"), service("headless", "None")]) == {
        "MY_FLAGS_SERVICE_HOST": "127.17.0.9",
        "MY_FLAGS_SERVICE_PORT": "8080",
        "MY_FLAGS_SERVICE_PORT_HTTP": "8080",
        "MY_FLAGS_SERVICE_PORT_FLAG_SYNC": "8015",
    }


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("/etc/app", "/real/app"),
        ("/etc/app/x.yaml", "/real/app/x.yaml"),
        ("--config=/etc/app/x.yaml", "--config=/real/app/x.yaml"),
        ("/etc/app:/etc/app/deep", "/real/app:/elsewhere"),
        ("/etc/app/deep/y", "/elsewhere/y"),
        ("/etc/application", "/etc/application"),
        ("http://host/etc/app", "http://host/etc/app"),
        ("see /etc/app", "see /etc/app"),
    ],
)
def test_a_mount_path_becomes_the_real_folder(text: str, placed: str) -> None:
    mounts = {"/etc/app/": "/real/app", "/etc/app/deep": "/elsewhere"}
    assert place(text, mounts=mounts, service_address=lambda namespace, name: None) == placed


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("http://flags.brownout-system.svc:8080/x", "http://127.17.0.9:8080/x"),
        ("flags.brownout-system.svc.cluster.local", "127.17.0.9"),
        ("http://other.brownout-system.svc:8080", "http://other.brownout-system.svc:8080"),
        ("flags.brownout-system.example.com", "flags.brownout-system.example.com"),
    ],
)
def test_the_dns_name_of_a_service_becomes_its_address(text: str, placed: str) -> None:
    known = {("brownout-system", "flags"): "127.17.0.9"}
    assert place(text, mounts={}, service_address=lambda namespace, name: known.get((namespace, name))) == placed
