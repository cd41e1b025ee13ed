"""An operator whose pool's Prometheus wants credentials, at its most talkative and in trouble: they are in nothing that it says or writes."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brownout_localcluster import LocalCluster
from support.cluster import Namespace
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, calm_world
from support.waiting import wait_for

BEARER, HEADER, PASSWORD = "b3arer-t0ken-of-a-test", "t3nant-s3cret", "p4ssw0rd-in-a-url"
SECRETS = (BEARER, HEADER, PASSWORD)


@contextmanager
def telltale() -> Iterator[str]:
    """A server that refuses and repeats what it was sent, as a proxy's page for errors may. Gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = f"refused: {dict(self.headers)}".encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_credentials_of_prometheus_are_in_no_log_metric_status_or_event(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    with calm_world(cluster, namespace) as world, telltale() as elsewhere:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prometheus"}}
        data = {"url": cluster.prometheus.url, "bearer": BEARER, "headers": f"X-Scope-Secret: {HEADER}"}
        namespace.create(secret | {"stringData": data})
        ref = {"spec": {"prometheus": {"secretRef": {"name": "prometheus"}}}}
        cluster.objects.patch(API_VERSION, "GPUPool", world.pool, ref)
        with Operator(cluster, namespace.name, tmp_path, started=False) as operator:
            operator.start("--log-level", "debug", prometheus_url="")
            wait_for(
                lambda: world.condition("FeaturePolicy", FEATURE, "MetricsAvailable")["status"] == "True", "it asks"
            )
            said = _everything(world, operator)
            operator.stop()

            refusing = data | {"url": f"http://{elsewhere}"}
            namespace.patch("v1", "Secret", "prometheus", {"stringData": refusing})
            operator.start("--log-level", "debug", prometheus_url="")
            world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "refuses us (HTTP 401)")
            said += _everything(world, operator)
            operator.stop()

            in_the_url = {"url": f"http://operator:{PASSWORD}@{elsewhere}", "bearer": "", "headers": ""}
            namespace.patch("v1", "Secret", "prometheus", {"stringData": in_the_url})
            operator.start("--log-level", "debug", prometheus_url="")
            world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "refuses us (HTTP 401)")
            said += _everything(world, operator)
            operator.stop()

            namespace.patch("v1", "Secret", "prometheus", {"stringData": {"url": f"http://u:{PASSWORD}@127.0.0.1:1"}})
            operator.start("--log-level", "debug", prometheus_url="")
            world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "cannot be reached")
            said += _everything(world, operator)
        for one in SECRETS:
            assert one not in said, _around(said, one)


def _everything(world: World, operator: Operator) -> str:
    """What it logs and measures, what is in our objects, and the Events of the namespace."""
    kinds = ("InferenceScaler", "UserTier", "FeaturePolicy")
    bodies = [body for kind in kinds for body in world.namespace.list(API_VERSION, kind)]
    bodies.append(world.cluster.objects.get(API_VERSION, "GPUPool", world.pool))
    events = world.namespace.list("events.k8s.io/v1", "Event")
    return "\n".join([operator.log(), operator.get("/metrics"), json.dumps(bodies), json.dumps(events)])


def _around(text: str, word: str) -> str:
    at = text.index(word)
    return text[max(0, at - 300) : at + 100]
