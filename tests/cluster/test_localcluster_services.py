"""Services of the local cluster lead to ready pods, and Prometheus finds the pods by itself."""

import urllib.request
from typing import Any

import pytest

from support.cluster import Namespace, is_ready, python_pod
from support.waiting import holds_for, wait_for

SERVER = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/plain; version=0.0.4"); self.end_headers()
        self.wfile.write(b"answered_total 1\\n" if self.path == "/metrics" else os.environ["HOSTNAME"].encode())
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8000), Answer).serve_forever()
"""
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
PROBE = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}


def server(name: str, **spec: Any) -> dict[str, Any]:
    container = {"env": [POD_IP], "ports": [{"name": "http", "containerPort": 8000}], "readinessProbe": PROBE}
    return python_pod(name, SERVER, labels={"app": "server"}, container=container, **spec)


def service(namespace: Namespace) -> str:
    """Creates a Service for the pods of `server` and returns its URL."""
    created = namespace.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "front"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 8080, "targetPort": "http"}]},
        }
    )
    return f"http://{created['spec']['clusterIP']}:8080/"


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_service_spreads_over_ready_pods_alone(namespace: Namespace) -> None:
    url = service(namespace)
    namespace.create(server("a"))
    namespace.create(server("b"))
    namespace.create(server("c", annotations={"localcluster.brownout.dev/never-ready": "true"}))
    namespace.wait_until_ready("a")
    namespace.wait_until_ready("b")
    wait_for(lambda: ask(url), "the Service answers")
    assert {ask(url) for _ in range(10)} == {"a", "b"}


def test_a_service_without_ready_pods_refuses(namespace: Namespace) -> None:
    url = service(namespace)
    namespace.create(server("a"))
    namespace.wait_until_ready("a")
    wait_for(lambda: ask(url) == "a", "the Service answers")
    namespace.delete("v1", "Pod", "a")
    wait_for(lambda: namespace.find("v1", "Pod", "a") is None, "the pod is gone")
    with pytest.raises(OSError, match=r"reset|refused|closed"):
        ask(url)


def test_pods_find_services_by_variable_and_by_dns_name(namespace: Namespace) -> None:
    address = service(namespace).removeprefix("http://").removesuffix(":8080/")
    env = [{"name": "FRONT", "value": f"http://front.{namespace.name}.svc.cluster.local:$(FRONT_SERVICE_PORT)"}]

    def printed() -> bool:
        # A pod that was quicker than the runner's view of the Service says so, and is told on its next start.
        return f"{address} http://{address}:8080" in namespace.logs("asker")

    namespace.create(
        python_pod(
            "asker",
            "import os; print(os.environ.get('FRONT_SERVICE_HOST'), os.environ['FRONT'])",
            container={"env": env},
        )
    )
    wait_for(printed, "the pod prints the Service's address")


def test_prometheus_scrapes_annotated_pods(namespace: Namespace) -> None:
    prometheus = namespace.cluster.prometheus
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"}
    namespace.create(server("measured", annotations=annotations))
    namespace.wait_until_ready("measured")
    found = wait_for(
        lambda: prometheus.query(f'answered_total{{namespace="{namespace.name}"}}'), "Prometheus has the metric"
    )
    assert [(labels["pod"], value) for labels, value in found] == [("measured", 1.0)]


def test_a_pod_that_is_gone_leaves_prometheus_within_the_lookback(namespace: Namespace) -> None:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"}
    namespace.create(server("measured", annotations=annotations))
    query = f'answered_total{{namespace="{namespace.name}"}}'
    wait_for(lambda: namespace.cluster.prometheus.query(query), "Prometheus has the metric")
    namespace.delete("v1", "Pod", "measured")
    wait_for(lambda: not namespace.cluster.prometheus.query(query), "the metric is stale", seconds=25)


def test_a_pod_whose_readiness_probe_is_refused_is_not_ready(namespace: Namespace) -> None:
    pod = python_pod(
        "mute", "import time; time.sleep(600)", container={"readinessProbe": {"tcpSocket": {"port": 8000}}}
    )
    namespace.create(pod)
    wait_for(lambda: namespace.pod("mute")["status"].get("phase") == "Running", "the pod runs")
    holds_for(lambda: not is_ready(namespace.pod("mute")), "the pod is not ready", seconds=1.5)
