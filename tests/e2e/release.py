"""The chart's release, as the tests install it."""

from typing import Any

from e2e.settings import ROOT

CHART = ROOT / "charts" / "brownout"
RELEASE = "brownout"
SYSTEM = "brownout-system"
MONITORING = "monitoring"
PROMETHEUS_URL = f"http://prometheus.{MONITORING}:9090"


def values(tag: str) -> dict[str, Any]:
    """Two flag servers, reached from outside by a NodePort, and the images that were built."""
    return {
        "image": {"tag": tag},
        "operator": {"prometheus": {"url": PROMETHEUS_URL}},
        "flags": {"replicas": 2, "service": {"type": "NodePort"}},
    }
