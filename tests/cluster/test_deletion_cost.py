"""A scale-down takes the idlest replica, where replicas say how busy they are."""

import threading
from typing import Any

import requests

from support.cluster import Manifest, Namespace, is_ready
from support.waiting import wait_for

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
PORT = 8000
LABELS = {"app": "image"}
NAMES = (("POD_IP", "status.podIP"), ("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace"))


def account() -> list[Manifest]:
    name = {"name": "image"}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": name,
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "image"},
            "subjects": [{"kind": "ServiceAccount", "name": "image"}],
        },
    ]


def deployment() -> Manifest:
    arguments = ["serve", "--workload", "image", "--features", "image-generation", "--step-seconds", "0.5"]
    container = {
        "name": "server",
        "image": "brownout/inference:dev",
        "args": [*arguments, "--pod-deletion-cost-seconds", "1"],
        "env": [{"name": "PORT", "value": str(PORT)}]
        + [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in NAMES],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "image"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"serviceAccountName": "image", "containers": [container]},
            },
        },
    }


def test_a_scale_down_takes_the_idle_replica_and_not_the_one_that_works(namespace: Namespace) -> None:
    for manifest in account():
        if manifest["kind"] == "RoleBinding":
            manifest["subjects"][0]["namespace"] = namespace.name
        namespace.create(manifest)
    namespace.create(deployment())

    def pods() -> list[Manifest]:
        return namespace.list("v1", "Pod", labels=LABELS)

    wait_for(lambda: len(pods()) == 2 and all(map(is_ready, pods())), "two replicas are ready", seconds=90)
    busy = max(pods(), key=lambda pod: str(pod["metadata"]["name"]))
    answers: list[Any] = []

    def ask() -> None:
        url = f"http://{busy['status']['podIP']}:{PORT}/v1/images/generations"
        answers.append(requests.post(url, json={"prompt": "a seven", "n": 4}, timeout=60))

    asking = [threading.Thread(target=ask) for _ in range(6)]  # four pictures each, eight steps of half a second: 24 s
    for thread in asking:
        thread.start()

    def cost_of_busy() -> str:
        annotations = namespace.pod(busy["metadata"]["name"])["metadata"].get("annotations", {})
        return str(annotations.get(ANNOTATION, ""))

    wait_for(lambda: cost_of_busy() not in ("", "0"), "the busy replica says that it is busy")
    namespace.patch("apps/v1", "Deployment", "image", {"spec": {"replicas": 1}})
    (left,) = wait_for(lambda: found if len(found := pods()) == 1 else None, "one replica is left", seconds=60)
    assert left["metadata"]["name"] == busy["metadata"]["name"]
    for thread in asking:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
