"""Installs a Helm chart as `helm upgrade --install` does: with Helm itself, from a Python package, without the program.

Helm's library carries the Go runtime, with threads and signal handlers of its own, so it runs in a process of its own too.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
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


def run_chart_tests(kubeconfig: Path, release: str, *, namespace: str, wait_seconds: int = 120) -> str:
    """Runs the tests of a release as `helm test --logs` does; returns what they printed.

    Raises ChartError where one fails, or does not end in time.
    """
    return _in_child(
        {
            "do": "test",
            "kubeconfig": str(kubeconfig),
            "release": release,
            "namespace": namespace,
            "wait_seconds": wait_seconds,
        }
    )


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


def render_notes(chart: Path, release: str, *, namespace: str, values: Mapping[str, Any] | None = None) -> str:
    """What Helm tells whoever installs the chart. Raises ChartError."""
    rendered = render_all(chart, release, namespace=namespace, values=[values or {}])[0]
    if isinstance(rendered, ChartError):
        raise rendered
    return next(text for path, text in rendered.items() if path.endswith("/NOTES.txt"))


def render_all(
    chart: Path, release: str, *, namespace: str, values: Sequence[Mapping[str, Any]]
) -> list[dict[str, str] | ChartError]:
    """Many renderings in one process, some 50 ms each: for each of `values` the texts by template, or what Helm refused.

    Raises ChartError where the chart cannot be loaded.
    """
    printed = _in_child(
        {
            "do": "render-all",
            "chart": str(chart.absolute()),
            "release": release,
            "namespace": namespace,
            "values": [dict(one) for one in values],
        }
    )
    return [ChartError(one["refused"]) if "refused" in one else one["rendered"] for one in json.loads(printed)]


def preview_chart(
    kubeconfig: Path, chart: Path, release: str, *, namespace: str, values: Mapping[str, Any] | None = None
) -> str:
    """The manifest that an installation would apply, as `helm install --dry-run=server` prints it: the chart sees which kinds the
    cluster has, and nothing is changed. Raises ChartError."""
    return _in_child(
        {
            "do": "preview",
            "kubeconfig": str(kubeconfig),
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
    if order["do"] == "render-all":
        return json.dumps(_render_all(helm, order))
    with helm.Config(kubeconfig_path=order["kubeconfig"], namespace=order["namespace"]) as config:
        if order["do"] == "uninstall":
            config.uninstall(order["release"])
            return ""
        if order["do"] == "test":
            return str(config.test(order["release"], timeout=order["wait_seconds"], logs=True)["logs"])
        if order["do"] == "preview":
            seen = config.install(order["chart"], order["release"], order["values"], dry_run="server")
            return str(seen["manifest"])
        waiting: dict[str, Any] = {}
        if order["wait_seconds"]:
            waiting = {"wait": "watcher", "timeout": order["wait_seconds"]}
        if any(release["name"] == order["release"] for release in config.list()):
            done = config.upgrade(order["chart"], order["release"], order["values"], **waiting)
        else:
            done = config.install(order["chart"], order["release"], order["values"], create_namespace=True, **waiting)
    return str(done["manifest"])


def _render_all(helm: Any, order: dict[str, Any]) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    with helm.Chart.load(order["chart"]) as chart:
        for values in order["values"]:
            try:
                done.append({"rendered": chart.render(values, name=order["release"], namespace=order["namespace"])})
            except helm.HelmError as error:
                done.append({"refused": str(error)})
    return done


if __name__ == "__main__":
    try:
        print(_obey(json.load(sys.stdin)))
    except Exception as error:
        sys.exit(f"{error}")
