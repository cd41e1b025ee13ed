"""PodMonitor and ServiceMonitor with the fields that the chart writes, as the Prometheus Operator's API reference
(monitoring.coreos.com/v1) describes them; no others, so that one that it does not have would be refused."""

from typing import Any

GROUP = "monitoring.coreos.com"

TEXT = {"type": "string"}
SELECTOR = {
    "type": "object",
    "properties": {
        "matchLabels": {"type": "object", "additionalProperties": TEXT},
        "matchExpressions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "operator"],
                "properties": {"key": TEXT, "operator": TEXT, "values": {"type": "array", "items": TEXT}},
            },
        },
    },
}
NAMESPACES = {
    "type": "object",
    "properties": {"any": {"type": "boolean"}, "matchNames": {"type": "array", "items": TEXT}},
}
INTERVAL = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
ENDPOINTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"port": TEXT, "path": TEXT, "interval": INTERVAL, "honorLabels": {"type": "boolean"}},
    },
}


def _definition(kind: str, endpoints: str) -> dict[str, Any]:
    spec = {
        "type": "object",
        "required": ["selector", endpoints],
        "properties": {"selector": SELECTOR, "namespaceSelector": NAMESPACES, endpoints: ENDPOINTS},
    }
    whole = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


MONITORS = [_definition("PodMonitor", "podMetricsEndpoints"), _definition("ServiceMonitor", "endpoints")]
