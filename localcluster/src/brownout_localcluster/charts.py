"""Installs a Helm chart as `helm upgrade --install` does: with Helm itself, from a Python package, without the program.

Helm's library carries the Go runtime, with threads and signal handlers of its own, so it runs in a process of its own too.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ChartError(Exception):
    """Helm refused a chart; the message is Helm's."""


def install_chart(
    kubeconfig: Path,
    chart: Path,
    release: str,
    *,
    namespace: str,
    values: Mapping[str, Any] | None = None,
    wait_seconds: int = 0,
) -> str:
    """Installs `chart`, or upgrades it if the release exists, and returns the manifest that was applied.

    The namespace is created if there is none. With `wait_seconds`, waits as `helm --wait` does. Raises ChartError.
    """
    return _in_child(
        {
            "do": "install",
            "kubeconfig": str(kubeconfig),
            "chart": str(chart.absolute()),
            "release": release,
            "namespace": namespace,
            "values": dict(values or {}),
            "wait_seconds": wait_seconds,
        }
    )


def uninstall_chart(kubeconfig: Path, release: str, *, namespace: str) -> None:
    """Removes a release; its CRDs stay, as they do with Helm. Raises ChartError."""
    _in_child({"do": "uninstall", "kubeconfig": str(kubeconfig), "release": release, "namespace": namespace})


def render_chart(chart: Path, release: str, *, namespace: str, values: Mapping[str, Any] | None = None) -> str:
    """The manifests of a chart as `helm template` prints them, without a cluster. Raises ChartError."""
    return _in_child(
        {
            "do": "render",
            "chart": str(chart.absolute()),
            "release": release,
            "namespace": namespace,
            "values": dict(values or {}),
        }
    )


def _in_child(order: dict[str, Any]) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "brownout_localcluster.charts"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise ChartError(ran.stderr.strip() or f"helm ended with status {ran.returncode}")
    return ran.stdout


def _obey(order: dict[str, Any]) -> str:
    import helm_python as helm  # its Go runtime starts here, and only in the child

    if order["do"] == "render":
        with helm.Chart.load(order["chart"]) as chart:
            rendered = chart.render(order["values"], name=order["release"], namespace=order["namespace"])
        return "\n---\n".join(
            text for path, text in sorted(rendered.items()) if not path.endswith(".txt") and text.strip()
        )
    with helm.Config(kubeconfig_path=order["kubeconfig"], namespace=order["namespace"]) as config:
        if order["do"] == "uninstall":
            config.uninstall(order["release"])
            return ""
        waiting: dict[str, Any] = {}
        if order["wait_seconds"]:
            waiting = {"wait": "watcher", "timeout": order["wait_seconds"]}
        if any(release["name"] == order["release"] for release in config.list()):
            done = config.upgrade(order["chart"], order["release"], order["values"], **waiting)
        else:
            done = config.install(order["chart"], order["release"], order["values"], create_namespace=True, **waiting)
    return str(done["manifest"])


if __name__ == "__main__":
    try:
        print(_obey(json.load(sys.stdin)))
    except Exception as error:
        sys.exit(f"{error}")
